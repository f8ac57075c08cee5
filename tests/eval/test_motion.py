"""Visible events of world renders, crisp and spoilt, against the times the world gives."""

import numpy as np
import pytest

from happyhorse.eval import motion
from happyhorse.world.scene import RATE, Scene, render, sample

FPS = 25.0
# mean error in ms allowed: moving things to a fraction of a frame, sudden changes to half of one (10 ms on average)
ALLOWED = {"balls": 8.0, "hammer": 5.0, "xylophone": 13.0, "piano": 13.0, "clock": 13.0, "drum": 25.0}


def spoil(video: np.ndarray, seed: int) -> np.ndarray:
    """Blurred by the binomial kernel of five, and noisy by 5 of 255 levels."""
    soft = video.astype(np.float32)
    for axis in (1, 2):
        for _ in range(2):
            padded = np.pad(soft, [(1, 1) if a == axis else (0, 0) for a in range(4)], mode="edge")
            before, after = (np.take(padded, np.arange(soft.shape[axis]) + k, axis) for k in (0, 2))
            soft = 0.5 * soft + 0.25 * (before + after)
    return np.clip(soft + np.random.default_rng(seed).normal(0, 5, soft.shape), 0, 255).astype(np.uint8)


def compare(scene: Scene, video: np.ndarray) -> tuple[np.ndarray, int, int]:
    """Errors in ms of what was found, how many were missed, how many found too many."""
    found = motion.events(scene.family, scene.attributes, video, FPS)
    end = len(video) / FPS - 0.12
    true = np.array([event.sample / RATE for event in scene.events])
    true, found = true[(true > 0.05) & (true < end)], found[(found > 0.05) & (found < end)]
    gaps = np.abs(np.subtract.outer(true, found))
    nearest = gaps.min(1, initial=np.inf)
    hits = nearest < 0.1
    return 1000 * nearest[hits], int((~hits).sum()), max(0, len(found) - int(hits.sum()))


def check(family: str, seeds: range, spoilt: bool) -> None:
    errors, missed, extra = [], 0, 0
    for seed in seeds:
        scene = sample(seed, 3.0, [family])
        video = render(scene, 224, 128)
        found, less, more = compare(scene, spoil(video, seed) if spoilt else video)
        errors, missed, extra = [*errors, *found], missed + less, extra + more
    total = len(errors) + missed
    assert np.mean(errors) < ALLOWED[family]
    assert missed <= 0.07 * total + 1 and extra <= 0.12 * total + 1


@pytest.mark.parametrize("family", motion.FAMILIES)
def test_times_of_events(family):
    check(family, range(100, 102), spoilt=False)


@pytest.mark.slow
@pytest.mark.parametrize("spoilt", [False, True], ids=["crisp", "spoilt"])
@pytest.mark.parametrize("family", motion.FAMILIES)
def test_times_of_events_in_many_clips(family, spoilt):
    check(family, range(200, 212), spoilt)


def test_another_size_and_rate_give_the_same_times():
    scene = sample(103, 3.0, ["balls"])
    other = motion.events("balls", scene.attributes, render(scene, 160, 96, 50.0), 50.0)
    small = motion.events("balls", scene.attributes, render(scene, 224, 128), 25.0)
    true = np.array([event.sample / RATE for event in scene.events])[:2]
    for found in (other, small):
        assert np.abs(np.subtract.outer(true, found)).min(1).max() < 0.012


def test_a_still_picture_shows_no_events():
    for family in motion.FAMILIES:
        scene = sample(7, 3.0, [family])
        video = np.repeat(render(scene, 112, 64, frames=1), 40, axis=0)
        assert len(motion.events(family, scene.attributes, video)) == 0


def test_a_family_without_single_events_is_named():
    with pytest.raises(ValueError, match="'rain'"):
        motion.events("rain", {}, np.zeros((10, 64, 112, 3), np.uint8))
