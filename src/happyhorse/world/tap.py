"""A tap that drips: each drop grows, falls and splashes into a vessel of water."""

import itertools

import numpy as np

from happyhorse.world import sound
from happyhorse.world.captions import PACE, wordings
from happyhorse.world.draw import Canvas
from happyhorse.world.palette import COLORS, darker, lighter, mix
from happyhorse.world.rooms import WALLS, wall_color
from happyhorse.world.scene import RATE, Event, Scene, about, details

METALS = {"silver": "metal", "golden": "gold", "copper": (0.80, 0.45, 0.28), "black": "black"}
VESSELS = ("sink", "bucket", "bowl")
TEMPI = {"slow": (0.85, 1.2), "medium": (0.52, 0.68), "fast": (0.30, 0.38)}

CAPTIONS = (
    "a dripping tap",
    "water drips from a tap",
    "a {metal} tap drips into a {color} {vessel}",
    "drops fall {speed} from a {metal} tap into a {color} {vessel}",
    "{tempo} dripping, a {metal} tap over a {color} {vessel}, {wall} tiles",
    "a {metal} faucet drips {speed}, each drop splashes into a {color} {vessel} full of water",
    "in front of {wall} tiles a tap drips {speed} into a {color} {vessel}",
    "{wall} wall, {metal} tap, {color} {vessel}, dripping water",
    "a drop grows on a {metal} tap, falls and splashes in a {color} {vessel}, again and again, {speed}; "
    "the tiles are {wall}",
    "drip, drip, a leaking tap, a {color} {vessel}, {tempo} drops",
)
HELDOUT = (
    "a leaky {metal} spigot lets drops fall {speed} into a {color} {vessel} by a {wall} tiled wall",
    "plink plonk: water from a {metal} tap, drop by drop, {speed}, {color} {vessel} below, {wall} tiles behind",
)


def make_tap(rng: np.random.Generator, seed: int, seconds: float) -> Scene:
    """A tap over a vessel; every drop splashes with a plop, ripples and droplets, and in a bucket it rings."""
    tempo = str(rng.choice(list(TEMPI)))
    gap = float(rng.uniform(*TEMPI[tempo]))
    onsets = _splashes(rng, gap, seconds)
    color, vessel, metal = (
        str(rng.choice(list(COLORS))),
        str(rng.choice(VESSELS)),
        str(rng.choice(list(METALS))),
    )
    paper = str(rng.choice(WALLS))
    side = int(rng.choice([-1, 1]))
    cx = about(rng, -0.08, 0.08)
    spout, water = about(rng, 0.30, 0.36), about(rng, 0.70, 0.76)
    wide = float(
        {"sink": about(rng, 0.38, 0.44), "bucket": about(rng, 0.25, 0.29), "bowl": about(rng, 0.31, 0.36)}[
            vessel
        ]
    )
    flat = 0.24 * wide
    size = about(rng, 0.034, 0.044)
    fall = float(rng.uniform(0.24, 0.30))
    tile = about(rng, 0.16, 0.24)
    pipe = METALS[metal]
    toss = rng.uniform([-0.55, 0.45, 0.5], [0.55, 0.85, 1.0], (len(onsets), 5, 3))

    def backdrop(canvas: Canvas) -> None:
        paint = wall_color(paper)
        canvas.gradient(lighter(paint, 0.12), darker(paint, 0.08))
        draws = np.random.default_rng([details(seed), 3])
        for x in np.arange(-6, 6) * tile:
            for y in np.arange(-1, 7) * tile:
                tone = lighter(paint, 0.10 + 0.25 * draws.random())
                canvas.rect(x + 0.006, y + 0.006, x + tile - 0.006, y + tile - 0.006, tone, 0.55, 0.012)
        canvas.ellipse(cx + 0.02, 0.985, 1.1 * wide, 0.06, "black", alpha=0.22, soft=0.08)
        low, foot = 0.97, {"sink": 0.75, "bucket": 0.74, "bowl": 0.45}[vessel]
        if vessel == "bucket":
            canvas.polygon(
                [
                    [cx - wide, water - 0.03],
                    [cx + wide, water - 0.03],
                    [cx + foot * wide, low],
                    [cx - foot * wide, low],
                ],
                lighter(color, 0.06),
                to=darker(color, 0.25),
            )
            canvas.polygon(
                [
                    [cx - 0.75 * wide, water],
                    [cx - 0.5 * wide, water],
                    [cx - 0.40 * wide, low],
                    [cx - 0.56 * wide, low],
                ],
                lighter(color, 0.35),
                alpha=0.5,
            )
        else:
            angle = np.linspace(0.0, np.pi, 25)
            bulge = 0.55 if vessel == "sink" else 0.85
            x = cx + wide * np.sign(np.cos(angle)) * np.abs(np.cos(angle)) ** bulge
            y = water - 0.03 + (low - water + 0.03) * np.sin(angle) ** bulge
            canvas.polygon(np.stack([x, y], axis=1), lighter(color, 0.08), to=darker(color, 0.28))
        canvas.ellipse(
            cx, water - 0.03, wide * 1.04, flat * 1.10, lighter(color, 0.28), to=lighter(color, 0.05)
        )
        canvas.ellipse(
            cx, water - 0.026, wide * 0.95, flat * 0.97, darker(color, 0.40), to=darker(color, 0.2)
        )
        _water(canvas, cx, water, wide, flat)
        wall_x = cx + side * 0.36
        canvas.ellipse(wall_x + 0.012, 0.202, 0.085, 0.085, "black", alpha=0.18)
        canvas.ellipse(wall_x, 0.19, 0.08, 0.08, lighter(pipe, 0.18), to=darker(pipe, 0.30))
        bend = np.array(
            [
                [wall_x, 0.19],
                [cx + side * 0.10, 0.19],
                [cx + side * 0.03, 0.21],
                [cx, 0.25],
                [cx, spout - 0.03],
            ]
        )
        for radius, tone, shift in (
            (0.052, darker(pipe, 0.28), 0.0),
            (0.040, pipe, -0.004),
            (0.014, lighter(pipe, 0.6), -0.018),
        ):
            for (x0, y0), (x1, y1) in itertools.pairwise(bend):
                canvas.capsule(x0 + shift * 0.7, y0 + shift, x1 + shift * 0.7, y1 + shift, radius, tone)
        canvas.rect(
            cx - 0.062,
            spout - 0.05,
            cx + 0.062,
            spout,
            lighter(pipe, 0.1),
            radius=0.012,
            to=darker(pipe, 0.35),
        )
        knob = cx + side * 0.17
        canvas.rect(knob - 0.022, 0.09, knob + 0.022, 0.16, pipe, to=darker(pipe, 0.2))
        canvas.capsule(knob - 0.10, 0.085, knob + 0.10, 0.085, 0.030, darker(pipe, 0.15))
        canvas.capsule(knob - 0.09, 0.078, knob + 0.09, 0.078, 0.016, lighter(pipe, 0.35))

    def drops(times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """[F] y of the coming drop and [F] its radius: it grows at the spout, lets go and falls freely."""
        times = np.asarray(times, np.float64)
        ahead = np.concatenate([onsets, [onsets[-1] + 1.6 * gap]])
        index = np.minimum(np.searchsorted(onsets, times, side="right"), len(onsets))
        until = ahead[index] - times
        previous = np.where(index > 0, ahead[index - 1], ahead[0] - gap)
        grown = np.clip(
            (times - previous + 0.1 * gap) / np.maximum(ahead[index] - previous - fall, 0.05), 0.05, 1.0
        )
        along = np.clip(1.0 - until / fall, 0.0, 1.0)
        radius = size * np.sqrt(grown)
        hanging = spout + 0.6 * radius
        return hanging + (water - 0.02 - hanging) * along**2, radius

    def paint(canvas: Canvas, time: float) -> None:
        ages = time - onsets
        recent = [index for index in range(len(onsets)) if 0 <= ages[index] < 0.7]
        if recent:
            _water(canvas, cx, water, wide, flat)
        for index in recent:
            age = float(ages[index])
            for delay in (0.0, 0.10):
                if age >= delay:
                    ring = min(0.05 + 0.62 * (age - delay), 0.88) * wide
                    clear = (1.0 - age / 0.7) * (0.9 if delay == 0.0 else 0.5)
                    band = max(ring - 0.035, 0.0)
                    canvas.ellipse(cx, water, ring, flat / wide * ring, lighter("water", 0.7), alpha=clear)
                    canvas.ellipse(cx, water, band, flat / wide * band, "water", alpha=clear)
            if age < 0.3:
                flight = cx + toss[index, :, 0] * age, water - toss[index, :, 1] * age * 1.5 + 5.2 * age**2
                for x, y, share in zip(*flight, toss[index, :, 2], strict=True):
                    if y < water + 0.02:
                        canvas.circle(x, y, 0.018 * share, lighter("water", 0.55))
                crown = 0.085 * np.exp(-((age - 0.04) ** 2) / 0.003)
                canvas.ellipse(cx, water - 0.4 * crown, 0.035, 0.02 + 0.6 * crown, lighter("water", 0.5))
        y, radius = (float(part[0]) for part in drops(np.array([time])))
        top = spout - 0.01 if y < spout + 1.2 * radius else y - 2.1 * radius
        tone = lighter("water", 0.25)
        canvas.polygon(
            [
                [cx - 0.85 * radius, y - 0.35 * radius],
                [cx, top - 0.02],
                [cx + 0.85 * radius, y - 0.35 * radius],
            ],
            tone,
        )
        canvas.sphere(cx, y, radius, radius, tone)

    def listen(rate: int) -> np.ndarray:
        draws = np.random.default_rng([seed, 1])
        out = np.zeros(sound.length(seconds, rate), np.float32)
        pitch = {"sink": 0.65, "bucket": 0.45, "bowl": 0.25}[vessel] + 2.0 * (size - 0.039)
        for onset in onsets:
            start = sound.length(float(onset), rate)
            sound.place(out, start, sound.strike(rate, "water", pitch, 0.8, draws, 0.5))
            if vessel == "bucket":
                ring = sound.strike(rate, "metal", 0.6, 0.22, draws, 0.3)
                sound.place(out, start, ring * sound.decay(rate, len(ring) / rate, 0.5)[: len(ring)])
        return sound.level(out, rate)

    slots = {
        "color": color,
        "vessel": vessel,
        "metal": metal,
        "wall": paper,
        "tempo": tempo,
        "speed": PACE[tempo],
    }
    words = np.random.default_rng([seed, 2])
    return Scene(
        family="tap",
        seed=seed,
        seconds=seconds,
        attributes={
            "color": color,
            "vessel": vessel,
            "metal": metal,
            "wall": paper,
            "tempo": tempo,
            "drops": len(onsets),
        },
        events=tuple(Event("splash", round(float(t) * RATE), cx, water) for t in onsets),
        captions=wordings(CAPTIONS, slots, words),
        heldout=wordings(HELDOUT, slots, words),
        backdrop=backdrop,
        paint=paint,
        sound=listen,
        track=lambda times: {"drop": drops(times)[0]},
    )


def _water(canvas: Canvas, x: float, y: float, wide: float, flat: float) -> None:
    canvas.ellipse(x, y, 0.90 * wide, 0.90 * flat, mix("water", "white", 0.15), to="water")


def _splashes(rng: np.random.Generator, gap: float, seconds: float) -> np.ndarray:
    """Onsets in seconds, whole samples at 16 kHz, nearly even."""
    times = [min(float(rng.uniform(0.3, 0.35 + gap)), 0.6 * seconds)]
    while times[-1] < seconds - 0.1:
        times.append(times[-1] + gap * rng.uniform(0.93, 1.07))
    return np.round(np.array(times[:-1] or times) * RATE) / RATE
