"""Small clips as super-resolution meets them: with faults, through the codec, enlarged, and kept apart."""

from pathlib import Path

import numpy as np
import pytest
import torch

from happyhorse import checkpoint, config
from happyhorse.codec.audio import AudioCodec, AudioCodecConfig
from happyhorse.codec.video import VideoCodec, VideoCodecConfig, patchify
from happyhorse.data.degrade import EnlargedPlan, degrade
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


@pytest.fixture(scope="module")
def codec(tmp_path_factory) -> Path:
    """A codec of which the picture's linear half is fitted to renders: what it leaves of them looks alike."""
    halves = {
        "video": VideoCodec(VideoCodecConfig(width=8, encoder_blocks=0, mid_width=8, fine_width=8)),
        "audio": AudioCodec(AudioCodecConfig(width=16, vocoder_width=16, vocoder_blocks=1)),
    }
    clips = [torch.from_numpy(ShardPlan(WORLD, "train", 12).clip(i).video) for i in range(12)]
    videos = [clip.permute(3, 0, 1, 2)[None].float() / 127.5 - 1 for clip in clips]
    halves["video"].linear.fit(patchify(video).flatten(0, 3) for video in videos)
    weights = {f"{name}.{key}": t for name, half in halves.items() for key, t in half.state_dict().items()}
    settings = {name: config.plain(half.config) for name, half in halves.items()}
    path = tmp_path_factory.mktemp("codec") / "codec.safetensors"
    checkpoint.save(path, checkpoint.Checkpoint("codec", settings, weights))
    return path


def test_a_plan_shows_the_scene_as_a_generator_would(codec):
    plain, enlarged = ShardPlan(WORLD, "train", 4), EnlargedPlan(WORLD, "train", 4, str(codec))
    assert enlarged.key.startswith("enlarged-train-")
    pairs = [(plain.clip(i), enlarged.clip(i)) for i in range(4)]
    assert all(a.record == b.record and np.array_equal(a.audio, b.audio) for a, b in pairs)
    assert all(b.video.shape == (5, 64, 128, 3) and b.video.dtype == np.uint8 for _, b in pairs)
    means = [b.video.reshape(5, 32, 2, 64, 2, 3).mean((2, 4)) for _, b in pairs]
    errors = [np.abs(mean - a.video).mean() for mean, (a, _) in zip(means, pairs, strict=True)]
    assert all(0 < error < 12 for error in errors)
    assert np.array_equal(enlarged.clip(1).video, pairs[1][1].video)


def test_another_decoder_is_another_folder(codec, tmp_path):
    """Latents of one encoder are the same whatever decodes them; what is shown before it is enlarged is not."""
    part = checkpoint.load(codec, "codec")
    part.weights["video.decode_out.bias"] += 1
    other = checkpoint.save(tmp_path / "codec.safetensors", part)[0]
    for plan, same in ((ShardPlan, True), (EnlargedPlan, False)):
        keys = {plan(WORLD, "train", 4, str(path)).key for path in (codec, other)}
        assert len(keys) == (1 if same else 2)


@pytest.mark.parametrize("seed", [0, 3])
def test_large_and_small_renders_show_the_same_scene(seed):
    """What super-resolution rests on: the mean of four pixels of the large render is a pixel of the small one."""
    small = ShardPlan(WorldConfig(160, 96, 0.2, ("balls",)), "train", 4).clip(seed)
    large = ShardPlan(WorldConfig(320, 192, 0.2, ("balls",)), "train", 4).clip(seed)
    assert small.record == large.record and np.array_equal(small.audio, large.audio)
    mean = large.video.reshape(*small.video.shape[:2], 2, 160, 2, 3).mean((2, 4))
    assert 10 * np.log10(255**2 / np.square(mean - small.video).mean()) > 35
