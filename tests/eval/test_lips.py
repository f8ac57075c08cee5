"""Lips: mouths of the world are read to a fraction of a frame, and lags put in by construction come out again."""

from dataclasses import replace

import numpy as np
import pytest

from happyhorse.eval import lips
from happyhorse.eval.lips import Speech
from happyhorse.world.scene import available, hear, render, sample

RATE = 16_000
needs_faces = pytest.mark.skipif("face" not in available(), reason="faces need the [speech] extra")


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


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


def clip(seed: int, late: float = 0.0) -> Speech:
    """A mouth that opens as the syllables say, with a voice that is `late` s late."""
    frames, syllables = np.arange(75) / 25, babble(seed)
    grid = (np.arange(len(syllables)) + 0.5) * lips.STEP
    opening = 0.016 + 0.1 * np.interp(frames, grid, syllables)
    asked = np.interp(grid - late, grid, syllables)
    return Speech(opening, asked, ((0.08 + late, 0.12 + late),), frames < 0.16)


@pytest.mark.parametrize("late", [-0.2, 0.0, 0.12])
def test_a_late_voice_has_a_positive_lag(late):
    result = lips.measure([clip(seed, late) for seed in range(6)], rng())
    assert result.lag.value == pytest.approx(1000 * late, abs=15)
    assert result.within.value == (late != -0.2)
    assert result.seen.value == 1.0 and result.rest.value == 1.0 and result.silent == 6 * 4


def test_strangers_are_found_out():
    clips = [clip(seed) for seed in range(20)]
    own, control = lips.measure(clips, rng()), lips.measure(lips.shuffled(clips), rng())
    assert own.mae.value < 10 and own.within.value == 1.0 and own.alike.value > 0.98
    assert control.mae.low > 60 and control.within.high < 0.75 and control.clips == 20
    assert lips.shuffled(clips[:1]) == []


def test_a_closure_is_met_within_one_frame():
    one = Speech(np.full(50, 0.05), np.zeros(200), ((0.96, 1.04),), np.zeros(50, bool))
    for frame, hit in ((25, 1), (24, 1), (26, 1), (23, 0), (27, 0)):
        opening = one.opening.copy()
        opening[frame] = 0.016
        assert lips.met(replace(one, opening=opening)) == hit
    assert lips.met(one) == 0 and lips.met(replace(one, closures=())) == 0


def test_where_no_lips_are_seen_nothing_is_claimed():
    still = np.full((75, 64, 112, 3), 200, np.uint8)
    assert np.isnan(lips.opening(still)).all()
    blind = replace(clip(0), opening=np.full(75, np.nan))
    result = lips.measure([blind, blind], rng())
    assert result.seen.value == 0.0 and result.within.value == 0.0 and result.met.value == 0.0
    assert np.isnan(result.lag.value) and np.isnan(result.rest.value)


def test_quiet_frames_are_far_from_every_sound():
    wave = np.zeros(3 * RATE, np.float32)
    wave[RATE : RATE + 800] = 0.3
    times = np.arange(75) / 25
    expected = (times < 1.0 - lips.REST - 0.01) | (times > 1.05 + lips.REST + 0.01)
    assert (lips.quiet(wave, 75) == expected).mean() > 0.97
    assert lips.quiet(np.zeros(3 * RATE, np.float32), 75).all()


@needs_faces
def test_mouths_of_the_world_are_read_to_a_fraction_of_a_frame():
    """Against the truth: lag under half a frame, the right opening, closed lips told from open ones."""
    for seed in range(4):
        scene = sample(seed, 3.0, ["face"])
        times = np.arange(75) / 25
        found, true = lips.opening(render(scene, 224, 128)), scene.track(times)["opening"]
        fine = scene.track((np.arange(300) + 0.5) * lips.STEP)["aperture"]
        speech = Speech(found, fine, (), lips.quiet(hear(scene), 75))
        assert np.corrcoef(found, true)[0, 1] > 0.95
        assert abs(lips.lag(speech)[0]) <= 20
        assert ((found < lips.CLOSED) == (true < 0.004)).mean() > 0.9
        assert (found[speech.quiet] < lips.CLOSED).mean() > 0.98
