"""Onsets: placed by construction, found again to well under 2 ms."""

import numpy as np
import pytest

from happyhorse.eval.onsets import flux, onsets
from happyhorse.world.scene import hear, sample

RATE = 16_000
TIMES = np.array([0.21337, 0.5, 0.80019, 1.30042, 1.42])


def strikes(times=TIMES, seconds=2.0, rate=RATE, freq=800.0, decay=8.0, attack=0.0) -> np.ndarray:
    """Decaying tones that begin at the given times and ring into each other."""
    t = np.arange(round(seconds * rate)) / rate
    wave = np.zeros(len(t))
    for index, time in enumerate(times):
        age = np.maximum(t - time, 0)
        tone = np.exp(-decay * age) * np.sin(2 * np.pi * freq * (1 + 0.3 * index) * age)
        rise = np.minimum(age / attack, 1) if attack else 1.0
        wave += np.where(t >= time, tone * rise, 0)
    return (0.3 * wave).astype(np.float32)


@pytest.mark.parametrize("rate", [16_000, 44_100, 48_000])
def test_ringing_tones_are_placed_to_a_fraction_of_a_millisecond(rate):
    found = onsets(strikes(rate=rate), rate)
    np.testing.assert_allclose(found, TIMES, atol=0.0005)


@pytest.mark.parametrize("snr", [40, 25])
def test_noise_costs_little(snr):
    wave = strikes(decay=25)
    noise = np.random.default_rng(0).standard_normal(len(wave)) * wave.std() * 10 ** (-snr / 20)
    found = onsets(wave + noise)
    assert len(found) == len(TIMES)
    assert np.abs(found - TIMES).max() < 0.002


def test_a_soft_attack_is_found_within_its_rise():
    found = onsets(strikes(decay=20, attack=0.006))
    assert len(found) == len(TIMES)
    assert ((found - TIMES > -0.003) & (found - TIMES < 0.006)).all()


def test_what_has_no_onset_gives_none():
    t = np.arange(2 * RATE) / RATE
    assert len(onsets(np.zeros(2 * RATE))) == 0
    assert len(onsets(np.sin(2 * np.pi * 440 * t))) == 0
    assert len(onsets(0.1 * np.random.default_rng(0).standard_normal(2 * RATE))) == 0
    assert len(onsets(np.zeros(0))) == 0


def test_loudness_does_not_matter():
    np.testing.assert_allclose(onsets(strikes() * 0.01), onsets(strikes()), atol=1e-4)


def test_flux_has_one_value_a_millisecond_and_peaks_at_the_attack():
    curve = flux(strikes(times=[1.0]), RATE)
    assert len(curve) == 2000 and abs(int(curve.argmax()) - 1005) < 15 and curve[:950].max() < 0.1


@pytest.mark.parametrize("family", ["xylophone", "hammer", "clock"])
def test_onsets_of_the_world(family):
    errors, count = [], 0
    for seed in range(6):
        scene = sample(seed, 3.0, [family])
        found, true = onsets(hear(scene)), np.array([event.sample / RATE for event in scene.events])
        nearest = np.abs(np.subtract.outer(true, found)).min(1)
        errors += list(nearest)
        count += len(true)
    errors = np.array(errors)
    assert count >= 15 and np.mean(errors < 0.002) > 0.97
