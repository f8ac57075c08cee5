"""What stands and lies in a landscape: hills, trees, fences, tufts, stones, boats and clouds, painted on
scrolling strips.

Every function but `cloud` draws its random placing first and returns a painter(canvas, origin) that always paints
the same things, shifted to the right by `origin`, so that a strip can repeat them. Colours are multiplied by the
light of the sky, `tint` [3].
"""

from collections.abc import Callable

import numpy as np

from happyhorse.world.draw import Canvas
from happyhorse.world.palette import Color, darker, lighter, mix, rgb

Painter = Callable[[Canvas, float], None]


def cloud(canvas: Canvas, x: float, y: float, size: float, color: Color, rng: np.random.Generator) -> None:
    """A soft heap of five puffs around (x, y), about 0.3 * size wide."""
    for offset in np.linspace(-1, 1, 5):
        r = size * (0.055 - 0.025 * abs(offset)) * rng.uniform(0.85, 1.15)
        canvas.ellipse(x + 0.10 * size * offset, y - 0.5 * r, 1.5 * r, r, color, alpha=0.85, soft=0.03 * size)


def ridge(
    rng: np.random.Generator, base: float, high: float, kind: str, period: float, color: Color
) -> Painter:
    """A periodic skyline up to `high` above y = base. kind: "hills" (rolling), "peaks" (mountains with snow)
    or "mesas" (tables)."""
    x = np.linspace(0.0, period, 181)
    summits: list[tuple[float, float]] = []
    if kind == "hills":
        waves = [np.sin(2 * np.pi * (k * x / period + rng.random())) for k in rng.integers(2, 7, 3)]
        y = high * (0.55 + 0.25 * (waves[0] + waves[1] / 2 + waves[2] / 3))
    else:
        count = 6 if kind == "peaks" else 5
        places = (np.arange(count) + rng.uniform(-0.25, 0.25, count)) * period / count
        tall, wide = rng.uniform(0.55, 1.0, count), rng.uniform(0.22, 0.40, count)
        away = np.abs((x[:, None] - places + period / 2) % period - period / 2) / wide
        slope = 1.0 - away if kind == "peaks" else np.clip((1.0 - away) * 4.0, 0.0, 1.0)
        y = high * np.max(np.clip(slope, 0.04, None) * tall, axis=1)
        if kind == "peaks":
            summits = [
                (float(place % period), float(top)) for place, top in zip(places, tall * high, strict=True)
            ]

    def paint(canvas: Canvas, origin: float) -> None:
        points = np.concatenate(
            [[[period, base + 0.05], [0.0, base + 0.05]], np.stack([x, base - y], axis=1)]
        )
        points[:, 0] += origin
        canvas.polygon(points, lighter(color, 0.08), to=darker(color, 0.04))
        for place, top in summits:
            px, py, w = place + origin, base - top, 0.10
            cap = [(0.0, 0.0), (0.42, 0.30), (0.12, 0.22), (-0.10, 0.32), (-0.42, 0.30)]
            canvas.polygon([(px + w * dx, py + top * dy) for dx, dy in cap], "white", alpha=0.75)

    return paint


def _tree(canvas: Canvas, x: float, y: float, s: float, tint: np.ndarray, tone: float, snowy: bool) -> None:
    leaf = mix("leaf", (0.50, 0.66, 0.25), tone) * tint
    canvas.capsule(x, y, x, y - 0.12 * s, 0.018 * s, rgb("dark wood") * tint, 0.012 * s)
    for dx, dy, r in ((-0.055, 0.14, 0.060), (0.055, 0.145, 0.058), (0.0, 0.20, 0.075)):
        canvas.circle(x + dx * s, y - dy * s, r * s, lighter(leaf, 0.10), to=darker(leaf, 0.22))


def _bush(canvas: Canvas, x: float, y: float, s: float, tint: np.ndarray, tone: float, snowy: bool) -> None:
    leaf = mix("leaf", (0.55, 0.62, 0.28), tone) * tint
    for dx, r in ((-0.05, 0.036), (0.05, 0.034), (0.0, 0.048)):
        canvas.circle(x + dx * s, y - 0.6 * r * s, r * s, lighter(leaf, 0.08), to=darker(leaf, 0.25))


def _pine(canvas: Canvas, x: float, y: float, s: float, tint: np.ndarray, tone: float, snowy: bool) -> None:
    green = mix("pine", "leaf", 0.5 * tone) * tint
    canvas.rect(x - 0.012 * s, y - 0.05 * s, x + 0.012 * s, y, rgb("dark wood") * tint)
    for level in range(3):
        low, wide = y - (0.03 + 0.075 * level) * s, (0.085 - 0.020 * level) * s
        peak = [[x - wide, low], [x, low - 0.13 * s], [x + wide, low]]
        canvas.polygon(peak, lighter(green, 0.06), to=darker(green, 0.20))
        if snowy:
            cap = [
                [x - 0.5 * wide, low - 0.065 * s],
                [x, low - 0.13 * s],
                [x + 0.5 * wide, low - 0.065 * s],
                [x, low - 0.05 * s],
            ]
            canvas.polygon(cap, rgb("snow") * tint)


def _palm(canvas: Canvas, x: float, y: float, s: float, tint: np.ndarray, tone: float, snowy: bool) -> None:
    lean = 0.05 * (1 if tone > 0.5 else -1) * s
    top = (x + lean, y - 0.24 * s)
    canvas.capsule(x, y, *top, 0.014 * s, rgb("wood") * tint, 0.009 * s)
    for angle in (-2.9, -2.3, -1.5, -0.8, -0.2, 0.25, 2.9):
        tip = top[0] + 0.11 * s * np.cos(angle), top[1] + 0.06 * s * np.sin(angle) + 0.03 * s
        canvas.capsule(*top, *tip, 0.016 * s, rgb("leaf") * tint, 0.004 * s)


def _cactus(canvas: Canvas, x: float, y: float, s: float, tint: np.ndarray, tone: float, snowy: bool) -> None:
    green = mix((0.30, 0.52, 0.32), (0.45, 0.58, 0.30), tone) * tint
    canvas.capsule(x, y, x, y - 0.19 * s, 0.024 * s, green)
    for side, low, high in ((-1, 0.07, 0.13), (1, 0.10, 0.17)):
        elbow = x + side * 0.055 * s
        canvas.capsule(x, y - low * s, elbow, y - low * s, 0.015 * s, darker(green, 0.06))
        canvas.capsule(elbow, y - low * s, elbow, y - high * s, 0.015 * s, darker(green, 0.06))


def _rock(canvas: Canvas, x: float, y: float, s: float, tint: np.ndarray, tone: float, snowy: bool) -> None:
    stone = mix((0.74, 0.50, 0.36), "stone", 0.5 * tone) * tint
    points = [[-0.06, 0.0], [-0.045, -0.035], [-0.01, -0.055], [0.035, -0.04], [0.06, 0.0]]
    canvas.polygon(np.array(points) * s + [x, y], lighter(stone, 0.08), to=darker(stone, 0.25))


_KINDS = {"tree": _tree, "bush": _bush, "pine": _pine, "palm": _palm, "cactus": _cactus, "rock": _rock}


def grove(
    rng: np.random.Generator,
    y: float,
    size: float,
    kinds: tuple[str, str],
    count: int,
    period: float,
    tint: np.ndarray,
    snowy: bool,
) -> Painter:
    """About `count` plants (or rocks) of two kinds that stand on y, `size` 1 being near, in light of tint [3]; far
    ones are paler by nothing but size."""
    places = (np.arange(count) + rng.uniform(-0.4, 0.4, count)) * period / count
    which, sizes, tones = rng.integers(0, 2, count), size * rng.uniform(0.8, 1.35, count), rng.random(count)

    def paint(canvas: Canvas, origin: float) -> None:
        for place, kind, s, tone in zip(places, which, sizes, tones, strict=True):
            x = float(place) + origin
            canvas.ellipse(x, y, 0.08 * s, 0.012 * s, "black", alpha=0.18, soft=0.02 * s)
            _KINDS[kinds[kind]](canvas, x, y, float(s), tint, float(tone), snowy)

    return paint


def fence(rng: np.random.Generator, y: float, period: float, tint: np.ndarray, snowy: bool) -> Painter:
    """Posts with two rails that stand on y, of brown or white wood, in light of tint [3]."""
    wood = (rgb("wood") if rng.random() < 0.6 else rgb("cream")) * tint
    count = int(rng.integers(7, 12))
    high = rng.uniform(0.13, 0.17)

    def paint(canvas: Canvas, origin: float) -> None:
        for share in (0.35, 0.75):
            rail = y - share * high
            canvas.rect(
                origin, rail - 0.010, origin + period, rail + 0.010, lighter(wood, 0.05), to=darker(wood, 0.2)
            )
        for x in origin + (np.arange(count) + 0.5) * period / count:
            canvas.rect(
                x - 0.016, y - high, x + 0.016, y, lighter(wood, 0.12), radius=0.006, to=darker(wood, 0.22)
            )
            if snowy:
                canvas.ellipse(x, y - high, 0.022, 0.010, rgb("snow") * tint)

    return paint


def litter(
    rng: np.random.Generator, y: float, spread: float, land: str, period: float, tint: np.ndarray
) -> Painter:
    """What lies about within `spread` of y in light of tint [3]: grass and flowers, pebbles and cracks, snow drifts,
    shells, leaves."""
    scale = 0.35 + 0.9 * max(y - 0.5, 0.0) / 0.4
    count = int((44 if land in ("meadow", "forest") else 24) / scale)
    x, dy = rng.uniform(0, period, count), rng.uniform(-spread, spread, count)
    length, pick = rng.uniform(0.6, 1.4, count) * scale, rng.random(count)
    order = np.argsort(dy)
    x, dy, length, pick = x[order], dy[order], length[order], pick[order]

    def paint(canvas: Canvas, origin: float) -> None:
        px, py = x + origin, y + dy
        if land in ("meadow", "forest"):
            grass = (rgb("grass") if land == "meadow" else mix("grass", "earth", 0.35)) * tint
            for lean, tone in (
                (-0.016, darker(grass, 0.30)),
                (0.014, darker(grass, 0.18)),
                (0.0, lighter(grass, 0.14)),
            ):
                blades = np.stack([px, py, px + lean * length, py - 0.042 * length], axis=1)
                canvas.lines(blades, 0.0055 * scale, tone)
            spots = pick < 0.22
            for index, color in enumerate(
                ("yellow", "white", "pink") if land == "meadow" else ("orange", "brown", "gold")
            ):
                some = spots & (np.arange(count) % 3 == index)
                dots = np.stack([px, py - 0.030 * length, px, py - 0.030 * length], axis=1)[some]
                canvas.lines(dots, 0.010 * scale, rgb(color) * tint)
            return
        base, dark = {
            "desert": ((0.80, 0.58, 0.36), (0.62, 0.43, 0.27)),
            "snow": ((1.0, 1.0, 1.0), (0.72, 0.79, 0.90)),
            "beach": ((1.0, 0.95, 0.86), (0.76, 0.64, 0.46)),
        }[land]
        wide = 0.05 * length
        dashes = np.stack([px - wide, py, px + wide, py], axis=1)
        canvas.lines(dashes[::2], 0.0055 * scale, rgb(dark) * tint, 0.75)
        canvas.lines(
            dashes[::2] + np.array([0.0, -0.010 * scale, 0.0, -0.010 * scale]),
            0.0045 * scale,
            rgb(base) * tint,
            0.7,
        )
        stones = np.stack([px - 0.2 * wide, py, px + 0.2 * wide, py], axis=1)[1::2]
        canvas.lines(stones, 0.012 * scale, darker(rgb(dark) * tint, 0.12))
        canvas.lines(
            stones - np.array([0.0, 0.004 * scale, 0.0, 0.004 * scale]),
            0.008 * scale,
            lighter(rgb(base) * tint, 0.1),
        )

    return paint


def boats(rng: np.random.Generator, y: float, tint: np.ndarray) -> Painter:
    """One or two sailing boats on the water line y, in light of tint [3]."""
    places = rng.uniform(0.2, 1.5, int(rng.integers(1, 3)))
    places[1:] += 1.5
    sail = rgb(("white", "red", "orange")[rng.integers(3)]) * tint

    def paint(canvas: Canvas, origin: float) -> None:
        for x in places + origin:
            canvas.polygon([[x, y - 0.10], [x, y - 0.012], [x + 0.055, y - 0.012]], sail)
            canvas.polygon(
                [[x - 0.006, y - 0.085], [x - 0.006, y - 0.012], [x - 0.04, y - 0.012]], lighter(sail, 0.3)
            )
            canvas.polygon(
                [
                    [x - 0.05, y - 0.008],
                    [x + 0.065, y - 0.008],
                    [x + 0.045, y + 0.014],
                    [x - 0.035, y + 0.014],
                ],
                rgb("brown") * tint,
            )

    return paint


def foam(rng: np.random.Generator, y: float, period: float, tint: np.ndarray) -> Painter:
    """The last wave along the beach at y in light of tint [3]: wet sand and two wavering lines of foam."""
    x = np.linspace(0, period, 91)
    waves = [0.008 * np.sin(2 * np.pi * (k * x / period + rng.random())) for k in (3, 7)]

    def paint(canvas: Canvas, origin: float) -> None:
        line = y + waves[0] + waves[1]
        outline = np.concatenate(
            [np.stack([x, line - 0.02], axis=1), np.stack([x, line + 0.035], axis=1)[::-1]]
        )
        canvas.polygon(outline + np.array([origin, 0.0]), rgb((0.74, 0.66, 0.52)) * tint, alpha=0.7)
        for shift, r in ((-0.016, 0.007), (0.004, 0.010)):
            path = np.stack([x + origin, line + shift], axis=1)
            canvas.lines(np.concatenate([path[:-1], path[1:]], axis=1), r, rgb("white") * tint)

    return paint
