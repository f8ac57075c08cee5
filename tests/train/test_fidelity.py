"""Distances of latents: closed forms for Gaussians, and what they have to notice."""

import pytest
import torch

from happyhorse.train.fidelity import Yardstick, describe, features, frechet, variety


def gaussian(count: int, mean: torch.Tensor, root: torch.Tensor, seed: int) -> torch.Tensor:
    """Points whose moments are exactly `mean` and root root^T."""
    points = torch.randn(count, len(mean), generator=torch.Generator().manual_seed(seed)).double()
    points = points - points.mean(0)
    return (points @ torch.linalg.inv(torch.linalg.cholesky(torch.cov(points.T))).T @ root.T + mean).float()


def test_frechet_distance_of_gaussians():
    """Diagonal covariances: |m_a - m_b|^2 + sum (s_a - s_b)^2; and it is blind to nothing that both lack."""
    a = gaussian(200, torch.tensor([0.0, 1.0, 2.0]), torch.diag(torch.tensor([1.0, 2.0, 0.5])).double(), 0)
    b = gaussian(300, torch.tensor([1.0, 1.0, 0.0]), torch.diag(torch.tensor([3.0, 2.0, 0.5])).double(), 1)
    assert frechet(a, b) == pytest.approx(1 + 4 + 4, rel=1e-3)
    assert frechet(a, a) == pytest.approx(0, abs=1e-6)
    turn = torch.linalg.qr(torch.randn(3, 3, generator=torch.Generator().manual_seed(2)))[0]
    assert frechet(a @ turn, b @ turn) == pytest.approx(9, rel=1e-3)


def clips(count: int, seed: int) -> tuple[torch.Tensor, torch.Tensor, list[str]]:
    """Latents of red and of blue clips, each with a level and a loudness of its own."""
    draw = torch.Generator().manual_seed(seed)
    sign = torch.tensor([1.0 - 2 * (i % 2) for i in range(count)])
    pattern = torch.randn(48, 5, 4, 4, generator=torch.Generator().manual_seed(9))
    video = sign[:, None, None, None, None] * pattern + 0.3 * torch.randn(count, 48, 5, 4, 4, generator=draw)
    audio = sign[:, None, None] + torch.randn(count, 17, 64, generator=draw)
    return video, audio, [f"a {('red', 'blue')[i % 2]} ball" for i in range(count)]


def test_the_joint_distance_notices_what_was_not_asked_for():
    """The same clips under each other's prompts are as good as before, and wrong."""
    real = clips(64, 0)
    ruler = Yardstick(features(*real[:2]), describe(real[2]))
    other = features(*clips(64, 1)[:2])
    right, wrong = ruler.distances(other), ruler.distances(other.roll(1, 0))
    assert wrong["fd"] == pytest.approx(right["fd"], rel=1e-3) and wrong["fjd"] > 3 * right["fjd"]
    same = ruler.distances(features(*real[:2]))
    assert same["fd"] == pytest.approx(0, abs=0.01) and same["fjd"] == pytest.approx(0, abs=0.02)


def test_worse_clips_are_further_away():
    video, audio, captions = clips(64, 0)
    ruler = Yardstick(features(video, audio), describe(captions))
    fresh_video, fresh_audio, _ = clips(64, 1)
    best = ruler.distances(features(fresh_video, fresh_audio))["fd"]
    blurred = torch.nn.functional.avg_pool3d(fresh_video, (1, 3, 3), 1, (0, 1, 1))
    frozen = fresh_video[:, :, :1].expand_as(fresh_video)
    for worse in ((blurred, fresh_audio), (frozen, fresh_audio), (fresh_video, 0 * fresh_audio)):
        assert ruler.distances(features(*worse))["fd"] > 2 * best


def test_variety_is_the_mean_distance_within_a_prompt():
    points = torch.tensor([[[0.0, 0], [3, 4]], [[1, 1], [1, 1]]])
    assert variety(points) == pytest.approx(2.5)


def test_features_do_not_depend_on_the_batch():
    video, audio, _ = clips(4, 0)
    one = torch.cat([features(video[i, None], audio[i, None]) for i in range(4)])
    assert torch.allclose(one, features(video, audio), atol=1e-5)
    assert describe(['a red ball, "hello"', 'a red ball, "no"'])[0].tolist() == pytest.approx(
        describe(['ball a red, ""'])[0].tolist()
    )
