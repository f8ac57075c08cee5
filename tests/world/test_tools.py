import numpy as np
import pytest

from happyhorse.world.clock import make_clock
from happyhorse.world.draw import Canvas
from happyhorse.world.drum import make_drum
from happyhorse.world.hammer import make_hammer
from happyhorse.world.palette import PALETTE
from happyhorse.world.scene import RATE, Scene, hear, render
from happyhorse.world.tap import make_tap

MAKERS = {
    "clock": make_clock,
    "hammer": make_hammer,
    "drum": make_drum,
    "tap": make_tap,
}


def make(family: str, seed: int, seconds: float = 3.0) -> Scene:
    return MAKERS[family](np.random.default_rng(seed), seed, seconds)


def moments(scene: Scene) -> np.ndarray:
    return np.array([event.sample for event in scene.events]) / RATE


@pytest.mark.parametrize("family", MAKERS)
def test_silence_before_the_first_event_and_an_onset_at_each(family):
    for seed in range(8):
        scene = make(family, seed)
        wave = hear(scene)
        assert wave.dtype == np.float32 and len(wave) == 48_000 and np.abs(wave).max() < 0.95
        assert not wave[: scene.events[0].sample].any()
        apart = np.diff([0, *(event.sample for event in scene.events)])
        for event, gap in zip(scene.events, apart, strict=True):
            before = np.abs(wave[max(event.sample - 80, 0) : event.sample]).max(initial=0.0)
            after = np.abs(wave[event.sample : event.sample + 160]).max()
            if event.sample < 47_800:
                assert after > (2.0 if gap > 4_000 else 1.1) * before and after > 0.05, (family, seed, event)


@pytest.mark.parametrize("family", MAKERS)
def test_onsets_scale_with_the_rate(family):
    scene = make(family, 2)
    wave = scene.sound(44_100)
    first = round(scene.events[0].sample * 44_100 / RATE)
    assert len(wave) == 132_300
    assert not wave[: first - 1].any() and np.abs(wave[first : first + 90]).max() > 0.02


def test_the_second_hand_jumps_a_mark_at_every_tick_and_rests_between():
    for seed in range(8):
        scene = make("clock", seed)
        times = moments(scene)
        before, settled = scene.track(times - 1e-3)["hand"], scene.track(times + 0.2)["hand"]
        assert np.allclose(settled - before, np.pi / 6, atol=0.01)
        at = scene.track(times + 1e-4)["hand"]
        assert (at - before > 0.9 * np.pi / 6).all(), "the jump is at the tick"
        marks = [event.attrs["mark"] for event in scene.events]
        assert np.allclose(np.cos(settled - np.array(marks) * np.pi / 6), 1.0, atol=1e-3)


def test_the_pendulum_turns_at_the_ticks():
    scene = next(s for s in (make("clock", seed) for seed in range(20)) if s.attributes["pendulum"] == "yes")
    times = moments(scene)
    lean = scene.track(times)["pendulum"]
    assert np.allclose(np.abs(lean), np.abs(lean[0]), rtol=1e-3)
    assert (np.sign(lean[1:]) == -np.sign(lean[:-1])).all()


def test_the_hammer_meets_the_nail_at_every_stroke_and_drives_it():
    for seed in range(8):
        scene = make("hammer", seed)
        times = moments(scene)
        track = scene.track(times)
        assert np.allclose(track["angle"], 0.0, atol=1e-9)
        assert (scene.track(times - 0.05)["angle"] > 0.1).all(), "it comes from above"
        driven = track["depth"] - scene.track(times - 1e-3)["depth"]
        assert (driven > 0.01).all()
        tops = np.array([event.y for event in scene.events])
        assert np.allclose(np.diff(tops), driven[1:])
        if len(times) > 3:
            assert np.diff(times).std() > 0.01, "strokes are irregular"


def test_a_stick_is_on_the_skin_at_every_beat():
    for seed in range(12):
        scene = make("drum", seed)
        times = moments(scene)
        hands = np.array([("left", "right").index(str(event.attrs["hand"])) for event in scene.events])
        height = scene.track(times)["sticks"]
        assert np.allclose(height[np.arange(len(times)), hands], 0.0)
        earlier = scene.track(times - 0.05)["sticks"]
        assert (earlier[np.arange(len(times)), hands] > 0.3).all()


def test_rhythms_have_their_pattern():
    seen = {}
    for seed in range(60):
        scene = make("drum", seed)
        seen.setdefault(scene.attributes["rhythm"], np.diff(moments(scene)))
    assert seen["steady"].std() < 0.01
    assert seen["roll"].max() < 0.11
    assert seen["random"].std() > 0.05
    assert seen["heartbeat"][1] > 2 * seen["heartbeat"][0]
    assert seen["march"][0] == pytest.approx(2 * seen["march"][1], rel=0.1)
    assert seen["gallop"][2] == pytest.approx(2 * seen["gallop"][1], rel=0.15)


def test_big_drums_sound_lower():
    tone: dict[str, list[float]] = {"big": [], "small": []}
    for seed in range(12):
        scene = make("drum", seed)
        power = np.abs(np.fft.rfft(hear(scene))) ** 2
        power[np.fft.rfftfreq(48_000, 1 / RATE) > 600] = 0
        tone[str(scene.attributes["size"])].append(float(power.argmax() / 3))
    assert max(tone["big"]) < min(tone["small"])


def test_the_drop_reaches_the_water_at_the_splash_and_falls_freely():
    for seed in range(8):
        scene = make("tap", seed)
        times = moments(scene)
        assert np.allclose(scene.track(times - 1e-4)["drop"], scene.events[0].y - 0.02, atol=2e-3)
        assert (scene.track(times + 1e-3)["drop"] < scene.events[0].y - 0.2).all(), "the next one hangs"
        heights = scene.track(times[0] - np.array([0.06, 0.04, 0.02]))["drop"]
        first, second = np.diff(heights)
        assert second > first > 0, "it falls faster and faster"


@pytest.mark.parametrize("family", MAKERS)
def test_the_picture_changes_at_every_event(family):
    for seed in range(4):
        scene = make(family, seed)
        event = scene.events[min(1, len(scene.events) - 1)]
        shots = []
        for time in (event.sample / RATE - 0.002, event.sample / RATE + 0.02):
            canvas = Canvas(224, 128)
            scene.backdrop(canvas)
            scene.paint(canvas, time)
            shots.append(canvas.uint8().astype(np.int16))
        x, y = round((event.x + 0.875) * 128), round(event.y * 128)
        near = np.s_[max(y - 40, 0) : y + 40, max(x - 40, 0) : x + 40]
        assert (np.abs(shots[1] - shots[0])[near].max(axis=2) > 40).sum() > 12


@pytest.mark.parametrize(("family", "share"), [("clock", 0.01), ("drum", 0.005), ("tap", 0.01)])
def test_the_named_color_is_seen(family, share):
    for seed in range(12):
        scene = make(family, seed)
        pixels = render(scene, 224, 128, frames=1)[0].reshape(-1, 3) / 255
        near = np.abs(pixels - PALETTE[str(scene.attributes["color"])]).max(axis=1) < 0.16
        assert near.mean() > share, scene.attributes
