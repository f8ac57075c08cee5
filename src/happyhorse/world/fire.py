"""A campfire: flames that leap as the fire roars, and logs that crackle, each pop throwing sparks."""

import numpy as np

from happyhorse.world import sound
from happyhorse.world.captions import wordings
from happyhorse.world.draw import Canvas
from happyhorse.world.palette import darker, mix
from happyhorse.world.scene import RATE, Event, Scene, about, details
from happyhorse.world.scenery import hill, pine, stars

PLACES = {
    "forest": ("in a forest", "among pine trees", "in the woods"),
    "beach": ("on a beach", "on the sand by the sea", "on the shore"),
    "snow": ("in the snow", "on snowy ground", "in a snowy clearing"),
}
SIZES = {"small": ("small", "little"), "big": ("big", "large", "blazing")}
WHEN = {
    "night": ("at night", "under the stars", "by night"),
    "dusk": ("at dusk", "in the evening", "at nightfall"),
}
CRACKLE = {
    "soft": ("crackling softly", "popping now and then"),
    "lively": ("crackling loudly", "popping and throwing sparks"),
}
FLAMES = ((0.86, 0.24, 0.08), (0.97, 0.52, 0.10), (1.00, 0.80, 0.28), (1.00, 0.96, 0.74))
TIPS = ((0.80, 0.18, 0.08), (0.95, 0.42, 0.10), (1.00, 0.72, 0.20), (1.00, 0.92, 0.60))
SHARES = (1.0, 0.78, 0.54, 0.30)

CAPTIONS = (
    "a campfire",
    "a crackling fire {when}",
    "a {size} campfire burns {place}",
    "a {size} fire burns {place} {when}, {crackle}",
    "{when} a {size} campfire {place}, {crackle}",
    "campfire, {time}, {place}, the sound of crackling wood",
    "flames flicker {place} {when}",
    "a {size} campfire {crackle} {place}",
    "{place} {when} a {size} fire of logs burns, {crackle}; sparks fly at every pop",
    "close to a {size} campfire, flames dance and the wood is {crackle}",
)
HELDOUT = (
    "logs burn {place} {when}: a {size} bonfire, {crackle}",
    "warm light of a {size} fire {place}, {crackle}, {time}",
)


def make_fire(rng: np.random.Generator, seed: int, seconds: float) -> Scene:
    """A campfire at night or dusk; its flames and its roar follow one curve, and each pop is a burst of sparks."""
    place, size = str(rng.choice(list(PLACES))), str(rng.choice(list(SIZES)))
    time_of_day, crackle = str(rng.choice(list(WHEN))), str(rng.choice(list(CRACKLE)))
    cx, base = about(rng, -0.16, 0.16), about(rng, 0.80, 0.87)
    tall = about(rng, 0.30, 0.38) if size == "small" else about(rng, 0.48, 0.60)
    wide = tall * about(rng, 0.36, 0.44)
    gap = float(rng.uniform(0.5, 0.8) if crackle == "soft" else rng.uniform(0.18, 0.30))
    pops = np.cumsum(0.09 + rng.exponential(gap - 0.09, int(2 * seconds / gap) + 4)) + rng.uniform(0.0, 0.4)
    pops = np.round(pops[pops < seconds - 0.08] * RATE) / RATE
    loud = rng.uniform(0.45, 1.0, len(pops))
    source = np.stack(
        [cx + rng.uniform(-0.5, 0.5, len(pops)) * wide, np.full(len(pops), base - 0.08)], axis=1
    )
    throw = rng.uniform([-0.65, 0.7, 0.25], [0.65, 1.4, 0.6], (len(pops), 9, 3))
    form = np.random.default_rng([details(seed), 4])
    wave = form.uniform([1.0, 0.0], [4.5, 6.28], (5, 2))
    tongues = np.stack(
        [
            np.array([-0.62, -0.30, 0.05, 0.36, 0.66]),
            form.uniform([0.5, 0.72, 0.9, 0.66, 0.45], [0.7, 0.95, 1.0, 0.9, 0.65]),
            form.uniform(0.38, 0.52, 5),
            form.uniform(0, 6.28, 5),
        ]
    )
    embers = form.uniform([-0.5, 0.0, 0.25, 0.0], [0.5, 1.0, 0.5, 6.28], (7, 4))
    lick = form.uniform(5.5, 8.5)

    def blaze(times: np.ndarray) -> np.ndarray:
        """[F] height of the fire relative to its mean, about 0.7..1.3: slow swelling, and a jump at every pop."""
        t = np.asarray(times, np.float64)
        level = 1.0 + 0.0625 * np.sin(np.multiply.outer(t, wave[:, 0]) + wave[:, 1]).sum(axis=-1)
        for pop, strength in zip(pops, loud, strict=True):
            age = t - pop
            level = level + 0.16 * strength * np.where(age >= 0, np.exp(-np.maximum(age, 0) / 0.12), 0.0)
        return level

    def backdrop(canvas: Canvas) -> None:
        draws = np.random.default_rng([details(seed), 3])
        night = time_of_day == "night"
        canvas.gradient(
            "night" if night else darker("dusk", 0.2),
            (0.13, 0.16, 0.30) if night else mix("dusk", "sunset", 0.55),
        )
        if night:
            stars(canvas, draws, 50, 0.5)
        land = {
            "forest": (0.16, 0.20, 0.14),
            "beach": mix("sand", "night", 0.55),
            "snow": mix("snow", "night", 0.45),
        }[place]
        if place == "beach":
            canvas.rect(-1.2, 0.52, 1.2, 0.68, mix("water", "night", 0.6), to=mix("water", "night", 0.4))
        else:
            canvas.polygon(hill(draws, 0.60, 0.05), darker(land, 0.45))
            for x, y, high in draws.uniform([-0.95, 0.64, 0.3], [0.95, 0.70, 0.6], (10, 3)):
                pine(
                    canvas,
                    x,
                    y,
                    high,
                    mix("pine", "snow" if place == "snow" else "night", 0.3 if place == "snow" else 0.6),
                )
        canvas.polygon(hill(draws, 0.68, 0.015), land, to=darker(land, 0.3))
        canvas.ellipse(cx, base + 0.03, 2.6 * wide, 0.13, mix(land, "flame", 0.40), alpha=0.55, soft=0.20)
        for angle in np.linspace(0, 2 * np.pi, 11)[:-1]:
            x, y = cx + 1.45 * wide * np.cos(angle), base + 0.025 + 0.055 * np.sin(angle)
            canvas.ellipse(x, y, 0.046, 0.034, mix("stone", "ember", 0.15), to=darker("stone", 0.6))
        for x0, x1, y0, y1 in ((-1.0, 0.9, 0.035, -0.06), (-0.9, 1.0, -0.06, 0.035), (-1.1, 1.1, 0.02, 0.03)):
            ax, bx = cx + x0 * wide, cx + x1 * wide
            canvas.capsule(ax, base + y0, bx, base + y1, 0.036, darker("dark wood", 0.35))
            canvas.capsule(
                ax, base + y0 - 0.010, bx, base + y1 - 0.010, 0.020, mix("dark wood", "ember", 0.35)
            )
            canvas.circle(bx, base + y1, 0.028, mix("wood", "ember", 0.25))

    def paint(canvas: Canvas, time: float) -> None:
        height = float(blaze(np.array([time]))[0])
        canvas.glow(cx, base - 0.35 * tall, 1.9 * tall, "flame", 0.22 + 0.30 * (height - 0.7))
        flames = np.array([cx, base + 0.01]) + _flames(tongues, tall * height, wide, lick * time)
        for color, bright, outlines in zip(FLAMES, TIPS, flames, strict=True):
            canvas.polygons(outlines, bright, to=color)
        rise = (embers[:, 1] + embers[:, 2] * time) % 1.0
        x = cx + embers[:, 0] * wide + 0.05 * np.sin(4 * time + embers[:, 3]) + 0.02 * np.sin(9 * rise)
        y = base - 0.3 * tall - rise * 1.2 * tall
        canvas.lines(np.stack([x, y, x, y + 0.012], axis=1), 0.006, "flame", np.clip(1.4 * (1 - rise), 0, 1))
        ages = time - pops
        for index in np.flatnonzero((ages >= 0) & (ages < 0.42)):
            age = float(ages[index])
            vx, vy, life = throw[index].T
            x, y = source[index, 0] + vx * age, source[index, 1] - vy * age + 1.1 * age**2
            tail = np.stack([x, y, x - 0.035 * vx, y + 0.035 * (vy - 2.2 * age)], axis=1)
            canvas.lines(
                tail, 0.008 + 0.005 * loud[index], (1.0, 0.86, 0.40), np.clip(1.5 * (1 - age / life), 0, 1)
            )
            canvas.glow(
                source[index, 0], source[index, 1], 0.20, "sun", 0.9 * loud[index] * max(0.0, 1 - age / 0.12)
            )

    def listen(rate: int) -> np.ndarray:
        draws = np.random.default_rng([seed, 1])
        n = sound.length(seconds, rate)
        grid = np.linspace(0, seconds, 150)
        roar = np.interp(np.arange(n) / rate, grid, np.maximum(blaze(grid) - 0.55, 0.05) * 2).astype(
            np.float32
        )
        out = (
            sound.noise(rate, seconds, draws, 60, 420 if size == "big" else 600, 0.5)
            * roar
            * np.float32(0.16)
        )
        out += sound.noise(rate, seconds, draws, 1500, 6000, 0.3) * roar * np.float32(0.03)
        for pop, strength in zip(pops, loud, strict=True):
            start = sound.length(float(pop), rate)
            snap = sound.strike(rate, "wood", float(draws.uniform(0.0, 0.25)), 0.7, draws, 1.0)
            burst = sound.noise(rate, 0.05, draws, 1200, 7500) * sound.decay(rate, 0.05, 0.04)
            sound.place(
                out, start, snap * sound.decay(rate, len(snap) / rate, 0.12)[: len(snap)], float(strength)
            )
            sound.place(out, start, burst, 0.45 * float(strength))
        return sound.level(out, rate, -21.0)

    slots = {
        "place": PLACES[place],
        "size": SIZES[size],
        "when": WHEN[time_of_day],
        "time": time_of_day,
        "crackle": CRACKLE[crackle],
    }
    words = np.random.default_rng([seed, 2])
    return Scene(
        family="fire",
        seed=seed,
        seconds=seconds,
        attributes={"place": place, "size": size, "time": time_of_day, "crackle": crackle, "pops": len(pops)},
        events=tuple(
            Event("pop", round(float(t) * RATE), float(p[0]), float(p[1]), {"loudness": round(float(g), 3)})
            for t, p, g in zip(pops, source, loud, strict=True)
        ),
        captions=wordings(CAPTIONS, slots, words),
        heldout=wordings(HELDOUT, slots, words),
        backdrop=backdrop,
        paint=paint,
        sound=listen,
        track=lambda times: {"blaze": blaze(times)},
    )


def _flames(tongues: np.ndarray, tall: float, wide: float, clock: float) -> np.ndarray:
    """[4, n, 18, 2] outlines of n tongues in the four colours of FLAMES, nested, their foot at the origin.

    tongues [4, n]: offset from the middle in half widths, height and breadth as shares, phase. Each is a drop whose
    tip licks from side to side.
    """
    offset, high, breadth, phase = tongues[:, None, :, None]
    share, t = np.asarray(SHARES)[:, None, None], np.linspace(0.0, 1.0, 9)
    lift = tall * share * high * (0.88 + 0.12 * np.sin(1.3 * clock + 2 * phase))
    sway = 0.34 * wide * t**1.6 * np.sin(clock + phase - 2.6 * t)
    drop = np.sin(np.pi * (0.30 + 0.70 * t)).clip(0) ** 0.9 * (1 - t**3)
    half = breadth * wide * (0.45 + 0.55 * share) * drop
    x, y = offset * wide * (0.35 + 0.65 * share) * (1 - 0.45 * t) + sway, -lift * t
    outline = np.concatenate([x - half, (x + half)[..., ::-1]], axis=-1)
    return np.stack([outline, np.concatenate([y, y[..., ::-1]], axis=-1)], axis=-1)
