"""A horse that walks, trots or gallops through a landscape: every footfall is seen and heard at its exact
time.

The picture moves along with the horse. The ground scrolls at the speed at which the standing hooves move
back under the trunk, so a hoof on the ground keeps its place on it.
"""

from collections.abc import Mapping
from functools import partial

import numpy as np

from happyhorse.world import gait as gaits
from happyhorse.world import horse_figure, sound
from happyhorse.world.captions import wordings
from happyhorse.world.draw import Canvas
from happyhorse.world.gait import GAITS, LEGS, Gait
from happyhorse.world.horse_figure import COATS, FAR_SIDE, Frame
from happyhorse.world.landscape import LANDS, SKIES, Landscape
from happyhorse.world.palette import rgb
from happyhorse.world.scene import DETAILS, RATE, Event, Scene, about, details

STREAM = {"walk": 0.10, "trot": 0.45, "gallop": 0.95}
"""How far mane and tail stream behind the horse, 0..1."""

DUST: Mapping[str, tuple[tuple[float, float, float], float]] = {
    "meadow": ((0.46, 0.40, 0.26), 0.35),
    "desert": ((0.96, 0.84, 0.64), 0.85),
    "snow": ((1.0, 1.0, 1.0), 0.90),
    "beach": ((0.98, 0.92, 0.78), 0.70),
    "forest": ((0.48, 0.38, 0.26), 0.45),
}
"""Colour and density of what a hoof throws up."""

STEPS: Mapping[str, tuple[tuple[str, float], ...]] = {
    "meadow": (("dirt", 0.8), ("grass", 0.45)),
    "desert": (("sand", 0.7), ("dirt", 0.5)),
    "snow": (("snow", 0.8), ("dirt", 0.5)),
    "beach": (("sand", 1.0), ("dirt", 0.3)),
    "forest": (("dirt", 1.0), ("wood", 0.08)),
}
"""What a hoof strikes, and how loud."""

BEDS: Mapping[str, tuple[float, float, float]] = {
    "meadow": (900, 5000, -50),
    "desert": (150, 900, -46),
    "snow": (120, 700, -48),
    "beach": (300, 2500, -40),
    "forest": (1500, 6000, -48),
    "rain": (1200, 7800, -33),
}
"""Band in Hz and level in dBFS of the air around."""


def make(rng: np.random.Generator, seed: int, seconds: float) -> Scene:
    """A scene of the family "horse"."""
    name = list(GAITS)[rng.integers(len(GAITS))]
    coat = list(COATS)[rng.integers(len(COATS))]
    land, sky = LANDS[rng.integers(len(LANDS))], SKIES[rng.integers(len(SKIES))]
    gait, direction = GAITS[name], 1 if rng.random() < 0.5 else -1
    period, start = rng.uniform(*gait.period), rng.random()
    size, ground = about(rng, 0.40, 0.50), about(rng, 0.85, 0.91)
    x0, drift = about(rng, -0.10, 0.10), about(rng, -0.03, 0.03)
    scenery = Landscape(land, sky, about(rng, 0.48, 0.60), ground, int(rng.integers(DETAILS)))
    speed = direction * gait.speed(period) * size - drift  # of the ground, to the left
    tint = np.sqrt(scenery.tint)  # eyes follow the horse: it is lit a little better than the land
    colors = horse_figure.dress(coat, tint)

    def frame(t: float) -> Frame:
        return Frame(x0 + drift * t, ground, size, direction)

    def stride(t: float) -> float:
        return start + t / period

    landings = gaits.landings(gait, start, period, seconds)
    events = tuple(_footfall(gait, frame(t), t, leg) for t, leg in landings)

    def paint(canvas: Canvas, t: float) -> None:
        behind, front = scenery.strips(canvas)
        for strip in behind:
            strip.show(canvas, speed * t)
        here = frame(t)
        canvas.ellipse(
            here.x,
            ground - 0.02 * size,
            0.62 * size,
            0.055 * size,
            (0.05, 0.05, 0.12),
            alpha=0.28,
            soft=0.06 * size,
        )
        body, legs = gaits.body(gait, stride(t)), gaits.legs(gait, stride(t))
        horse_figure.paint(canvas, here, colors, body, legs, stride(t), STREAM[name])
        _dust(canvas, events, t, speed, size * min(1.0, 0.35 + 0.2 * gait.speed(period)), land, tint)
        for strip in front:
            strip.show(canvas, speed * t)
        if sky == "rain":
            _rain(canvas, scenery.seed, t, speed)

    def track(times: np.ndarray) -> dict[str, np.ndarray]:
        return _track(
            gait,
            [frame(float(t)) for t in times],
            [stride(float(t)) for t in times],
            speed * np.asarray(times),
        )

    attributes: dict[str, str | int | float] = {
        "color": coat, "gait": name, "land": land, "sky": sky, "direction": "right" if direction > 0 else "left",
        "stride": round(float(period), 3), "hoofbeats": len(events),
    }  # fmt: skip
    captions, heldout = _captions(rng, attributes)
    hear = partial(_sound, seconds=seconds, events=events, land=land, sky=sky, seed=seed)
    return Scene(
        "horse", seed, seconds, attributes, events, captions, heldout, scenery.backdrop, paint, hear, track
    )


def _footfall(gait: Gait, frame: Frame, t: float, leg: int) -> Event:
    near = (LEGS[leg][0] == "r") == (frame.direction > 0)
    x, y, _ = gaits.toe(gait, leg, 0.0)
    spot = frame.place(np.array([x, y])) - (0.0, 0.0 if near else FAR_SIDE * frame.size)
    return Event("hoof", round(t * RATE), float(spot[0]), float(spot[1]), {"leg": LEGS[leg]})


def _track(
    gait: Gait, frames: list[Frame], strides: list[float], ground: np.ndarray
) -> dict[str, np.ndarray]:
    """ "body" and the toes ("lh", "lf", "rh", "rf") [F, 2] in the picture, and "ground" [F]: how far it has
    moved to the left."""
    found: dict[str, list[np.ndarray]] = {key: [] for key in ("body", *LEGS)}
    for frame, stride in zip(frames, strides, strict=True):
        found["body"].append(frame.place(np.array(gaits.body(gait, stride).carry((0.0, 0.8)))))
        for index, name in enumerate(LEGS):
            x, y, _ = gaits.toe(gait, index, gaits.phase(gait, index, stride))
            near = (name[0] == "r") == (frame.direction > 0)
            found[name].append(frame.place(np.array([x, y])) - (0.0, 0.0 if near else FAR_SIDE * frame.size))
    return {key: np.array(value).reshape(-1, 2) for key, value in found.items()} | {"ground": ground}


def _dust(
    canvas: Canvas,
    events: tuple[Event, ...],
    t: float,
    speed: float,
    size: float,
    land: str,
    tint: np.ndarray,
) -> None:
    """Puffs where hooves have just struck, growing and fading for a third of a second while they stay with
    the ground."""
    color, density = DUST[land]
    for event in events:
        age = t - event.sample / RATE
        if 0.0 <= age < 0.34:
            share = age / 0.34
            r = size * (0.05 + 0.17 * share**0.6)
            canvas.ellipse(
                event.x - speed * age, event.y - 0.35 * r, 1.3 * r, 0.75 * r, rgb(color) * tint,
                alpha=density * (1.0 - share) ** 1.3, soft=0.9 * r,
            )  # fmt: skip


def _rain(canvas: Canvas, seed: int, t: float, speed: float) -> None:
    """Falling streaks, slanted by the way the picture moves."""
    rng = np.random.default_rng([details(seed), 3])
    x, y, fall = rng.uniform(-1.1, 1.1, 60), rng.uniform(0.0, 1.15, 60), rng.uniform(1.9, 2.4, 60)
    slant = -0.25 * speed / fall
    y = (y + fall * t) % 1.15 - 0.1
    x = (x - 0.25 * speed * t + 1.1) % 2.2 - 1.1
    canvas.lines(np.stack([x, y, x + 0.07 * slant, y + 0.07], axis=1), 0.0035, (0.85, 0.90, 0.98), 0.55)


def _sound(
    rate: int, seconds: float, events: tuple[Event, ...], land: str, sky: str, seed: int
) -> np.ndarray:
    """Every footfall on its ground, forehooves a little heavier, and the air around."""
    wave = np.zeros(round(seconds * rate), np.float32)
    for index, event in enumerate(events):
        rng = np.random.default_rng([seed, index])
        fore = str(event.attrs["leg"])[1] == "f"
        for material, loud in STEPS[land]:
            gain = loud * (1.0 if fore else 0.8) * rng.uniform(0.85, 1.0)
            sound.place(
                wave,
                sound.onset(event.sample, rate),
                sound.strike(rate, material, 0.55 if fore else 0.4, gain, rng),
            )
    low, high, db = BEDS["rain" if sky == "rain" else land]
    air = sound.noise(rate, seconds, np.random.default_rng([seed, 10_000]), low, high)
    return sound.limit(sound.level(wave, rate) + air * np.float32(10 ** (db / 20)))


WALKS = {"walk": ("walks", "strolls"), "trot": ("trots",), "gallop": ("gallops", "runs")}
WALKING = {"walk": ("walking", "strolling"), "trot": ("trotting",), "gallop": ("galloping", "running")}
THROUGH = {
    "meadow": ("through a meadow", "across a green meadow", "over the grass of a meadow"),
    "desert": ("through the desert", "across a desert", "over desert sand"),
    "snow": ("through the snow", "across a snowy field", "over fresh snow"),
    "beach": ("along the beach", "on a beach", "along a sandy beach by the sea"),
    "forest": ("through a forest", "along a forest path", "through the woods"),
}
WEATHER = {
    "sunny": ("on a sunny day", "in bright sunshine", "under a blue sky"),
    "cloudy": ("on a cloudy day", "under a cloudy sky", "under gray clouds"),
    "sunset": ("at sunset", "in the evening sun", "under an orange sky"),
    "night": ("at night", "under the moon", "on a starry night"),
    "rain": ("in light rain", "on a rainy day", "in the rain"),
}
BEATS = {
    "walk": ("slow hoofbeats", "calm hoofbeats"),
    "trot": ("steady hoofbeats", "even hoofbeats"),
    "gallop": ("fast hoofbeats", "quick galloping hoofbeats"),
}
FEEL = {
    "meadow": ("soft thuds on the grass", "hooves thudding on turf"),
    "desert": ("dull thuds on the sand", "hooves in dry sand"),
    "snow": ("crunching snow", "hooves crunching in the snow"),
    "beach": ("hooves in wet sand", "soft thuds on the sand"),
    "forest": ("hooves thudding on the forest floor", "deep thuds on the earth"),
}
CAPTIONS = (
    "a {coat} horse {walks} {through}",
    "{coat} horse, {walk}, {land}",
    "a {coat} horse {walking} {through} {weather}",
    "a {coat} horse {walks} to the {side} {through} {weather}",
    "{walking} {coat} horse, {land}, {sky}",
    "side view of a {coat} horse {walking} {through}, {beats}",
    "{weather} a {coat} horse {walks} {through}, with {beats}",
    "{beats} of a {coat} horse {walking} {through}",
    "a {coat} horse at a {walk}, seen from the side, {through}; {feel}",
    "{land}, {sky}: a {coat} horse {walking} to the {side}",
    "the camera follows a {coat} horse as it {walks} {through} {weather}, and we hear {feel}",
    "a horse with a {coat} coat {walks} {through}",
    "a video of a {coat} horse {walking} {weather}, {land} in the background, sound of {beats}",
    "the {coat} horse {walks} {through}, heading {side}, {feel}",
)
HELDOUT = (
    "there goes a {coat} horse at a {walk}, {land} all around it",
    "listen to the {beats} while a {coat} horse makes its way {through}",
    "{weather}, somebody's {coat} horse is out {walking} and turns its head to the {side}",
    "picture this: {through} {walks} a {coat} horse",
)


def _captions(
    rng: np.random.Generator, attributes: Mapping[str, str | int | float]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    name, land, sky = (str(attributes[key]) for key in ("gait", "land", "sky"))
    slots = {
        "coat": str(attributes["color"]), "walk": name, "walks": WALKS[name], "walking": WALKING[name],
        "land": land, "through": THROUGH[land], "sky": sky, "weather": WEATHER[sky],
        "side": str(attributes["direction"]), "beats": BEATS[name], "feel": FEEL[land],
    }  # fmt: skip
    return wordings(CAPTIONS, slots, rng, 6), wordings(HELDOUT, slots, rng, 2)
