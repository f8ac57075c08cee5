"""The path and its algebra, training levels, the loss."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from happyhorse.flow import path


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@settings(max_examples=40)
@given(seed=st.integers(0, 2**31), batch=st.integers(1, 4), tokens=st.integers(1, 5), per_token=st.booleans())
def test_a_velocity_gives_back_both_ends(seed, batch, tokens, per_token):
    rng = seeded(seed)
    clean, noise = torch.randn(2, batch, tokens, 3, generator=rng, dtype=torch.float64)
    sigma = torch.rand((batch, tokens) if per_token else (batch,), generator=rng, dtype=torch.float64)
    noisy, v = path.interpolate(clean, noise, sigma), path.velocity(clean, noise)
    torch.testing.assert_close(path.clean_from(noisy, v, sigma), clean)
    torch.testing.assert_close(path.noise_from(noisy, v, sigma), noise)
    fresh = torch.randn(clean.shape, generator=rng, dtype=torch.float64)
    moved = path.renoise(noisy, v, fresh, sigma, 0.25)
    torch.testing.assert_close(moved, 0.75 * clean + 0.25 * fresh)


def test_each_sample_and_each_token_is_at_its_own_level():
    clean, noise = torch.zeros(2, 3, 4), torch.ones(2, 3, 4)
    assert path.interpolate(clean, noise, torch.tensor([0.25, 1.0]))[:, 0, 0].tolist() == [0.25, 1.0]
    levels = path.token_levels(
        torch.tensor([0.5, 0.75]), torch.tensor([[True, False, False], [False, False, True]])
    )
    assert path.interpolate(clean, noise, levels)[..., 0].tolist() == [[0.0, 0.5, 0.5], [0.75, 0.75, 0.0]]


def test_level_zero_keeps_a_condition_bit_for_bit():
    clean, noise = torch.randn(2, 4, 7, generator=seeded())
    assert torch.equal(path.interpolate(clean, noise, 0.0), clean)
    assert torch.equal(path.interpolate(clean, noise, torch.zeros(4)), clean)


def test_corruption_keeps_variance():
    latent, noise = torch.randn(2, 100_000, generator=seeded())
    assert path.corrupt(latent, noise, 0.8389104).var().item() == pytest.approx(1.0, abs=0.02)
    assert torch.equal(path.corrupt(latent, noise, 1.0), latent)
    with pytest.raises(ValueError, match="corruption_table"):
        path.corrupt(latent, noise, 1.5)


def test_shift_adds_to_the_logit_and_composes():
    s = torch.linspace(0.01, 0.99, 50, dtype=torch.float64)
    torch.testing.assert_close(torch.logit(path.shift(s, 5.0)), torch.logit(s) + math.log(5))
    torch.testing.assert_close(path.shift(path.shift(s, 3.0), 0.5), path.shift(s, 1.5))
    assert torch.equal(path.shift(s, 1.0), s)
    with pytest.raises(ValueError, match="positive"):
        path.shift(s, 0.0)


def test_levels_follow_the_shifted_logit_normal():
    s = path.draw_sigma(20_000, 3.0, seeded(), uniform=0.0).double()
    logit = torch.logit(s)
    assert logit.median().item() == pytest.approx(math.log(3), abs=0.01)
    assert logit.std().item() == pytest.approx(1.0, abs=0.01)
    flat = path.draw_sigma(20_000, 3.0, seeded(1), uniform=1.0)
    assert flat.mean().item() == pytest.approx(0.5, abs=0.002)
    assert flat.std().item() == pytest.approx(1 / math.sqrt(12), abs=0.002)
    # a tenth uniform: the low end, which the bell all but leaves out, is visited
    share = (path.draw_sigma(50_000, 3.0, seeded(2)) < 0.05).float().mean().item()
    bell = 0.5 * math.erfc((math.log(3) + math.log(19)) / math.sqrt(2))
    assert share == pytest.approx(0.9 * bell + 0.1 * 0.05, abs=0.002)


def test_levels_are_clamped_stratified_and_drawn_from_the_generator():
    s = path.draw_sigma(4096, 1.0, seeded(3))
    assert s.min() >= path.CLAMP and s.max() <= 1 - path.CLAMP and s.dtype == torch.float32
    assert torch.equal(s, path.draw_sigma(4096, 1.0, seeded(3)))
    assert not torch.equal(s, path.draw_sigma(4096, 1.0, seeded(4)))
    for seed in range(5):  # one quantile in every interval of width 1/B, in no fixed order
        small = path.draw_sigma(16, 1.0, seeded(seed), uniform=0.0).double()
        strata = (torch.special.ndtr(torch.logit(small)) * 16).floor().long()
        assert sorted(strata.tolist()) == list(range(16))
        assert strata.tolist() != list(range(16))


def test_mixture_of_levels():
    amounts = {"video": 3.0, "audio": 1.5}
    levels = path.draw_levels(40_000, amounts, seeded())
    video, audio = levels["video"].double(), levels["audio"].double()
    assert (video == 0).float().mean().item() == pytest.approx(0.1, abs=0.006)
    assert (audio == 0).float().mean().item() == pytest.approx(0.1, abs=0.006)
    assert not ((video == 0) & (audio == 0)).any()
    both = (video > 0) & (audio > 0)
    shared = (path.shift(video, 0.5) - audio).abs() < 1e-3
    assert (shared & both).float().mean().item() == pytest.approx(0.7, abs=0.01)
    # the sound's own law holds whether or not the picture is given
    for chosen in (video == 0, both & ~shared):
        assert torch.logit(audio[chosen]).median().item() == pytest.approx(math.log(1.5) * 0.95, abs=0.1)


def test_a_mixture_can_be_pure_and_refuses_shares_above_one():
    alone = path.draw_levels(64, {"video": 3.0, "audio": 3.0}, seeded(), path.Mixture(0.0, 0.0, 0.0))
    assert torch.allclose(alone["video"], alone["audio"], atol=1e-6)
    early = path.draw_levels(64, {"video": 3.0, "audio": 1.5}, seeded(), path.Mixture(0.0, 0.0, 0.0, 1.0))
    assert path.EARLY <= float(early["video"].min()) <= float(early["video"].max()) < 1
    torch.testing.assert_close(early["audio"], path.shift(early["video"], 0.5))
    given_picture = path.draw_levels(64, {"video": 3.0, "audio": 3.0}, seeded(), path.Mixture(1.0, 0.0, 0.0))
    assert not given_picture["video"].any() and given_picture["audio"].all()
    with pytest.raises(ValueError, match="sum to at most 1"):
        path.Mixture(0.5, 0.5, 0.5)


def test_loss_is_per_sample_in_float32_over_noised_tokens_only():
    target = torch.zeros(3, 2, 4, dtype=torch.bfloat16)
    predicted = torch.stack(
        [torch.full((2, 4), 1.0), torch.full((2, 4), 2.0), torch.full((2, 4), 3.0)]
    ).bfloat16()
    predicted[1, 0] = 100.0  # a clean token whose prediction is meaningless
    noised = torch.tensor([[True, True], [False, True], [False, False]])
    value = path.loss(predicted, target, noised)
    assert value.tolist() == [1.0, 4.0, 0.0] and value.dtype == torch.float32
    assert path.loss(predicted, target)[0] == 1.0
    named = path.losses({"video": predicted}, {"video": target}, {"video": noised})
    assert torch.equal(named["video"], value)


def test_loss_of_a_wholly_clean_sample_gives_no_gradient():
    predicted = torch.randn(2, 3, 4, generator=seeded(), requires_grad=True)
    path.loss(predicted, torch.zeros(2, 3, 4), torch.tensor([True, False])).sum().backward()
    assert predicted.grad is not None and predicted.grad[0].abs().min() > 0 and not predicted.grad[1].any()
