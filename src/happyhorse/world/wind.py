"""A tree in the wind: one gust curve bends it, drives its leaves, and makes the wind loud."""

import numpy as np

from happyhorse.world import sound
from happyhorse.world.captions import wordings
from happyhorse.world.draw import Canvas
from happyhorse.world.palette import darker, lighter, mix
from happyhorse.world.scene import RATE, Event, Scene, about, details
from happyhorse.world.scenery import cloud, hill

LEAVES = {
    "spring": ((0.97, 0.66, 0.78), (0.98, 0.80, 0.86)),
    "summer": ((0.25, 0.56, 0.25), (0.36, 0.66, 0.30)),
    "autumn": ((0.90, 0.45, 0.12), (0.96, 0.66, 0.18)),
    "winter": ((0.93, 0.95, 0.98), (0.98, 0.98, 1.0)),
}
SEASON_WORDS = {
    "spring": ("blossoming", "pink spring", "blooming"),
    "summer": ("green summer", "green leafy", "green"),
    "autumn": ("orange autumn", "autumn", "golden autumn"),
    "winter": ("bare winter", "bare", "leafless winter"),
}
FORCES = {
    "gentle": ("a gentle breeze", "a soft wind", "a light wind"),
    "strong": ("strong wind", "a strong wind", "a storm wind"),
}
SIDES = {1: "left", -1: "right"}

CAPTIONS = (
    "wind in a tree",
    "a {season} tree sways in {force}",
    "{force} blows through a {season} tree",
    "{force}, {season} tree, {name}",
    "a {season} tree bends in {force} that blows from the {side}",
    "{name}: {force} in a tree, the sound of gusts",
    "sound of {force} in a tree",
    "a lone {season} tree on a hill, {force} from the {side} comes in gusts",
    "from the {side} {force} shakes a {season} tree",
    "on a {name} day {force} rises and falls and a {season} tree sways with it",
)
HELDOUT = (
    "{force} rocks a {season} tree to and fro, it is {name}",
    "{name} weather, a {season} tree leans away from the {side} as {force} howls",
)


def make_wind(rng: np.random.Generator, seed: int, seconds: float) -> Scene:
    """A tree in one of four seasons that leans with the gusts; the noise follows them in level and in pitch."""
    season, force = str(rng.choice(list(LEAVES))), str(rng.choice(list(FORCES)))
    way = int(rng.choice([-1, 1]))
    tone, bright = LEAVES[season]
    root, base = about(rng, -0.18, 0.18) - 0.06 * way, about(rng, 0.80, 0.88)
    tall = about(rng, 0.42, 0.52)
    crown = about(rng, 0.20, 0.25)
    strength = float(rng.uniform(0.13, 0.19) if force == "gentle" else rng.uniform(0.34, 0.46))
    count = max(1, round(seconds / float(rng.uniform(1.1, 1.7))))
    peaks = np.sort((np.arange(count) + rng.uniform(0.15, 0.85, count)) * seconds / count)
    width, height = rng.uniform(0.22, 0.42, count), rng.uniform(0.7, 1.0, count)
    rock, phase = float(rng.uniform(1.1, 1.7)), float(rng.uniform(0, 6.28))
    form = np.random.default_rng([details(seed), 4])
    angle = form.uniform(0, 2 * np.pi, 11)
    away = np.sqrt(form.random(11)) * np.array([0.0, *[1.0] * 10])
    blobs = np.stack([away * np.cos(angle) * 0.95, away * np.sin(angle) * 0.70], axis=1) * crown
    sizes, jitter = crown * np.array([0.85, *form.uniform(0.42, 0.60, 10)]), form.uniform(0, 6.28, 11)
    tints = form.random(11)
    loose = form.uniform([-1.3, 0.15, 0.7, 0.0], [1.3, base, 1.3, 6.28], (16, 4))
    twigs = [
        (float(s), float(a), float(r))
        for s, a, r in form.uniform([0.35, -1.1, 0.6], [1.0, 1.1, 1.0], (11, 3))
    ]
    bark = darker("dark wood", 0.15)
    clouds = form.uniform([-0.9, 0.06, 0.24], [0.9, 0.22, 0.42], (2, 3))
    shades = [
        (lighter(mix(tone, bright, tint), 0.03), darker(mix(tone, bright, tint), 0.15)) for tint in tints
    ]

    def gust(times: np.ndarray) -> np.ndarray:
        """[F] force of the wind in 0..1: bumps on a low floor."""
        t = np.asarray(times, np.float64)[:, None]
        return 0.14 + 0.86 * np.minimum((height * np.exp(-0.5 * ((t - peaks) / width) ** 2)).sum(axis=1), 1.0)

    def lean(times: np.ndarray) -> np.ndarray:
        """[F] how far the top of the tree is bent, as a share of its height, + to the right."""
        wind = gust(times)
        return way * strength * wind * (1.0 + 0.22 * np.sin(2 * np.pi * rock * np.asarray(times) + phase))

    # how far the wind has carried things since the start, for whatever flies in it
    grid = np.linspace(0.0, seconds, 128)
    drift = np.concatenate([[0.0], np.cumsum(gust(grid)[:-1] * np.diff(grid))])

    def backdrop(canvas: Canvas) -> None:
        draws = np.random.default_rng([details(seed), 3])
        sky = {
            "spring": ("sky", "haze"),
            "summer": ("sky", "haze"),
            "autumn": (mix("sky", "overcast", 0.5), "cream"),
            "winter": ("overcast", "haze"),
        }[season]
        canvas.gradient(*sky)
        land = {
            "spring": lighter("grass", 0.1),
            "summer": "grass",
            "autumn": mix("grass", "gold", 0.45),
            "winter": "snow",
        }[season]
        canvas.polygon(hill(draws, base - 0.12, 0.06), mix(land, "haze", 0.45))
        canvas.polygon(hill(draws, base - 0.02, 0.02), lighter(land, 0.05), to=darker(land, 0.22))
        canvas.ellipse(root + 0.05, base + 0.02, 0.24, 0.035, "black", alpha=0.18, soft=0.05)

    def trunk(bend: float, share: np.ndarray) -> np.ndarray:
        """[n, 2] points along the trunk: a bent beam, whose lean grows with the square of the height."""
        x = root + bend * tall * share**2
        return np.stack([x, base - tall * share * (1 - 0.35 * bend * bend * share)], axis=1)

    def paint(canvas: Canvas, time: float) -> None:
        now = np.array([time])
        bend, wind = float(lean(now)[0]), float(gust(now)[0])
        moved = float(np.interp(time, grid, drift))
        for x, y, size in clouds:
            place = (x + way * 0.35 * moved + 1.15) % 2.3 - 1.15
            cloud(canvas, place, y, size, "cloud", 0.9)
        stem = trunk(bend, np.linspace(0.0, 1.0, 7))
        thick = np.linspace(0.036, 0.016, 7)
        for (x0, y0), (x1, y1), r0, r1 in zip(stem[:-1], stem[1:], thick[:-1], thick[1:], strict=True):
            canvas.capsule(x0, y0, x1, y1, r0, bark, r1=r1)
        flutter = (0.006 + 0.020 * wind) * np.sin(2 * np.pi * (2.3 + 1.5 * tints) * time + jitter)
        if season == "winter":
            for (share, slope, long), shiver in zip(twigs, flutter, strict=False):
                x, y = trunk(bend, np.array([share]))[0]
                slope += 1.5 * bend * share + 2 * shiver
                reach = 0.95 * crown * long * (1.5 - 0.5 * share)
                canvas.capsule(
                    x, y, x + reach * np.sin(slope), y - reach * np.cos(slope), 0.014, bark, r1=0.006
                )
                for fork in (-0.5, 0.45):
                    mx, my = x + 0.55 * reach * np.sin(slope), y - 0.55 * reach * np.cos(slope)
                    canvas.capsule(
                        mx,
                        my,
                        mx + 0.5 * reach * np.sin(slope + fork),
                        my - 0.5 * reach * np.cos(slope + fork),
                        0.008,
                        bark,
                        r1=0.004,
                    )
        else:
            top = stem[-1]
            for (dx, dy), size, (sun, shade), shake in zip(blobs, sizes, shades, flutter, strict=True):
                up = (0.6 - dy / crown) * 0.5
                x, y = top[0] + dx + bend * crown * up + shake, top[1] + dy - 0.04 + 0.4 * shake
                canvas.circle(x, y, size, sun, to=shade)
        flying = loose[: (16 if force == "strong" else 6)]
        speed = 1.0 if force == "strong" else 0.5
        x = (flying[:, 0] + way * speed * 1.1 * flying[:, 2] * moved + 1.3) % 2.6 - 1.3
        spin = flying[:, 3] + 9 * flying[:, 2] * moved
        y = flying[:, 1] + 0.05 * np.sin(spin) + (0.10 * moved if season != "winter" else 0.25 * moved)
        dx, dy = 0.018 * np.cos(spin), 0.012 * np.sin(spin)
        canvas.lines(np.stack([x - dx, y - dy, x + dx, y + dy], axis=1), 0.011, mix(tone, bright, 0.5))

    def listen(rate: int) -> np.ndarray:
        draws = np.random.default_rng([seed, 1])
        n = sound.length(seconds, rate)
        wind = np.interp(np.arange(n) / rate, grid, gust(grid)).astype(np.float32)
        out = sound.noise(rate, seconds, draws, 120, 700, 0.3) * wind
        out += sound.noise(rate, seconds, draws, 500, 1500) * wind**2 * np.float32(0.6)
        rustle = 0.22 if season == "winter" else 0.5
        out += sound.noise(rate, seconds, draws, 2000, 7000, 0.2) * wind**2 * np.float32(rustle)
        if force == "strong":  # the wind whistles, higher as it blows harder
            whistle = sound.glide(rate, 380.0 + 420.0 * wind) * wind**3
            out += whistle * (0.35 + 0.25 * sound.noise(rate, seconds, draws, 2, 9)) * np.float32(0.5)
        return sound.level(out, rate, -22.0 if force == "gentle" else -18.5)

    slots = {"season": SEASON_WORDS[season], "name": season, "force": FORCES[force], "side": SIDES[way]}
    words = np.random.default_rng([seed, 2])
    return Scene(
        family="wind",
        seed=seed,
        seconds=seconds,
        attributes={"season": season, "force": force, "from": SIDES[way], "gusts": count},
        events=tuple(
            Event("gust", round(float(t) * RATE), root, base - tall, {"height": round(float(h), 3)})
            for t, h in zip(peaks, height, strict=True)
        ),
        captions=wordings(CAPTIONS, slots, words),
        heldout=wordings(HELDOUT, slots, words),
        backdrop=backdrop,
        paint=paint,
        sound=listen,
        track=lambda times: {"gust": gust(times), "lean": lean(times)},
    )
