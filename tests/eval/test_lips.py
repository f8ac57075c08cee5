"""Lips: lags put in by construction come out again."""

import numpy as np
import pytest

from happyhorse.eval import lips
from happyhorse.eval.lips import Speech
from happyhorse.world.scene import available, hear, render, sample

RATE = 16_000


def babble(seed: int, seconds: float = 3.0) -> np.ndarray:
    """Syllables of irregular length and loudness: an envelope [M] on the 10 ms grid, silent at both ends."""
    draws = np.random.default_rng(seed)
    times = (np.arange(round(seconds / lips.STEP)) + 0.5) * lips.STEP
    out, t = np.zeros(len(times)), draws.uniform(0.2, 0.6)
    while t < seconds - 0.5:
        width = draws.uniform(0.08, 0.25)
        out = np.maximum(out, draws.uniform(0.3, 1.0) * np.clip(1 - np.abs((times - t) / width), 0, 1))
        t += draws.uniform(0.15, 0.45)
    return out


def drawn(opening: np.ndarray, fps: float = 25.0) -> np.ndarray:
    """A video of a face that is a skin-coloured picture with a dark mouth as high as the opening says."""
    frames = np.interp(np.arange(75) / fps, (np.arange(len(opening)) + 0.5) * lips.STEP, opening)
    video = np.full((75, 64, 112, 3), (220, 170, 140), np.uint8)
    for picture, value in zip(video, frames, strict=True):
        picture[42 - round(6 * value) : 43 + round(6 * value), 50:64] = (90, 20, 30)
    return video


def voiced(envelope: np.ndarray, late: float) -> np.ndarray:
    times = np.arange(3 * RATE) / RATE
    loud = np.interp(times - late, (np.arange(len(envelope)) + 0.5) * lips.STEP, envelope)
    return (0.3 * loud * np.random.default_rng(0).standard_normal(len(times))).astype(np.float32)


@pytest.mark.parametrize("late", [-0.2, 0.0, 0.12])
def test_a_late_voice_has_a_positive_lag(late):
    clips = [lips.listen(drawn(babble(seed)), voiced(babble(seed), late)) for seed in range(6)]
    result = lips.measure(clips, np.random.default_rng(0))
    assert result.lag.value == pytest.approx(1000 * late, abs=30)
    assert result.peak.value > 0.6 and (result.near.value > 0.9) == (abs(late) < 0.08)


def test_strangers_are_found_out():
    clips = [Speech(babble(seed), babble(seed)) for seed in range(20)]
    own = lips.measure(clips, np.random.default_rng(0))
    control = lips.measure(lips.shuffled(clips), np.random.default_rng(0))
    assert own.near.value == 1.0 and own.aligned.value == pytest.approx(1.0)
    assert control.near.high < 0.7 and control.aligned.high < 0.5 and control.clips == 20
    assert lips.shuffled(clips[:1]) == []


def test_a_closed_mouth_and_silence_correlate_with_nothing():
    still = np.full((75, 64, 112, 3), 200, np.uint8)
    speech = lips.listen(still, voiced(babble(0), 0.0))
    assert not lips.mouth(still).any() and lips.lag(speech)[1:] == (0.0, 0.0)
    assert lips.lag(lips.listen(drawn(babble(0)), np.zeros(3 * RATE, np.float32)))[1] == 0.0


@pytest.mark.skipif("face" not in available(), reason="faces need the [speech] extra")
def test_faces_of_the_world():
    scenes = [sample(seed, 3.0, ["face"]) for seed in range(5)]
    videos = [render(scene, 224, 128) for scene in scenes]
    truths = [scene.track(np.arange(75) / 25)["aperture"] for scene in scenes]
    alike = [np.corrcoef(lips.mouth(v), truth)[0, 1] for v, truth in zip(videos, truths, strict=True)]
    assert np.median(alike) > 0.85
    clips = [lips.listen(v, hear(s, RATE, 3 * RATE)) for s, v in zip(scenes, videos, strict=True)]
    assert lips.measure(clips, np.random.default_rng(0)).distance.value < 70
