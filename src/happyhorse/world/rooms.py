"""Walls and floors to stand things in front of and on: papered walls and plain ones, five floors in perspective."""

from collections.abc import Callable, Mapping
from itertools import pairwise

import numpy as np

from happyhorse.world.draw import Canvas
from happyhorse.world.palette import Color, darker, lighter, mix

WALLS = ("white", "gray", "blue", "green", "yellow", "orange", "pink", "purple")
BACKGROUNDS = ("white", "gray", "black", "blue", "green", "yellow", "orange", "pink", "purple", "red")
FLOORS = ("wooden", "stone", "metal", "grass", "sand")
DECORS = ("plain", "stripes", "panels", "bricks", "window", "frame")

REACH = 1.3
"""Rooms are painted from -REACH to REACH, more than half of the widest aspect."""


def wall_color(name: str) -> np.ndarray:
    """float32 [3]: the paint of a wall of that name, softer than the colour of things so that these stand
    out."""
    soft = {"white": 0.0, "gray": 0.25, "yellow": 0.45, "orange": 0.5, "pink": 0.35}
    return mix(name, (0.99, 0.98, 0.95), soft.get(name, 0.55))


def paint_wall(canvas: Canvas, name: str, decor: str, base: float, rng: np.random.Generator) -> None:
    """Paints a wall down to y = `base` with a light on it and a decor of DECORS; placing comes from `rng`."""
    paint = wall_color(name)
    canvas.gradient(lighter(paint, 0.12), darker(paint, 0.10), 0.0, base)
    shade = darker(paint, 0.09)
    if decor == "stripes":
        pitch = rng.uniform(0.10, 0.22)
        for x in np.arange(-REACH, REACH, pitch) + rng.uniform(0, pitch):
            canvas.rect(x, -0.5, x + pitch / 2, base, shade, alpha=0.45)
    elif decor == "panels":
        pitch, top = rng.uniform(0.45, 0.7), rng.uniform(0.3, 0.45) * base
        for x in np.arange(-REACH, REACH, pitch) + rng.uniform(0, pitch):
            canvas.rect(x, top, x + pitch * 0.82, base - 0.08, shade, radius=0.01, to=darker(paint, 0.05))
            canvas.rect(x + 0.012, top + 0.012, x + pitch * 0.82, base - 0.08, paint, radius=0.01)
    elif decor == "bricks":
        high, wide = base / 9, base / 9 * 2.3
        for row in range(10):
            for x in np.arange(-REACH, REACH, wide) + (row % 2) * wide / 2:
                tone = darker(paint, rng.uniform(0.0, 0.10))
                y = base - row * high
                canvas.rect(
                    x, y - high + 0.006, x + wide - 0.006, y, tone, radius=0.006, to=darker(tone, 0.05)
                )
    elif decor in ("window", "frame"):
        x, width = rng.uniform(-0.6, 0.6), rng.uniform(0.24, 0.36)
        top, height = rng.uniform(0.06, 0.12), rng.uniform(0.22, 0.32)
        edge: Color = "white" if decor == "window" else "dark wood"
        canvas.rect(
            x - width / 2 + 0.012,
            top + 0.016,
            x + width / 2 + 0.016,
            top + height + 0.02,
            "black",
            0.13,
            0.01,
        )
        canvas.rect(x - width / 2, top, x + width / 2, top + height, edge, radius=0.008)
        inner = (x - width / 2 + 0.018, top + 0.018, x + width / 2 - 0.018, top + height - 0.018)
        if decor == "window":
            canvas.rect(*inner, "sky", to="haze")
            canvas.rect(x - 0.006, top, x + 0.006, top + height, edge)
            canvas.rect(x - width / 2, top + height * 0.42, x + width / 2, top + height * 0.42 + 0.012, edge)
        else:
            canvas.rect(*inner, "cream", to=mix("cream", "sky", 0.5))
            hill = inner[3] - np.array([0.0, 0.0, 0.06, 0.12, 0.05, 0.09, 0.0])
            xs = np.array([inner[2], inner[0], inner[0], x - 0.04, x, x + 0.05, inner[2]])
            canvas.polygon(np.stack([xs, hill], axis=1), mix("leaf", "cream", 0.35))
    canvas.glow(rng.uniform(-0.6, 0.6), rng.uniform(-0.1, 0.2), 0.9, (1.0, 0.97, 0.9), 0.07)


def paint_background(canvas: Canvas, name: str) -> None:
    """Fills the picture with a plain wall of BACKGROUNDS, in a stronger tint than papered ones, and a soft light."""
    if name == "black":
        canvas.gradient("black", lighter("black", 0.12))
        canvas.glow(0.0, 0.45, 0.9, (1.0, 1.0, 1.0), 0.08)
        return
    base = mix(name, "white", 0.0 if name in ("white", "gray") else 0.35)
    canvas.gradient(lighter(base, 0.12), darker(base, 0.14))
    canvas.glow(0.0, 0.4, 0.9, (1.0, 1.0, 1.0), 0.08)


def paint_floor(canvas: Canvas, name: str, base: float, rng: np.random.Generator) -> None:
    """Paints a floor of FLOORS from y = `base`, where it meets the wall, to the bottom, as seen from above
    it."""
    PAINTERS[name](canvas, base, rng)
    if name not in ("grass", "sand"):
        canvas.rect(-REACH, base - 0.032, REACH, base, darker("white", 0.10), to=darker("white", 0.22))
    canvas.rect(-REACH, base, REACH, base + 0.03, "black", alpha=0.16)


def _rows(base: float, count: int) -> np.ndarray:
    """y of `count` + 1 lines across the floor that are evenly spaced in depth, from the wall to the
    viewer."""
    eye = base - 0.28
    near, far = 1.0 / (1.02 - eye), 1.0 / (base - eye)
    return eye + 1.0 / np.linspace(far, near, count + 1)


def _trapezoid(base: float, x0: float, x1: float, top: float, bottom: float) -> np.ndarray:
    """[4, 2]: the part of the floor between rays x0 and x1 (x where they meet the wall) and the rows
    given."""
    eye = base - 0.28
    a, b = (top - eye) / 0.28, (bottom - eye) / 0.28
    return np.array([[x0 * a, top], [x1 * a, top], [x1 * b, bottom], [x0 * b, bottom]])


def _wooden(canvas: Canvas, base: float, rng: np.random.Generator) -> None:
    tone = mix("wood", "dark wood", rng.uniform(0.0, 0.6))
    canvas.gradient(darker(tone, 0.12), lighter(tone, 0.05), base, 1.0)
    plank = rng.uniform(0.09, 0.14)
    for x in np.arange(-REACH, REACH, plank) + rng.uniform(0, plank):
        shade = mix(darker(tone, 0.14), lighter(tone, 0.10), rng.random())
        canvas.polygon(_trapezoid(base, x, x + plank, base, 1.02), shade, to=lighter(shade, 0.08))
        canvas.polygon(_trapezoid(base, x, x + plank * 0.06, base, 1.02), darker(tone, 0.45))
        y = rng.uniform(base + 0.02, 0.97)
        canvas.polygon(_trapezoid(base, x, x + plank, y, y + 0.006), darker(tone, 0.45))


def _stone(canvas: Canvas, base: float, rng: np.random.Generator) -> None:
    tone = mix("stone", (0.52, 0.55, 0.62), rng.random())
    canvas.gradient(darker(tone, 0.30), darker(tone, 0.20), base, 1.0)
    rows = _rows(base, int(rng.integers(3, 5)))
    wide = rng.uniform(0.16, 0.24)
    for index, (top, bottom) in enumerate(pairwise(rows)):
        for x in np.arange(-REACH, REACH, wide) + (index % 2) * wide / 2:
            shade = mix(darker(tone, 0.10), lighter(tone, 0.22), rng.random())
            tile = _trapezoid(base, x, x + wide * 0.95, top, bottom - 0.05 * (bottom - top))
            canvas.polygon(tile, shade, to=lighter(shade, 0.10))


def _metal(canvas: Canvas, base: float, rng: np.random.Generator) -> None:
    canvas.gradient(darker("metal", 0.35), lighter("metal", 0.25), base, 1.0)
    for _ in range(5):  # reflections of what is not in the picture
        x = rng.uniform(-1.0, 1.0)
        canvas.polygon(_trapezoid(base, x, x + rng.uniform(0.05, 0.25), base, 1.02), "white", alpha=0.14)
    rows, wide = _rows(base, 3), rng.uniform(0.3, 0.4)
    shift = rng.uniform(0, wide)
    for y in rows[1:-1]:
        canvas.rect(-REACH, y - 0.004, REACH, y + 0.003, darker("metal", 0.5))
        canvas.rect(-REACH, y + 0.003, REACH, y + 0.008, "white", alpha=0.5)
    eye = base - 0.28
    rivets = []
    for x in np.arange(-REACH, REACH, wide) + shift:
        canvas.polygon(_trapezoid(base, x, x + 0.008, base, 1.02), darker("metal", 0.5))
        rivets += [
            (s, y + d) for y in rows[1:-1] for d in (-0.02, 0.026) for s in ((x + 0.03) * (y - eye) / 0.28,)
        ]
    dots = np.array([[x, y, x, y] for x, y in rivets])
    canvas.lines(dots, 0.008, darker("metal", 0.4))


def _blades(canvas: Canvas, base: float, rng: np.random.Generator) -> None:
    tone = mix("grass", (0.30, 0.58, 0.30), rng.random())
    canvas.gradient(darker(tone, 0.22), lighter(tone, 0.08), base, 1.0)
    for share, count in ((0.0, 150), (0.35, 90), (0.7, 60)):
        y = base + (1.0 - base) * (share + rng.uniform(0.0, 0.3, count))
        x, lean = rng.uniform(-REACH, REACH, count), rng.uniform(-0.015, 0.015, count)
        tall = 0.02 + 0.035 * (share + rng.uniform(0, 0.4, count))
        blades = np.stack([x, y, x + lean, y - tall], axis=1)
        canvas.lines(blades[::2], 0.004, lighter(tone, 0.25), 0.8)
        canvas.lines(blades[1::2], 0.004, darker(tone, 0.25), 0.8)
    x = np.arange(-REACH, REACH, 0.022)
    fringe = np.stack([x, np.full_like(x, base + 0.02), x, base - rng.uniform(0.005, 0.05, len(x))], axis=1)
    fringe[:, 2] += rng.uniform(-0.015, 0.015, len(x))
    canvas.lines(fringe, 0.007, darker(tone, 0.18))


def _sand(canvas: Canvas, base: float, rng: np.random.Generator) -> None:
    tone = mix("sand", (0.93, 0.84, 0.66), rng.random())
    canvas.gradient(darker(tone, 0.14), lighter(tone, 0.10), base, 1.0)
    for y in _rows(base, 7)[1:]:
        x = np.arange(-REACH, REACH, 0.04)
        phase, wave = rng.uniform(0, 6.28, 2), rng.uniform(4, 9, 2)
        ripple = y + 0.012 * np.sin(wave[0] * x + phase[0]) + 0.006 * np.sin(2.1 * wave[1] * x + phase[1])
        strokes = np.stack([x[:-1], ripple[:-1], x[1:], ripple[1:]], axis=1)
        canvas.lines(strokes, 0.006 * (y - base + 0.25) * 2, darker(tone, 0.14), 0.7)
        canvas.lines(strokes + np.array([0.0, 0.012, 0.0, 0.012]), 0.004, lighter(tone, 0.35), 0.5)
    grains = np.repeat(
        np.stack([rng.uniform(-REACH, REACH, 160), rng.uniform(base, 1.0, 160)], axis=1), 2, axis=0
    )
    canvas.lines(grains.reshape(-1, 4), 0.003, darker(tone, 0.35), 0.6)


PAINTERS: Mapping[str, Callable[[Canvas, float, np.random.Generator], None]] = {
    "wooden": _wooden,
    "stone": _stone,
    "metal": _metal,
    "grass": _blades,
    "sand": _sand,
}
