from collections.abc import Callable

import numpy as np
import pytest

from happyhorse.world.crickets import make_crickets
from happyhorse.world.draw import Canvas
from happyhorse.world.fire import make_fire
from happyhorse.world.rain import make_rain
from happyhorse.world.scene import RATE, Scene, hear, render
from happyhorse.world.sea import make_sea
from happyhorse.world.sound import active_rms
from happyhorse.world.thunder import make_thunder
from happyhorse.world.wind import make_wind

MAKERS = {
    "rain": make_rain,
    "thunder": make_thunder,
    "sea": make_sea,
    "wind": make_wind,
    "crickets": make_crickets,
    "fire": make_fire,
}
FRAMES = np.arange(75) / 25


def make(family: str, seed: int, seconds: float = 3.0) -> Scene:
    return MAKERS[family](np.random.default_rng(seed), seed, seconds)


def find(family: str, wanted: Callable[[Scene], bool], count: int = 1) -> list[Scene]:
    scenes = [scene for scene in (make(family, seed) for seed in range(80)) if wanted(scene)]
    assert len(scenes) >= count
    return scenes[:count]


def loudness(wave: np.ndarray) -> np.ndarray:
    """[75] RMS around each frame of 640 samples."""
    padded = np.pad(wave, 640)
    return np.array([np.sqrt(np.mean(padded[640 * f : 640 * f + 1280] ** 2)) for f in range(75)])


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.corrcoef(a, b)[0, 1])


@pytest.mark.parametrize("family", MAKERS)
def test_sound_is_bounded_level_and_never_silent_for_long(family):
    for seed in range(6):
        scene = make(family, seed)
        wave = hear(scene)
        assert wave.dtype == np.float32 and len(wave) == 48_000
        assert np.abs(wave).max() < 0.95
        assert 0.03 < loudness(wave).max() < 0.45
        assert len(scene.sound(44_100)) == 132_300


def test_rain_is_as_loud_as_it_is_dense():
    for scene in find("rain", lambda s: s.attributes["course"] != "steady", 3):
        intensity = scene.track(FRAMES)["intensity"]
        assert correlation(intensity, loudness(hear(scene))) > 0.8
        video = render(scene, 112, 64).astype(np.float32)
        moving = np.abs(np.diff(video, axis=0)).mean(axis=(1, 2, 3))
        assert correlation(intensity[1:], moving) > 0.9
        rising = intensity[-1] > intensity[0]
        assert rising == (scene.attributes["course"] == "starting")


def test_heavy_rain_is_louder_and_denser_than_light_rain():
    heavy, light = (find("rain", lambda s, f=f: s.attributes["force"] == f)[0] for f in ("heavy", "light"))
    assert active_rms(hear(heavy), RATE) > 1.3 * active_rms(hear(light), RATE)
    shots = []
    for scene in (heavy, light):
        canvas, densest = Canvas(224, 128), FRAMES[scene.track(FRAMES)["intensity"].argmax()]
        scene.paint(canvas, float(densest))
        shots.append(float(canvas.uint8().mean()))
    assert shots[0] > 1.5 * shots[1]


def test_thunder_comes_after_its_flash_by_the_delay_it_states():
    for scene in find("thunder", lambda s: s.attributes["rain"] == "none", 6):
        flashes = [event for event in scene.events if event.kind == "flash"]
        claps = [event for event in scene.events if event.kind == "thunder"]
        assert len(flashes) == len(claps) == scene.attributes["flashes"]
        for flash, clap in zip(flashes, claps, strict=True):
            assert clap.sample - flash.sample == pytest.approx(16 * float(flash.attrs["delay_ms"]), abs=8)
            assert 0.1 <= (clap.sample - flash.sample) / RATE <= 0.6
        wave, first = hear(scene), claps[0].sample
        assert not wave[:first].any()
        assert np.abs(wave[first : first + 160]).max() > 0.02


def test_the_sky_is_bright_at_the_flash_and_dark_before():
    for seed in range(5):
        scene = make("thunder", seed)
        moment = scene.events[0].sample / RATE
        assert scene.events[0].kind == "flash"
        light = scene.track(np.array([moment - 1e-3, moment, moment + 0.3]))["light"]
        assert light[0] == 0 and light[1] == 1 and light[2] < 0.1
        frame = int(np.ceil(moment * 25))
        video = render(scene, 112, 64, frames=frame + 1).mean(axis=(1, 2, 3))
        assert video[frame] > 1.15 * video[frame - 1]


def test_waves_are_loud_when_they_break_and_then_run_up_the_sand():
    for seed in range(6):
        scene = make("sea", seed)
        track = scene.track(FRAMES)
        assert correlation(track["roar"], loudness(hear(scene))) > 0.75
        for event in scene.events:
            moment = event.sample / RATE
            if 0.3 < moment < 2.0:
                before, after = scene.track(np.array([moment, moment + 0.45]))["edge"]
                assert after > before + 0.03


def test_the_foam_is_where_the_track_says():
    scene = find("sea", lambda s: s.attributes["time"] == "day")[0]
    edge = scene.track(FRAMES)["edge"]
    low, high = int(edge.argmin()), int(edge.argmax())
    video = render(scene, 224, 128).astype(np.float32) / 255
    row = round((edge[high] - 0.02) * 128)
    blue = video[:, row, :, 2].mean(axis=1) - video[:, row, :, 0].mean(axis=1)
    assert blue[high] > blue[low] + 0.1, "water where there was sand"


def test_wind_is_loud_when_the_tree_bends():
    for seed in range(6):
        scene = make("wind", seed)
        track = scene.track(FRAMES)
        assert correlation(track["gust"], loudness(hear(scene))) > 0.85
        assert correlation(track["gust"], np.abs(track["lean"])) > 0.8
        way = 1 if scene.attributes["from"] == "left" else -1
        assert (np.sign(track["lean"]) == way).all()


def test_the_cricket_lifts_its_wings_only_while_it_chirps():
    for seed in range(6):
        scene = make("crickets", seed)
        times = np.array([event.sample for event in scene.events]) / RATE
        assert (scene.track(times)["wings"] > 0.9).all()
        assert (scene.track(times - 2e-3)["wings"] < 0.1).all()
        wave = hear(scene)
        power = np.abs(np.fft.rfft(wave)) ** 2
        peak = np.fft.rfftfreq(len(wave), 1 / RATE)[power.argmax()]
        assert 3_300 < peak < 4_900
        for event in scene.events:
            before, after = (wave[event.sample + s : event.sample + s + 320] for s in (-320, 0))
            assert np.abs(after).max() > 5 * np.abs(before).max()


def test_every_pop_of_the_fire_is_heard_and_throws_light():
    for scene in find("fire", lambda s: s.attributes["crackle"] == "soft", 4):
        wave = hear(scene)
        crisp = np.diff(wave)  # the pops stand out above the roar
        for event in scene.events:
            if 400 < event.sample < 47_600:
                before = np.abs(crisp[event.sample - 240 : event.sample]).max()
                assert np.abs(crisp[event.sample : event.sample + 160]).max() > 1.3 * before
        times = np.array([event.sample for event in scene.events]) / RATE
        assert (scene.track(times)["blaze"] > scene.track(times - 1e-3)["blaze"] + 0.05).all()
