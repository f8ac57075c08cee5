"""Guidance: identities, weights by level, rescaling."""

import pytest
import torch

from happyhorse.flow import guidance, schedules


@pytest.fixture
def velocities():
    return torch.randn(3, 2, 5, 7, generator=torch.Generator().manual_seed(0))


def test_weight_one_is_the_conditional_pass_untouched(velocities):
    cond, uncond, cut = velocities
    assert guidance.guide(cond, (1.0, uncond), (1.0, cut), rescale=0.7) is cond
    assert guidance.guide(cond, (1.0, None)) is cond


def test_weight_zero_is_the_perturbed_pass(velocities):
    cond, uncond, _ = velocities
    torch.testing.assert_close(guidance.guide(cond, (0.0, uncond)), uncond)


def test_deltas_add(velocities):
    cond, uncond, cut = velocities
    both = guidance.guide(cond, (5.0, uncond), (3.0, cut))
    torch.testing.assert_close(both, uncond + 5 * (cond - uncond) + 2 * (cond - cut))
    torch.testing.assert_close(guidance.guide(cond, (5.0, cond), (3.0, cond)), cond)


def test_a_missing_pass_is_named(velocities):
    with pytest.raises(ValueError, match="run it"):
        guidance.guide(velocities[0], (3.0, None))


def test_rescale_returns_to_the_spread_of_the_conditional_pass(velocities):
    cond, uncond, _ = velocities
    full = guidance.guide(cond, (6.0, uncond), rescale=1.0)
    torch.testing.assert_close(full.std((1, 2)), cond.std((1, 2)))
    plain = guidance.guide(cond, (6.0, uncond))
    part = guidance.guide(cond, (6.0, uncond), rescale=0.7)
    torch.testing.assert_close(part.std((1, 2)), 0.7 * cond.std((1, 2)) + 0.3 * plain.std((1, 2)))
    # one factor per sample
    torch.testing.assert_close(part / plain, (part / plain)[:, :1, :1].expand_as(plain))


def test_weights_by_level():
    weight = guidance.interval(3.0)
    assert [weight(s) for s in (0.1, 0.15, 0.2, 0.9, 0.95, 1.0)] == [1, 1, 3, 3, 1, 1]
    assert guidance.constant(5.0)(0.01) == 5.0
    with pytest.raises(ValueError, match="low < high"):
        guidance.interval(3.0, 0.9, 0.1)


def test_two_stages_are_27_and_5_of_32_steps():
    weight = guidance.two_stage()
    assert [weight(s) for s in schedules.shifted(32)[:-1].tolist()] == [5.0] * 27 + [2.0] * 5
    assert weight(0.5009) == 2.0 and weight(0.5011) == 5.0  # the timestep is truncated


def test_weights_per_frame_broadcast(velocities):
    weights = guidance.frame_weights(15)
    assert weights.tolist() == [2.0] * 13 + [3.5] * 2
    cond, uncond, _ = torch.randn(3, 1, 4, 15, 2, 2, generator=torch.Generator().manual_seed(1))
    guided = guidance.guide(cond, (weights[:, None, None], uncond))
    torch.testing.assert_close(guided[:, :, 12], uncond[:, :, 12] + 2.0 * (cond - uncond)[:, :, 12])
    torch.testing.assert_close(guided[:, :, 13], uncond[:, :, 13] + 3.5 * (cond - uncond)[:, :, 13])
