"""Parts of outdoor pictures that several families share: sky, moon, stars, hills, trees and a house."""

import numpy as np

from happyhorse.world.draw import Canvas
from happyhorse.world.palette import Color, darker, lighter, mix

REACH = 1.15
"""Landscapes are painted from -REACH to REACH, more than half of the widest aspect."""


def stars(canvas: Canvas, rng: np.random.Generator, count: int = 60, low: float = 0.6) -> None:
    """Stars of several sizes between the top and y = low."""
    place = np.stack([rng.uniform(-REACH, REACH, count), low * rng.random(count) ** 1.3], axis=1)
    canvas.lines(
        np.concatenate([place, place], axis=1),
        rng.uniform(0.002, 0.006, count),
        "moon",
        rng.uniform(0.3, 1, count),
    )


def moon(canvas: Canvas, x: float, y: float, r: float, phase: str) -> None:
    """A full moon with seas, or a crescent between two arcs."""
    canvas.glow(x, y, 3.4 * r, "moon", 0.16)
    if phase == "crescent":
        outer, inner = np.linspace(0.9, 5.1, 30), np.linspace(4.85, 1.15, 30)
        rim = np.stack([np.cos(outer), np.sin(outer)], axis=1)
        bay = np.stack([0.45 + 0.85 * np.cos(inner), -0.12 + 0.85 * np.sin(inner)], axis=1)
        canvas.polygon(np.array([x, y]) + r * np.concatenate([rim, bay]), "moon")
        return
    canvas.circle(x, y, r, "moon")
    for dx, dy, size in ((-0.35, -0.2, 0.22), (0.25, 0.3, 0.28), (0.3, -0.4, 0.14), (-0.25, 0.45, 0.13)):
        canvas.circle(x + dx * r, y + dy * r, size * r, darker("moon", 0.10))


def hill(rng: np.random.Generator, y: float, height: float, waves: float = 2.0) -> np.ndarray:
    """[n, 2] outline of rolling land whose crest lies about y, down to below the picture."""
    x = np.linspace(-REACH, REACH, 36)
    phase = rng.uniform(0, 2 * np.pi, 3)
    crest = y - height * (0.6 * np.sin(waves * x + phase[0]) + 0.3 * np.sin(2.3 * waves * x + phase[1]))
    return np.concatenate([np.stack([x, crest], axis=1), [[REACH, 1.2], [-REACH, 1.2]]])


def cloud(canvas: Canvas, x: float, y: float, size: float, color: Color, alpha: float = 1.0) -> None:
    """A cloud of five puffs on a flat base, `size` wide, its underside in shade."""
    light, shade = lighter(color, 0.10), darker(color, 0.12)
    for dx, dy, r in ((-0.32, 0.04, 0.15), (0.34, 0.05, 0.13), (-0.12, -0.05, 0.20), (0.14, -0.03, 0.18)):
        canvas.circle(x + dx * size, y + dy * size, r * size, light, alpha, to=shade)
    canvas.rect(
        x - 0.44 * size,
        y + 0.02 * size,
        x + 0.44 * size,
        y + 0.18 * size,
        darker(color, 0.08),
        alpha,
        0.08 * size,
    )


def pine(canvas: Canvas, x: float, base: float, height: float, color: Color) -> None:
    """A conifer: trunk and three skirts."""
    canvas.rect(x - 0.04 * height, base - 0.14 * height, x + 0.04 * height, base, darker("dark wood", 0.3))
    for low, top, half in ((0.10, 0.55, 0.30), (0.32, 0.76, 0.24), (0.54, 1.0, 0.17)):
        points = [
            [x - half * height, base - low * height],
            [x, base - top * height],
            [x + half * height, base - low * height],
        ]
        canvas.polygon(points, lighter(color, 0.06), to=darker(color, 0.2))


def house(
    canvas: Canvas, x: float, base: float, size: float, color: Color, roof: Color, lit: bool, dim: float
) -> None:
    """A house `size` wide with a pitched roof, a chimney, a door and two windows, lit from inside or not.

    dim: how far everything but the lit windows is darkened, 0..1.
    """
    front, tiles = darker(color, dim), darker(roof, dim)
    half, eave, top = size / 2, base - 0.62 * size, base - 1.08 * size
    canvas.rect(x + 0.18 * size, top - 0.02 * size, x + 0.31 * size, eave, darker("brown", dim))
    canvas.rect(x - half, eave, x + half, base, lighter(front, 0.06), to=darker(front, 0.14))
    canvas.polygon(
        [[x - half - 0.12 * size, eave], [x, top], [x + half + 0.12 * size, eave]],
        lighter(tiles, 0.08),
        to=darker(tiles, 0.15),
    )
    canvas.rect(x - half, eave, x + half, eave + 0.03 * size, (0, 0, 0), 0.22)
    canvas.rect(
        x - 0.09 * size, base - 0.36 * size, x + 0.09 * size, base, darker("dark wood", dim), radius=0.01
    )
    pane = mix("yellow", "white", 0.35) if lit else darker(mix("sky", "gray", 0.4), dim)
    for side in (-1, 1):
        wx, wy = x + side * 0.30 * size, base - 0.34 * size
        if lit:
            canvas.glow(wx, wy, 0.34 * size, "yellow", 0.35)
        canvas.rect(
            wx - 0.11 * size, wy - 0.12 * size, wx + 0.11 * size, wy + 0.12 * size, lighter(front, 0.35)
        )
        canvas.rect(wx - 0.09 * size, wy - 0.10 * size, wx + 0.09 * size, wy + 0.10 * size, pane)
        canvas.rect(
            wx - 0.012 * size, wy - 0.10 * size, wx + 0.012 * size, wy + 0.10 * size, lighter(front, 0.35)
        )
