"""What errors are worth: by channel, and by how much a place moves."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from happyhorse.train.emphasis import SEEN, STILL, SURE, deviations, motion, still_and_moving, weights

DEVIATIONS = torch.tensor([3.0, 1.0, 0.5])


def clips(seed: int, count: int = 2, length: int = 5) -> torch.Tensor:
    return torch.randn(count, length, 3, 4, 6, generator=torch.Generator().manual_seed(seed))


def test_deviations_are_those_of_each_channel_over_clips_of_any_size():
    parts = [(torch.randn(3, t, 40, 50) * DEVIATIONS[:, None, None, None], None, {}) for t in (3, 5)]
    assert torch.allclose(deviations(parts), DEVIATIONS, rtol=0.03)


@pytest.mark.parametrize("power", [0.0, 1.0, SEEN])
def test_channels_are_weighted_by_a_power_with_mean_one(power):
    found = weights(DEVIATIONS, power)
    assert torch.isclose(found.mean(), torch.tensor(1.0))
    assert torch.allclose(found / found[1], DEVIATIONS**power)


@settings(max_examples=25)
@given(st.integers(0, 2**31), st.floats(0, 20), st.floats(0, 1))
def test_a_clip_has_mean_one_whatever_the_others_are(seed, strength, level):
    clean, levels = clips(seed), torch.tensor([level, 0.5])
    found = motion(clean, levels, DEVIATIONS, strength)
    assert found.shape == (2, 5, 1, 4, 6) and torch.allclose(found.mean((1, 2, 3, 4)), torch.ones(2))
    assert float(found.max() / found.min()) <= 1 + strength + 1e-4
    alone = motion(clean[:1], levels[:1], DEVIATIONS, strength)
    assert torch.allclose(found[:1], alone)


@pytest.mark.parametrize(
    ("clean", "level", "strength"),
    [
        (clips(0)[:, :1].expand(-1, 5, -1, -1, -1), 0.3, 9.0),
        (clips(0)[:, :1], 0.3, 9.0),
        (clips(0), 1.0, 9.0),
        (clips(0), 0.3, 0.0),
    ],
    ids=["nothing moves", "one picture", "pure noise", "no strength"],
)
def test_all_places_are_alike_where(clean, level, strength):
    found = motion(clean, torch.full((2,), level), DEVIATIONS, strength)
    assert found.shape == (2, clean.shape[1], 1, 4, 6) and torch.allclose(found, torch.ones(()))


def test_a_place_that_changes_counts_as_much_more_as_documented():
    clean = torch.zeros(1, 6, 3, 4, 6)
    half = (STILL * DEVIATIONS.pow(2 * SEEN).sum()).sqrt() / DEVIATIONS[0]
    clean[0, 3:, 0, 1, 2] = half  # one change, as large as the one that counts half
    found = motion(clean, torch.tensor([1 - SURE]), DEVIATIONS, 8.0)[0, :, 0]
    assert torch.allclose(found[2:4, 1, 2] / found[0, 0, 0], torch.full((2,), 1 + 8.0 / 2 / 2))
    moved = torch.zeros(6, 4, 6, dtype=torch.bool)
    moved[2:4, 1, 2] = True
    assert torch.allclose(found[~moved], found[0, 0, 0])


def test_an_error_is_parted_into_what_stays_and_what_changes():
    error, learnt = clips(1), torch.tensor([[True] * 5, [True, False, True, True, False]])
    still, moving = still_and_moving(error, learnt)
    assert torch.allclose(still + moving, error) and torch.equal(still[:, :1].expand_as(still), still)
    for clip in range(2):
        frames = learnt[clip]
        assert torch.allclose(moving[clip, frames].mean(0), torch.zeros(()), atol=1e-6)
        whole = sum(part[clip, frames].square().sum() for part in (still, moving))
        assert torch.allclose(whole, error[clip, frames].square().sum())
    nothing = still_and_moving(error, torch.zeros(2, 5, dtype=torch.bool))
    assert not nothing[0].any() and torch.equal(nothing[1], error)
