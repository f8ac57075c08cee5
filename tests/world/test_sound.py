import numpy as np
import pytest

from happyhorse.world import sound

RATE = 16_000


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_onset_converts_between_rates():
    assert sound.onset(8_000, 16_000) == 8_000
    assert sound.onset(8_000, 48_000) == 24_000
    assert sound.onset(1, 44_100) == 3


def test_decay_reaches_minus_60_db_after_t60():
    fall = sound.decay(RATE, 1.0, 0.5)
    assert fall[0] == 1.0
    assert 20 * np.log10(fall[8_000]) == pytest.approx(-60.0, abs=0.01)


def test_modes_equal_the_written_out_sum():
    freqs, t60s, amps = [220.0, 1234.5, 7000.0], [0.5, 0.2, 0.1], [1.0, 0.5, 0.2]
    t = np.arange(12_345) / RATE
    expected = sum(
        a * np.exp(-6.9078 * t / d) * np.sin(2 * np.pi * f * t)
        for f, d, a in zip(freqs, t60s, amps, strict=True)
    )
    assert np.allclose(sound.modes(RATE, 12_345 / RATE, freqs, t60s, amps), expected, atol=1e-5)


def test_modes_above_nyquist_are_left_out():
    assert not sound.modes(RATE, 0.1, [7_900.0], [0.5], [1.0]).any()


def test_glide_has_the_frequency_it_is_given():
    tone = sound.glide(RATE, np.full(RATE, 1_000.0))
    assert np.allclose(tone, np.sin(2 * np.pi * 1_000 * np.arange(RATE) / RATE), atol=1e-4)


def test_noise_keeps_its_band_and_its_level():
    x = sound.noise(RATE, 2.0, rng(), 500, 2_000)
    assert x.dtype == np.float32 and len(x) == 2 * RATE
    assert x.std() == pytest.approx(1.0, rel=0.1)
    power = np.abs(np.fft.rfft(x)) ** 2
    freq = np.fft.rfftfreq(len(x), 1 / RATE)
    inside = power[(freq > 400) & (freq < 2_500)].sum()
    assert inside > 0.9 * power.sum()
    assert power[freq > 4_000].sum() < 0.02 * power.sum()


def test_noise_tilt_falls_with_frequency():
    x = sound.noise(RATE, 2.0, rng(), 20, 8_000, tilt=1.0)
    power = np.abs(np.fft.rfft(x)) ** 2
    freq = np.fft.rfftfreq(len(x), 1 / RATE)
    low = power[(freq > 200) & (freq < 300)].mean()
    high = power[(freq > 2_000) & (freq < 3_000)].mean()
    assert 10 * np.log10(low / high) == pytest.approx(20.0, abs=2.0)


@pytest.mark.parametrize("material", sound.MATERIALS)
@pytest.mark.parametrize("rate", [16_000, 44_100])
def test_strikes_are_sharp_bounded_and_die_away(material, rate):
    for seed in range(4):
        x = sound.strike(rate, material, 0.5, 0.8, rng(seed))
        assert x.dtype == np.float32
        assert np.abs(x).max() == pytest.approx(0.8, rel=1e-5)
        loud = np.abs(x) > 0.25 * np.abs(x).max()
        assert loud.argmax() < 0.002 * rate, "the attack is below 2 ms"
        assert np.abs(x[-10:]).max() < 0.02
        assert np.abs(x[: len(x) // 2]).max() > np.abs(x[len(x) // 2 :]).max()


def test_bigger_bodies_sound_lower_and_harder_strikes_brighter():
    def centroid(x: np.ndarray) -> float:
        power = np.abs(np.fft.rfft(x, 1 << 15)) ** 2
        return float((power * np.fft.rfftfreq(1 << 15, 1 / RATE)).sum() / power.sum())

    for material in ("wood", "metal", "glass", "skin", "rubber", "stone", "water"):
        small, big = (
            np.median([centroid(sound.strike(RATE, material, s, 1, rng(k))) for k in range(5)])
            for s in (0, 1)
        )
        assert big < small, material
    soft, hard = (centroid(sound.strike(RATE, "wood", 0.5, 1, rng(1), hardness=h)) for h in (0.0, 1.0))
    assert hard > soft


def test_strike_is_deterministic_and_names_its_materials():
    assert np.array_equal(
        sound.strike(RATE, "snow", 0.2, 1, rng(3)), sound.strike(RATE, "snow", 0.2, 1, rng(3))
    )
    with pytest.raises(ValueError, match="wood"):
        sound.strike(RATE, "cheese", 0.5, 1, rng())


def test_bubble_pitch_rises():
    x = sound.bubble(48_000, 600.0, t60=0.2, rise=2.0)
    signs = np.flatnonzero(np.diff(np.signbit(x)))
    periods = np.diff(signs)
    assert periods[:5].mean() > 1.5 * periods[-5:].mean()


def test_place_adds_and_cuts():
    buffer = np.zeros(10, np.float32)
    sound.place(buffer, 8, np.ones(5, np.float32), 0.5)
    sound.place(buffer, -3, np.ones(5, np.float32))
    sound.place(buffer, 20, np.ones(5, np.float32))
    assert buffer.tolist() == [1, 1, 0, 0, 0, 0, 0, 0, 0.5, 0.5]


def test_limit_is_the_identity_below_the_knee_and_bounded_above():
    x = np.linspace(-4, 4, 1001).astype(np.float32)
    y = sound.limit(x, 0.9)
    quiet = np.abs(x) < 0.54
    assert np.array_equal(y[quiet], x[quiet])
    assert np.abs(y).max() <= 0.9
    assert (np.diff(y) >= 0).all()


def test_level_reaches_its_rms_and_ignores_silence_between_sounds():
    tone = np.zeros(RATE, np.float32)
    tone[4_000:6_000] = 0.01 * np.sin(np.arange(2_000) * 0.3)
    out = sound.level(tone, RATE)
    assert 20 * np.log10(sound.active_rms(out, RATE)) == pytest.approx(-20.0, abs=0.1)
    assert not sound.level(np.zeros(100, np.float32), RATE).any()


def test_level_keeps_clicks_within_the_ceiling():
    click = np.zeros(RATE, np.float32)
    click[100] = 1.0
    assert np.abs(sound.level(click, RATE)).max() <= sound.CEILING


def test_envelope_edges():
    shape = sound.envelope(RATE, 0.5, 0.1, 0.2)
    assert shape[0] < 0.01 and shape[-1] < 0.01
    assert (shape[1_600:4_800] == 1).all()
    assert shape[800] == pytest.approx(0.5, abs=0.01)
