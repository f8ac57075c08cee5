"""Faults of small pictures: of the size of the clip, keyed by the scene, and of another folder than clean ones."""

import numpy as np
import pytest

from happyhorse.data.degrade import DegradedPlan, degrade
from happyhorse.data.shards import ShardPlan
from happyhorse.data.source import WorldConfig

WORLD = WorldConfig(64, 32, 0.2, ("balls",))


def clip() -> np.ndarray:
    y, x = np.mgrid[:32, :64]
    return np.stack([np.stack([4 * x + f, 8 * y % 250, 250 * (x > 30)], -1) for f in range(3)]).astype(
        np.uint8
    )


def test_some_clips_stay_and_others_change_a_little():
    video = clip()
    made = [degrade(video, np.random.default_rng(seed)) for seed in range(60)]
    assert all(one.shape == video.shape and one.dtype == np.uint8 for one in made)
    errors = np.array([np.abs(one.astype(float) - video).mean() for one in made])
    assert 0.15 < (errors == 0).mean() < 0.5, "a quarter is left alone, and of the rest one in sixteen"
    assert errors.max() < 12 and (errors > 0.5).mean() > 0.4
    assert np.array_equal(made[7], degrade(video, np.random.default_rng(7)))


def test_a_plan_is_the_same_scene_with_faults():
    plain, faulty = ShardPlan(WORLD, "train", 4), DegradedPlan(WORLD, "train", 4)
    assert faulty.key != plain.key and faulty.key.startswith("degraded-train-")
    pairs = [(plain.clip(i), faulty.clip(i)) for i in range(4)]
    assert all(a.record == b.record and np.array_equal(a.audio, b.audio) for a, b in pairs)
    assert any(not np.array_equal(a.video, b.video) for a, b in pairs)
    again = DegradedPlan(WORLD, "train", 4).clip(1)
    assert np.array_equal(again.video, pairs[1][1].video)


@pytest.mark.parametrize("seed", [0, 3])
def test_large_and_small_renders_show_the_same_scene(seed):
    """What super-resolution rests on: the mean of four pixels of the large render is a pixel of the small one."""
    small = ShardPlan(WORLD, "train", 4).clip(seed)
    large = ShardPlan(WorldConfig(128, 64, 0.2, ("balls",)), "train", 4).clip(seed)
    assert small.record == large.record and np.array_equal(small.audio, large.audio)
    mean = large.video.reshape(*small.video.shape[:2], 2, 64, 2, 3).mean((2, 4))
    assert 10 * np.log10(255**2 / np.square(mean - small.video).mean()) > 35
