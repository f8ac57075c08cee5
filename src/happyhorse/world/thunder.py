"""A thunderstorm: lightning strikes behind a landscape, and its thunder follows after a delay that the events state."""

import numpy as np

from happyhorse.world import sound
from happyhorse.world.captions import wordings
from happyhorse.world.draw import Canvas
from happyhorse.world.palette import Color, darker, lighter, mix
from happyhorse.world.rain import paint_rain, rain_noise, rainfall
from happyhorse.world.scene import RATE, Event, Scene, about, details
from happyhorse.world.scenery import cloud, hill, house, pine

PLACES = ("house", "forest", "sea")
PLACE_WORDS = {
    "house": ("over a lonely house", "over a house", "behind a house"),
    "forest": ("over a forest", "over dark pine trees", "over the trees"),
    "sea": ("over the sea", "over dark water", "out at sea"),
}
RAIN_WORDS = {
    "none": ("no rain", "not a drop of rain"),
    "light": ("light rain", "soft rain"),
    "heavy": ("heavy rain", "pouring rain"),
}
SIDES = {
    "left": ("on the left", "to the left"),
    "middle": ("in the middle",),
    "right": ("on the right", "to the right"),
}
NEAR = {"close": ("close", "near", "loud"), "distant": ("distant", "faraway", "rumbling")}
TIMES = {1: ("once", "a single time"), 2: ("twice", "two times")}

CAPTIONS = (
    "thunder and lightning",
    "a thunderstorm {place}",
    "lightning flashes {side} and thunder rolls, {rain}",
    "lightning strikes {times} {place}, {near} thunder, {rain}",
    "{near} thunder after a flash of lightning {side}, {place}",
    "a stormy night with {rain}, lightning {side} {place}",
    "a bolt of lightning {side} lights up the sky {place}, then comes {near} thunder",
    "{rain}, lightning {times}, {near} thunder, {place}",
    "a dark sky {place}: lightning flashes {times} {side} and {near} thunder follows, {rain}",
    "storm at night, {near} thunder, {rain}",
)
HELDOUT = (
    "the night sky tears open {side} {place}; {near} thunder answers, {rain}",
    "we see lightning {times} {place} and hear {near} thunder a moment later, {rain}",
)


def make_thunder(rng: np.random.Generator, seed: int, seconds: float) -> Scene:
    """Bolts of lightning, one or two in 3 s, each lit for 0.25 s; thunder follows each flash by 0.1 to 0.6 s."""
    place, force = str(rng.choice(PLACES)), str(rng.choice(list(RAIN_WORDS), p=[0.3, 0.35, 0.35]))
    near = str(rng.choice(list(NEAR)))
    side = str(rng.choice(list(SIDES)))
    first = float(rng.uniform(0.15, 0.5) * min(seconds, 3.0))
    many = int(rng.integers(1, 3)) if seconds < 4.0 else max(1, round(seconds / float(rng.uniform(2.0, 4.0))))
    flashes = first + np.cumsum([0.0, *rng.uniform(1.1, 1.5 if seconds < 4.0 else 3.0, many - 1)])
    flashes = [float(t) for t in flashes if t < seconds - 0.8 or t == first]
    delays = [float(rng.uniform(0.10, 0.22) if near == "close" else rng.uniform(0.35, 0.60)) for _ in flashes]
    strikes = [round(t * RATE) for t in flashes]
    claps = [strike + round(delay * RATE) for strike, delay in zip(strikes, delays, strict=True)]
    middle = {"left": -0.32, "middle": 0.0, "right": 0.32}[side]
    ground = about(rng, 0.74, 0.82)
    bolts = [_bolt(rng, middle + about(rng, -0.10, 0.10), ground - 0.06) for _ in flashes]
    rain = (
        None
        if force == "none"
        else rainfall(np.random.default_rng([details(seed), 4]), force, seconds, ground + 0.04)
    )
    tint = mix((0.75, 0.80, 1.0), (0.95, 0.85, 1.0), float(rng.random()))
    roof = about(rng, -0.25, 0.25) if side != "middle" else float(rng.choice([-0.3, 0.3]))
    color = str(rng.choice(["red", "blue", "green", "white", "yellow", "brown"]))
    haze = mix("night", "overcast", about(rng, 0.15, 0.40))

    def light(times: np.ndarray) -> np.ndarray:
        """[F] brightness of the sky's light: 1 at a flash, gone after a quarter of a second but for a flicker."""
        total = np.zeros(len(times))
        for strike in strikes:
            age = np.asarray(times) - strike / RATE
            flicker = np.exp(-age / 0.09) + 0.7 * np.exp(-(((age - 0.16) / 0.03) ** 2))
            total = np.maximum(total, np.where((age >= 0) & (age < 0.6), np.minimum(flicker, 1.0), 0.0))
        return total

    def backdrop(canvas: Canvas) -> None:
        draws = np.random.default_rng([details(seed), 3])
        canvas.gradient(darker("night", 0.2), haze, 0.0, 1.0)
        for x, y, size in draws.uniform([-0.95, 0.0, 0.5], [0.95, 0.14, 0.9], (6, 3)):
            cloud(canvas, x, y, size, mix("overcast", "night", 0.80), 0.9)
        land: Color = darker(mix("grass", "night", 0.72), 0.1)
        if place == "sea":
            canvas.rect(
                -1.2, ground, 1.2, 1.1, lighter(mix("water", "night", 0.6), 0.1), to=darker("night", 0.1)
            )
            for _ in range(26):
                x, y = draws.uniform(-0.95, 0.95), ground + 0.01 + 0.25 * draws.random() ** 1.4
                canvas.capsule(
                    x, y, x + draws.uniform(0.04, 0.14), y, 0.004, mix("haze", "night", 0.5), alpha=0.5
                )
            return
        canvas.polygon(hill(draws, ground - 0.04, 0.06), mix(land, haze, 0.45))
        for x, y, size in draws.uniform(
            [-0.95, -0.02, 0.25], [0.95, 0.05, 0.5], (13 if place == "forest" else 3, 3)
        ):
            if place == "forest" or abs(x - roof) > 0.42:
                pine(
                    canvas,
                    x,
                    ground + y,
                    size * (0.8 if place == "forest" else 0.6),
                    mix("pine", "night", 0.55),
                )
        canvas.polygon(hill(draws, ground + 0.04, 0.02), land, to=darker(land, 0.4))
        if place == "house":
            house(canvas, roof, ground + 0.11, 0.36, color, "black", True, 0.62)

    def paint(canvas: Canvas, time: float) -> None:
        bright = float(light(np.array([time]))[0])
        if bright > 0.02:
            canvas.add_light(tint * np.float32(0.42 * bright))
            index = int(np.searchsorted(strikes, round(time * RATE), side="right")) - 1
            if time - strikes[index] / RATE < 0.28:
                trunk, branch = bolts[index]
                canvas.glow(float(trunk[0, 0]), 0.30, 0.8, tint, 0.5 * bright)
                for points, thick in ((trunk, 0.013), (branch, 0.008)):
                    segments = np.concatenate([points[:-1], points[1:]], axis=1)
                    canvas.lines(segments, 2.2 * thick, tint, 0.35 + 0.25 * bright)
                    canvas.lines(segments, thick, (1.0, 1.0, 1.0), 1.0)
        if rain is not None:
            paint_rain(canvas, rain, time, 1.0, mix("haze", "night", 0.4 - 0.4 * bright))

    def listen(rate: int) -> np.ndarray:
        draws = np.random.default_rng([seed, 1])
        out = np.zeros(sound.length(seconds, rate), np.float32)
        for clap in claps:
            sound.place(out, sound.onset(clap, rate), _thunder(rate, near == "close", draws))
        out = sound.level(out, rate, -18.0)
        if rain is not None:
            wet = rain_noise(rate, seconds, force, rain, lambda t: np.ones(len(t)), draws)
            out = sound.limit(out + sound.level(wet, rate, -31.0 if force == "light" else -27.0))
        return out

    slots = {
        "place": PLACE_WORDS[place],
        "rain": RAIN_WORDS[force],
        "side": SIDES[side],
        "near": NEAR[near],
        "times": TIMES.get(len(flashes), ("again and again", "several times")),
    }
    words = np.random.default_rng([seed, 2])
    events = [
        Event("flash", s, float(b[0][-1, 0]), float(b[0][-1, 1]), {"delay_ms": round((c - s) / 16)})
        for s, c, b in zip(strikes, claps, bolts, strict=True)
    ]
    events += [
        Event("thunder", c, e.x, e.y, {"delay_ms": e.attrs["delay_ms"]})
        for c, e in zip(claps, events, strict=True)
    ]
    return Scene(
        family="thunder",
        seed=seed,
        seconds=seconds,
        attributes={"place": place, "rain": force, "side": side, "distance": near, "flashes": len(flashes)},
        events=tuple(
            sorted((e for e in events if e.sample < seconds * RATE), key=lambda event: event.sample)
        ),
        captions=wordings(CAPTIONS, slots, words),
        heldout=wordings(HELDOUT, slots, words),
        backdrop=backdrop,
        paint=paint,
        sound=listen,
        track=lambda times: {"light": light(np.asarray(times))},
    )


def _bolt(rng: np.random.Generator, x: float, low: float) -> tuple[np.ndarray, np.ndarray]:
    """[n, 2] a jagged path from the clouds to y = low, and [m, 2] a branch of it."""
    y = np.linspace(0.10, low, 9) + np.concatenate([[0], rng.uniform(-0.02, 0.02, 7), [0]])
    trunk = np.stack([x + np.concatenate([[0], np.cumsum(rng.uniform(-0.075, 0.075, 8))]), y], axis=1)
    fork = int(rng.integers(2, 5))
    way = rng.choice([-1.0, 1.0])
    steps = np.cumsum(
        np.stack([way * rng.uniform(0.03, 0.09, 4), rng.uniform(0.03, 0.08, 4)], axis=1), axis=0
    )
    return trunk, np.concatenate([trunk[fork : fork + 1], trunk[fork] + steps])


def _thunder(rate: int, close: bool, rng: np.random.Generator) -> np.ndarray:
    """[n] a clap: close ones crack over the whole band, distant ones rumble below 300 Hz; both roll for some 2 s."""
    seconds = 2.2
    grid = np.linspace(0, seconds, 12)
    roll = np.exp(-grid / (0.6 if close else 0.9)) * np.concatenate([[1.0], rng.uniform(0.45, 1.2, 11)])
    swell = np.interp(np.arange(sound.length(seconds, rate)) / rate, grid, roll).astype(np.float32)
    out = sound.noise(rate, seconds, rng, 35, 260 if close else 170, 0.3) * swell
    out *= np.float32(0.8)
    rough = sound.noise(rate, 1.1, rng, 150, 1600 if close else 700, 0.5) * sound.decay(rate, 1.1, 0.8)
    sound.place(out, 0, rough, 0.7 if close else 0.35)
    if close:
        for delay in (0.0, *np.sort(rng.uniform(0.02, 0.22, 4))):
            crack = sound.noise(rate, 0.16, rng, 900, 7500, 0.2) * sound.decay(rate, 0.16, 0.14)
            sound.place(
                out, sound.length(float(delay), rate), crack, 1.4 if delay == 0 else rng.uniform(0.4, 0.9)
            )
    return out * sound.envelope(rate, seconds, 0.0, 0.3)
