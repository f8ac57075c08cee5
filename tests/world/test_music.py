import numpy as np
import pytest

from happyhorse.world.palette import PALETTE
from happyhorse.world.piano import make_piano
from happyhorse.world.scene import RATE, Scene, hear, render
from happyhorse.world.xylophone import make_xylophone

MAKERS = {"xylophone": make_xylophone, "piano": make_piano}


def make(family: str, seed: int, seconds: float = 3.0) -> Scene:
    return MAKERS[family](np.random.default_rng(seed), seed, seconds)


def fundamental(wave: np.ndarray, low: float, high: float) -> float:
    """Frequency in Hz of the strongest line of a windowed spectrum between two bounds."""
    size = 1 << 16
    power = np.abs(np.fft.rfft(wave * np.hanning(len(wave)), size))
    freq = np.fft.rfftfreq(size, 1 / RATE)
    band = (freq > low) & (freq < high)
    return float(freq[band][power[band].argmax()])


@pytest.mark.parametrize("family", MAKERS)
def test_sound_is_level_bounded_and_starts_with_the_first_note(family):
    for seed in range(8):
        scene = make(family, seed)
        wave = hear(scene)
        first = scene.events[0].sample
        assert wave.dtype == np.float32 and len(wave) == 48_000
        assert np.abs(wave).max() < 0.95
        assert not wave[:first].any()
        assert np.abs(wave[first : first + 32]).max() > 0.02
        assert all(0 <= event.sample < 48_000 for event in scene.events)


@pytest.mark.parametrize("family", MAKERS)
def test_onsets_scale_with_the_rate(family):
    scene = make(family, 3)
    wave = scene.sound(48_000)
    first = 3 * scene.events[0].sample
    assert len(wave) == 144_000
    assert not wave[: first - 1].any() and np.abs(wave[first : first + 96]).max() > 0.02


@pytest.mark.parametrize("family", MAKERS)
def test_the_pitch_heard_is_the_note_named(family):
    checked = 0
    for seed in range(30):
        scene = make(family, seed)
        if scene.attributes["tempo"] != "slow":
            continue
        wave = hear(scene)
        for event in scene.events[:3]:
            names = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
            note = str(event.attrs["note"])
            midi = 12 * (int(note[-1]) + 1) + names.index(note[:-1])
            expected = 440.0 * 2 ** ((midi - 69) / 12)
            span = wave[event.sample + 400 : event.sample + 5_000]
            if len(span) == 4_600:
                heard = fundamental(span, 0.97 * expected, 1.03 * expected)
                assert heard == pytest.approx(expected, rel=0.006)
                around = fundamental(span, 0.7 * expected, 1.4 * expected)
                assert around == pytest.approx(expected, rel=0.01), "the note is the strongest line near it"
                checked += 1
    assert checked > 5


def test_the_mallet_is_on_the_bar_at_every_note_and_off_it_between():
    for seed in range(10):
        scene = make("xylophone", seed)
        times = np.array([event.sample for event in scene.events]) / RATE
        spots = np.array([(event.x, event.y) for event in scene.events])
        assert np.allclose(scene.track(times)["mallet"], spots, atol=1e-6)
        between = (times[1:] + times[:-1]) / 2
        assert (scene.track(between)["mallet"][:, 1] < spots[1:, 1] - 0.05).all()


def test_the_bar_lights_up_at_its_note_and_not_before():
    for seed in range(6):
        scene = make("xylophone", seed)
        seen: set[int] = set()
        for event in scene.events:
            bar = int(event.attrs["bar"])
            moment = event.sample / RATE
            glow = scene.track(np.array([moment - 1e-3, moment]))["bars"][:, bar]
            assert glow[1] == pytest.approx(1.0)
            assert glow[0] < 0.6 if bar in seen else glow[0] == 0
            seen.add(bar)


def test_a_key_is_down_at_its_note_and_up_before():
    for seed in range(6):
        scene = make("piano", seed)
        times = np.array([event.sample for event in scene.events]) / RATE
        assert (scene.track(times)["keys"].max(axis=1) == 1).all()
        before = scene.track(times - 2e-3)["keys"]
        now = scene.track(times)["keys"]
        assert (before[np.arange(len(times)), now.argmax(axis=1)] == 0).all()


def test_the_lit_key_shows_the_named_light():
    for seed in range(6):
        scene = make("piano", seed)
        event = scene.events[0]
        frame = int(np.ceil(event.sample / RATE * 25)) + 1
        video = render(scene, 224, 128, frames=frame + 1)
        x, y = round((event.x + 0.875) * 128), round(event.y * 128)
        before, lit = (
            video[f, y - 1 : y + 2, x - 1 : x + 2].reshape(-1, 3).mean(0) / 255 for f in (0, frame)
        )
        lamp = np.array(PALETTE[str(event.attrs["color"])])
        assert np.abs(lit - lamp).max() < 0.22
        assert np.abs(lit - lamp).sum() < 0.5 * np.abs(before - lamp).sum()


@pytest.mark.parametrize("family", MAKERS)
@pytest.mark.parametrize("size", [(128, 128), (256, 128)])
def test_other_shapes_of_picture_show_every_note_spot(family, size):
    scene = make(family, 5)
    video = render(scene, *size, frames=3)
    assert video.shape == (3, size[1], size[0], 3)
    assert all(abs(event.x) < 0.5 for event in scene.events)
