"""A moonlit night: a cricket on a leaf shakes its lifted wings with every chirp, and fireflies answer with light."""

import itertools

import numpy as np

from happyhorse.world import sound
from happyhorse.world.captions import PACE, wordings
from happyhorse.world.draw import Canvas
from happyhorse.world.palette import darker, lighter, mix
from happyhorse.world.scene import RATE, Event, Scene, about, details
from happyhorse.world.scenery import hill, moon, pine, stars

MOONS = {"full": ("a full moon", "a round moon"), "crescent": ("a crescent moon", "a thin moon")}
TEMPI = {"slow": (0.85, 1.15), "medium": (0.52, 0.68), "fast": (0.30, 0.38)}
INSECTS = {"green": (0.40, 0.62, 0.22), "brown": (0.50, 0.33, 0.18)}

CAPTIONS = (
    "crickets at night",
    "a cricket chirps under {moon}",
    "a {color} cricket chirps {speed} at night, {moon}",
    "night, {moon}, a cricket chirping {speed} {flies}",
    "{moon} over the meadow and a {color} cricket that chirps {speed}",
    "a {color} cricket on a leaf shakes its wings and chirps {speed} under {moon} {flies}",
    "the sound of a cricket, {tempo} chirps, {moon}",
    "under {moon} a {color} cricket sings {speed} {flies}",
    "quiet night, cricket, {moon} {flies}",
    "at night a {color} cricket sits on a blade of grass and chirps {speed} {flies}, {moon} in the sky",
)
HELDOUT = (
    "a summer night's concert: a {color} cricket chirrs {speed} beneath {moon} {flies}",
    "{moon} shines while a {color} cricket in the grass makes its {tempo} chirping song {flies}",
)


def make_crickets(rng: np.random.Generator, seed: int, seconds: float) -> Scene:
    """A cricket in the foreground of a moonlit meadow; every chirp is three or four pulses of a high tone."""
    phase, tempo = str(rng.choice(list(MOONS))), str(rng.choice(list(TEMPI)))
    gap = float(rng.uniform(*TEMPI[tempo]))
    color = str(rng.choice(list(INSECTS)))
    onsets = min(float(rng.uniform(0.1, 0.3 + 0.5 * gap)), 0.4 * seconds) + gap * np.arange(
        int(seconds / gap) + 1
    )
    onsets = onsets + rng.uniform(-0.04, 0.04, len(onsets)) * gap
    onsets = np.round(onsets[onsets < seconds - 0.1] * RATE) / RATE
    pulses, beat = int(rng.integers(3, 5)), float(rng.uniform(0.036, 0.046))
    long = pulses * beat
    pitch = float(rng.uniform(3400, 4800))
    glowing = bool(rng.random() < 0.65)
    way = int(rng.choice([-1, 1]))
    cx, cy = about(rng, -0.20, 0.20), about(rng, 0.66, 0.74)
    size = about(rng, 0.85, 1.1)
    mx, my = about(rng, 0.12, 0.40) * rng.choice([-1, 1]), about(rng, 0.16, 0.26)
    body = INSECTS[color]
    form = np.random.default_rng([details(seed), 4])
    flies = form.uniform([-0.8, 0.36, 0.0, 0.5], [0.8, 0.92, 6.28, 1.0], (9, 4))
    sky, glow = "night", (0.13, 0.17, 0.36)

    def wings(times: np.ndarray) -> np.ndarray:
        """[F] how far the wings are lifted, 0..1: up at the onset of a chirp, shaking while it lasts, down after it."""
        out = np.zeros(len(times))
        for onset in onsets:
            age = np.asarray(times) - onset
            shake = 0.75 + 0.25 * np.cos(2 * np.pi * age / beat)
            out = np.where((age >= 0) & (age < long), shake, out)
            out = np.where(
                (age >= long) & (age < long + 0.10), np.maximum(out, 0.75 * (1 - (age - long) / 0.10)), out
            )
        return out

    def shine(times: np.ndarray) -> np.ndarray:
        """[F] light of the fireflies: dim, bright from each chirp on, fading within a third of a second."""
        count = np.searchsorted(onsets, times, side="right")
        age = np.where(count > 0, times - onsets[np.clip(count - 1, 0, None)], 9.0)
        return 0.12 + 0.88 * np.exp(-np.maximum(age - 0.08, 0) / 0.13) * (count > 0)

    def backdrop(canvas: Canvas) -> None:
        draws = np.random.default_rng([details(seed), 3])
        canvas.gradient(sky, glow)
        stars(canvas, draws, 55, 0.55)
        moon(canvas, mx, my, 0.11, phase)
        canvas.polygon(hill(draws, 0.62, 0.05), (0.09, 0.16, 0.24))
        for x, y, tall in draws.uniform([-0.95, 0.62, 0.14], [0.95, 0.66, 0.32], (9, 3)):
            pine(canvas, x, y, tall, (0.07, 0.15, 0.18))
        canvas.polygon(hill(draws, 0.72, 0.02), (0.07, 0.17, 0.16), to=(0.04, 0.09, 0.09))
        x = draws.uniform(-0.95, 0.95, 90)
        blades = np.stack(
            [x, np.full(90, 1.02), x + draws.uniform(-0.05, 0.05, 90), draws.uniform(0.80, 0.93, 90)], axis=1
        )
        canvas.lines(blades[:45], 0.007, (0.08, 0.22, 0.17))
        canvas.lines(blades[45:], 0.007, (0.12, 0.30, 0.20))
        tip = np.array([cx + way * 0.42, cy + 0.10])  # the leaf the cricket sits on
        stalk = np.array([cx - way * 0.62, 1.05])
        t = np.linspace(0, 1, 24)
        ridge = np.stack(
            [stalk[0] + (tip[0] - stalk[0]) * t, stalk[1] + (tip[1] - stalk[1]) * (1 - (1 - t) ** 2.6)],
            axis=1,
        )
        half = 0.055 * np.sin(np.pi * t**0.7)[:, None] * [0.15, 1.0]
        canvas.polygon(
            np.concatenate([ridge - half, (ridge + half)[::-1]]), (0.24, 0.46, 0.24), to=(0.12, 0.28, 0.18)
        )
        canvas.lines(np.concatenate([ridge[:-1], ridge[1:]], axis=1), 0.005, (0.36, 0.58, 0.32))

    def at(x: float, y: float) -> tuple[float, float]:
        """A point of the cricket, given in its own units with its head at the right, in the picture."""
        return cx + way * size * x, cy + size * y

    def limb(
        canvas: Canvas, points: list[tuple[float, float]], r0: float, r1: float, shade: np.ndarray
    ) -> None:
        for (ax, ay), (bx, by) in itertools.pairwise(points):
            canvas.capsule(*at(ax, ay), *at(bx, by), r0 * size, shade, r1=r1 * size)

    def paint(canvas: Canvas, time: float) -> None:
        now = np.array([time])
        lift, light = float(wings(now)[0]), float(shine(now)[0])
        if glowing:
            for x, y, turn, strength in flies:
                fx = x + 0.05 * np.sin(0.9 * time + turn) + 0.03 * np.sin(1.7 * time + 2 * turn)
                fy = y + 0.03 * np.cos(1.3 * time + turn)
                canvas.glow(fx, fy, 0.085, (0.85, 1.0, 0.35), 0.8 * light * strength)
                canvas.circle(fx, fy, 0.010 + 0.006 * light, mix((0.30, 0.40, 0.18), (1.0, 1.0, 0.65), light))
        dark, base = darker(body, 0.40), mix(body, "night", 0.12)
        limb(canvas, [(0.10, 0.02), (0.13, 0.085), (0.17, 0.10)], 0.010, 0.007, dark)
        limb(canvas, [(0.02, 0.03), (0.03, 0.09), (0.06, 0.105)], 0.010, 0.007, dark)
        limb(
            canvas,
            [(0.17, -0.03), (0.26, -0.15 - 0.01 * lift), (0.36, -0.19 - 0.02 * lift)],
            0.005,
            0.003,
            dark,
        )
        canvas.ellipse(
            *at(-0.06, 0.01), 0.155 * size, 0.052 * size, base, angle=way * -0.06, to=darker(base, 0.3)
        )
        canvas.ellipse(
            *at(0.07, -0.008), 0.075 * size, 0.060 * size, lighter(base, 0.08), to=darker(base, 0.25)
        )
        canvas.circle(*at(0.145, -0.012), 0.052 * size, lighter(base, 0.14), to=darker(base, 0.15))
        canvas.circle(*at(0.165, -0.028), 0.016 * size, "black")
        canvas.circle(*at(0.169, -0.033), 0.006 * size, "white")
        for spread, shade in ((0.35, mix(body, "cream", 0.25)), (0.0, mix(body, "cream", 0.50))):
            tilt = 0.10 + lift * (0.60 + spread)
            reach = 0.135 * size
            x, y = at(0.05 - 0.13 * np.cos(tilt), -0.035 - 0.13 * np.sin(tilt))
            canvas.ellipse(x, y, reach, 0.036 * size, shade, angle=way * tilt, alpha=0.92)
        limb(canvas, [(-0.04, 0.02), (-0.16, -0.12)], 0.024, 0.014, lighter(base, 0.06))
        limb(canvas, [(-0.16, -0.12), (-0.23, 0.10), (-0.18, 0.11)], 0.011, 0.007, dark)
        if lift > 0.05:  # the song, as arcs going out
            count = int(np.searchsorted(onsets, time, side="right"))
            age = time - onsets[count - 1]
            for ring in range(2):
                reach = (0.13 + 0.5 * age + 0.075 * ring) * size
                arc = np.linspace(-0.95, 0.05, 8) - 0.95
                x, y = at(-0.05, -0.06)
                curve = np.stack([x + reach * np.cos(arc), y + reach * np.sin(arc)], axis=1)
                canvas.lines(
                    np.concatenate([curve[:-1], curve[1:]], axis=1),
                    0.008,
                    mix(glow, "moon", 0.75 * min(lift * 1.5, 1.0)),
                )

    def listen(rate: int) -> np.ndarray:
        draws = np.random.default_rng([seed, 1])
        out = np.zeros(sound.length(seconds, rate), np.float32)
        t = np.arange(sound.length(0.8 * beat, rate)) / rate
        pulse = np.sin(2 * np.pi * np.minimum(pitch, 0.45 * rate) * t) * sound.envelope(
            rate, 0.8 * beat, 0.0015, 0.5 * beat
        )
        if 2.02 * pitch < 0.47 * rate:
            pulse += (
                0.1
                * np.sin(2 * np.pi * 2.02 * pitch * t)
                * sound.envelope(rate, 0.8 * beat, 0.0015, 0.4 * beat)
            )
        for onset in onsets:
            for index in range(pulses):
                sound.place(
                    out,
                    sound.length(float(onset) + index * beat, rate),
                    pulse.astype(np.float32),
                    0.8 + 0.1 * index,
                )
        out = sound.level(out, rate, -20.0)
        return sound.limit(out + 0.006 * sound.noise(rate, seconds, draws, 150, 3000, 0.5))

    slots = {
        "moon": MOONS[phase],
        "tempo": tempo,
        "speed": PACE[tempo],
        "color": color,
        "flies": (", fireflies glow at every chirp", ", fireflies light up in time") if glowing else "",
    }
    words = np.random.default_rng([seed, 2])
    return Scene(
        family="crickets",
        seed=seed,
        seconds=seconds,
        attributes={
            "moon": phase,
            "tempo": tempo,
            "color": color,
            "fireflies": "yes" if glowing else "no",
            "chirps": len(onsets),
        },
        events=tuple(Event("chirp", round(float(t) * RATE), cx, cy, {"pulses": pulses}) for t in onsets),
        captions=wordings(CAPTIONS, slots, words),
        heldout=wordings(HELDOUT, slots, words),
        backdrop=backdrop,
        paint=paint,
        sound=listen,
        track=lambda times: {
            "wings": wings(times),
            "light": shine(times) if glowing else np.zeros(len(times)),
        },
    )
