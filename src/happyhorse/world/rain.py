"""Rain on a house, by day or night; the strokes that fall and the noise they make follow one intensity curve."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from happyhorse.world import sound
from happyhorse.world.captions import wordings
from happyhorse.world.draw import Canvas
from happyhorse.world.palette import Color, darker, lighter, mix
from happyhorse.world.scene import Scene, about, details
from happyhorse.world.scenery import cloud, hill, house, pine

HOUSES = ("red", "orange", "yellow", "green", "blue", "purple", "pink", "white", "gray", "brown")
ROOFS = ("red", "brown", "gray", "black", "blue", "purple")
COURSES = {
    "steady": ("", ", steady and even"),
    "starting": (", getting heavier", ", growing stronger and stronger", ", the shower is just beginning"),
    "stopping": (", getting lighter", ", growing weaker and weaker", ", the shower is about to stop"),
}
FORCES = {"light": ("light", "soft", "gentle"), "heavy": ("heavy", "pouring", "strong")}
WHEN = {
    "day": ("by day", "in the daytime", "during the day"),
    "night": ("at night", "by night", "in the dark of night"),
}

CAPTIONS = (
    "{force} rain",
    "rain falls on a house",
    "{force} rain falls on a {color} house {course}",
    "a {color} house in the rain {when} {course}",
    "{when}, {force} rain, {color} house with a {roof} roof {course}",
    "it rains on a {color} house {when} {course}",
    "{force} rain patters down on a {color} house with a {roof} roof {when} {course}",
    "a rainy {time}, sound of {force} rain {course}",
    "{when} a {color} house stands under a gray sky and {force} rain comes down {course}",
    "sound of {force} rain {course}, house with a {roof} roof",
)
HELDOUT = (
    "wet weather {when}: {force} rain drums on the {roof} roof of a {color} home {course}",
    "we listen to {force} rain by a {color} cottage {when} {course}",
)


@dataclass(frozen=True)
class Rain:
    """Falling strokes and their splashes.

    start [n, 2]: where a stroke is at time 0; speed [n] and length [n] in units (a second); near [n]: 0 far, 1 near;
    slant: x per y; splashes [m, 4]: time, x, y, size; rank [n], [m]: a stroke is there while the intensity exceeds it.
    """

    start: np.ndarray
    speed: np.ndarray
    length: np.ndarray
    near: np.ndarray
    slant: float
    rank: np.ndarray
    splashes: np.ndarray
    splash_rank: np.ndarray


def rainfall(rng: np.random.Generator, force: str, seconds: float, ground: float) -> Rain:
    """Rain of a force ("light" or "heavy") for a clip, splashing on the ground below y = ground."""
    count, rate = (46, 26) if force == "light" else (130, 60)
    near = np.sort(rng.random(count))
    splashes = int(rate * seconds)
    moments = np.sort(rng.uniform(0, seconds, splashes))
    place = rng.uniform([-0.95, ground, 0.6], [0.95, 0.99, 1.3], (splashes, 3))
    return Rain(
        start=np.stack([rng.uniform(-1.1, 1.1, count), rng.uniform(0, 1.3, count)], axis=1),
        speed=1.5 + 1.1 * near,
        length=(0.06 + 0.10 * near) * (0.8 if force == "light" else 1.0),
        near=near,
        slant=about(rng, -0.22, 0.22),
        rank=rng.permutation(count) / count,
        splashes=np.concatenate([moments[:, None], place], axis=1),
        splash_rank=rng.random(splashes),
    )


def paint_rain(canvas: Canvas, rain: Rain, time: float, intensity: float, color: Color) -> None:
    """The strokes and splashes at a time in seconds, as many as the intensity in 0..1 lets through."""
    shown = rain.rank < intensity
    y = (rain.start[:, 1] + rain.speed * time) % 1.3 - 0.15
    x = (rain.start[:, 0] + rain.slant * y + 1.1) % 2.2 - 1.1
    strokes = np.stack([x, y, x - rain.slant * rain.length, y - rain.length], axis=1)
    middle = len(strokes) // 2  # sorted by nearness: far ones are shorter, so their windows are smaller
    for half in (slice(None, middle), slice(middle, None)):
        keep = shown[half]
        near = rain.near[half][keep]
        canvas.lines(strokes[half][keep], 0.0035 + 0.0035 * near, color, 0.35 + 0.4 * near)
    age = time - rain.splashes[:, 0]
    fresh = (age >= 0) & (age < 0.16) & (rain.splash_rank < intensity)
    if fresh.any():
        age, (_, x, y, size) = age[fresh], rain.splashes[fresh].T
        reach = (0.012 + 0.16 * age) * size
        jump = y - 0.02 * size * np.sin(np.pi * age / 0.16)
        dashes = np.concatenate(
            [
                np.stack([x - reach, jump, x - 0.5 * reach, y], axis=1),
                np.stack([x + reach, jump, x + 0.5 * reach, y], axis=1),
            ]
        )
        canvas.lines(dashes, 0.006, color, np.tile(0.9 * (1 - age / 0.16), 2))


def rain_noise(
    rate: int,
    seconds: float,
    force: str,
    rain: Rain,
    intensity: Callable[[np.ndarray], np.ndarray],
    rng: np.random.Generator,
) -> np.ndarray:
    """[n] at `rate` Hz: the hiss of the rain, about RMS 1 at intensity 1, and a patter for every splash seen."""
    n = sound.length(seconds, rate)
    grid = np.linspace(0, seconds, 64)
    swell = np.interp(np.arange(n) / rate, grid, intensity(grid)).astype(np.float32)
    light = force == "light"
    hiss = sound.noise(rate, seconds, rng, 900 if light else 350, 7500, 0.3 if light else 0.45)
    out = hiss * swell * np.float32(0.45 if light else 0.95)
    shown = rain.splash_rank < np.interp(rain.splashes[:, 0], grid, intensity(grid))
    kit = [
        sound.strike(rate, str(m), 0.1 + 0.25 * rng.random(), 1.0, rng, 0.6)[: rate // 12]
        for m in ("water", "wood") * 4
    ]
    for (moment, _, _, size), tune in zip(
        rain.splashes[shown], rng.integers(0, 8, int(shown.sum())), strict=True
    ):
        sound.place(
            out, sound.length(float(moment), rate), kit[int(tune)], float(size) * (2.2 if light else 1.5)
        )
    return out


def make_rain(rng: np.random.Generator, seed: int, seconds: float) -> Scene:
    """Light or heavy rain on a house by day or at night, steady, growing or ceasing."""
    force, time_of_day = str(rng.choice(list(FORCES))), str(rng.choice(["day", "night"]))
    course = str(rng.choice(list(COURSES), p=[0.5, 0.25, 0.25]))
    color = str(rng.choice(HOUSES))
    roof = str(rng.choice([c for c in ROOFS if c != color]))
    x, base = about(rng, -0.20, 0.20), about(rng, 0.80, 0.88)
    size = about(rng, 0.42, 0.56)
    ground = base - 0.06
    rain = rainfall(np.random.default_rng([details(seed), 4]), force, seconds, ground + 0.03)
    turn, quick = float(rng.uniform(0.3, 0.65)) * seconds, float(rng.uniform(0.25, 0.45))
    night = time_of_day == "night"
    dim = 0.55 if night else 0.08

    def intensity(times: np.ndarray) -> np.ndarray:
        """[F] in 0..1: constant, or a smooth step up or down around a moment of the clip."""
        if course == "steady":
            return np.ones(len(times))
        step = 1 / (1 + np.exp(-(np.asarray(times) - turn) / quick * 3))
        return 0.10 + 0.90 * (step if course == "starting" else 1 - step)

    def backdrop(canvas: Canvas) -> None:
        draws = np.random.default_rng([details(seed), 3])
        top, low = (
            ("night", mix("night", "overcast", 0.28)) if night else (darker("overcast", 0.30), "overcast")
        )
        canvas.gradient(top, low)
        for cx, cy, wide in draws.uniform([-0.95, 0.02, 0.4], [0.95, 0.16, 0.7], (4, 3)):
            cloud(canvas, cx, cy, wide, mix("overcast", "night", 0.72 if night else 0.30), 0.85)
        grass = darker(mix("grass", "overcast", 0.2), 0.62 if night else 0.12)
        canvas.polygon(hill(draws, ground - 0.12, 0.07), lighter(mix(grass, low, 0.45), 0.02))
        for place in draws.uniform([-0.85, 0.0, 0.2], [0.85, 0.02, 0.34], (5, 3)):
            if abs(place[0] - x) > 0.62 * size + 0.08:
                pine(
                    canvas,
                    place[0],
                    ground + 0.02 + place[1],
                    place[2],
                    darker("pine", 0.5 if night else 0.05),
                )
        canvas.polygon(hill(draws, ground, 0.012), grass, to=darker(grass, 0.25))
        house(canvas, x, base, size, color, roof, night, dim)
        canvas.ellipse(x, base + 0.055, 0.10 * size, 0.035, darker("sand", dim + 0.2))
        for place in draws.uniform([-0.8, base + 0.02, 0.08], [0.8, 0.98, 0.2], (3, 3)):
            canvas.ellipse(place[0], place[1], place[2], 0.14 * place[2], mix(grass, low, 0.65), alpha=0.8)

    def listen(rate: int) -> np.ndarray:
        wet = rain_noise(rate, seconds, force, rain, intensity, np.random.default_rng([seed, 1]))
        return sound.level(wet, rate, -22.0 if force == "light" else -18.5)

    slots = {
        "force": FORCES[force],
        "time": time_of_day,
        "when": WHEN[time_of_day],
        "color": color,
        "roof": roof,
        "course": COURSES[course],
    }
    words = np.random.default_rng([seed, 2])
    streak = mix("haze", "night", 0.35) if night else lighter("haze", 0.3)
    return Scene(
        family="rain",
        seed=seed,
        seconds=seconds,
        attributes={"force": force, "time": time_of_day, "color": color, "roof": roof, "course": course},
        events=(),
        captions=wordings(CAPTIONS, slots, words),
        heldout=wordings(HELDOUT, slots, words),
        backdrop=backdrop,
        paint=lambda canvas, time: paint_rain(
            canvas, rain, time, float(intensity(np.array([time]))[0]), streak
        ),
        sound=listen,
        track=lambda times: {"intensity": intensity(np.asarray(times))},
    )
