"""Curves as inline SVG: readable without a script, and carrying their points for the one that shows values on hover.

Noisy curves of any length are drawn as the mean of at most `POINTS` stretches of the axis, with the least and the
greatest value of each stretch as a pale band behind it.
"""

import html
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

POINTS = 200  # of a curve
WIDTH, HEIGHT = 560, 220  # of a chart, in units of its view box
LEFT, RIGHT, TOP, BOTTOM = 48, 24, 8, 22  # margins
WIDE = 20.0  # ratio of greatest to least value above which the axis of values is logarithmic
COLOURS = 8  # classes c0 .. c7 of the page's style; further curves share class "more"


@dataclass(frozen=True)
class Curve:
    """Values over steps, in order; steps >= 1; what is not finite is left out. `style` is a class of the page."""

    name: str
    steps: tuple[int, ...]
    values: tuple[float, ...]
    style: str


class Point(NamedTuple):
    """One stretch of a curve: mean step, mean, least and greatest value."""

    step: float
    value: float
    low: float
    high: float


def chart(title: str, curves: Sequence[Curve]) -> str:
    """A figure with its legend and both pictures, over steps (class "linear") and over their logarithm ("log")."""
    keys = "".join(
        f'<li><i class="{c.style}"></i>{html.escape(c.name)} <b>{number(c.values[-1])}</b></li>'
        for c in curves
    )
    pictures = "".join(_picture(curves, logarithmic) for logarithmic in (False, True))
    legend = f'<ul class="legend">{keys}</ul>'
    return f'<figure><figcaption>{html.escape(title)}</figcaption>{legend}{pictures}<div class="tip"></div></figure>'


def number(value: float) -> str:
    """Four significant digits at most, without an exponent where a person would not write one."""
    return f"{value:.0f}" if 1000 <= abs(value) < 1e7 else f"{value:.4g}"


def thinned(
    steps: Sequence[int], values: Sequence[float], logarithmic: bool, count: int = POINTS
) -> list[Point]:
    """At most `count` stretches of equal length on the axis (of steps, or of their logarithm), without empty ones."""
    if not steps:
        return []
    place = _scale(steps[0], steps[-1], 0, count, logarithmic)
    groups: dict[int, list[int]] = {}
    for i, step in enumerate(steps):
        groups.setdefault(min(int(place(step)), count - 1), []).append(i)
    return [
        Point(
            sum(steps[i] for i in group) / len(group),
            sum(values[i] for i in group) / len(group),
            min(values[i] for i in group),
            max(values[i] for i in group),
        )
        for group in groups.values()
    ]


def ticks(low: float, high: float, logarithmic: bool) -> list[float]:
    """Round numbers in [low, high]: about five, or the powers of ten, of which long ranges skip some."""
    if logarithmic:
        first, last = math.ceil(math.log10(low) - 1e-9), math.floor(math.log10(high) + 1e-9)
        marks = (1, 2, 5) if last - first < 2 else (1,)
        every = -(-(last - first + 1) // 6)
        found = [m * 10.0**e for e in range(first - 1, last + 1, max(1, every)) for m in marks]
    else:
        raw = (high - low) / 5
        unit = 10.0 ** math.floor(math.log10(raw))
        size = next(m * unit for m in (1, 2, 5, 10) if m * unit >= raw * 0.99)
        found = [i * size for i in range(math.ceil(low / size - 1e-9), math.floor(high / size + 1e-9) + 1)]
    return [tick for tick in found if low * (1 - 1e-9) - 1e-12 <= tick <= high * (1 + 1e-9) + 1e-12]


def _scale(low: float, high: float, begin: float, end: float, logarithmic: bool) -> Callable[[float], float]:
    """The map of [low, high] to [begin, end], even in the value or in its logarithm."""
    bend = math.log if logarithmic else float
    span = bend(high) - bend(low) or 1.0
    return lambda value: begin + (bend(value) - bend(low)) / span * (end - begin)


def _picture(curves: Sequence[Curve], logarithmic: bool) -> str:
    """One SVG of all curves."""
    points = [thinned(c.steps, c.values, logarithmic) for c in curves]
    first, last = min(c.steps[0] for c in curves), max(c.steps[-1] for c in curves)
    low, high, steep = _range([p for drawn in points for p in drawn])
    x = _scale(first, last, LEFT, WIDTH - RIGHT, logarithmic)
    y = _scale(low, high, HEIGHT - BOTTOM, TOP, steep)
    parts = []
    for tick in ticks(low, high, steep):
        at = y(tick)
        parts.append(f'<path class="grid" d="M{LEFT} {at:.1f}H{WIDTH - RIGHT}"/>')
        parts.append(f'<text class="y" x="{LEFT - 5}" y="{at + 3.5:.1f}">{number(tick)}</text>')
    for tick in ticks(first, last, logarithmic) if last > first else [first]:
        parts.append(f'<text class="x" x="{x(tick):.1f}" y="{HEIGHT - 6}">{number(tick)}</text>')
    shown = []
    for curve, drawn in zip(curves, points, strict=True):
        places = [(x(p.step), y(p.value)) for p in drawn]
        if any(p.high > p.low for p in drawn):
            top = [f"{x(p.step):.1f},{y(min(p.high, high)):.1f}" for p in drawn]
            under = [f"{x(p.step):.1f},{y(max(p.low, low)):.1f}" for p in reversed(drawn)]
            parts.append(f'<polygon class="band {curve.style}" points="{" ".join(top + under)}"/>')
        line = " ".join(f"{a:.1f},{b:.1f}" for a, b in places)
        parts.append(f'<polyline class="{curve.style}" points="{line}"/>')
        if len(drawn) == 1:
            parts.append(
                f'<circle class="{curve.style}" cx="{places[0][0]:.1f}" cy="{places[0][1]:.1f}" r="3"/>'
            )
        rows = [
            [round(a, 1), round(p.step), number(p.value)] for (a, _), p in zip(places, drawn, strict=True)
        ]
        shown.append({"name": curve.name, "style": curve.style, "points": rows})
    data = html.escape(json.dumps(shown, separators=(",", ":")))
    names = html.escape(", ".join(c.name for c in curves))
    return (
        f'<svg class="{"log" if logarithmic else "linear"}" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{names}" data-curves="{data}">{"".join(parts)}'
        f'<path class="rule" d="M0 {TOP}V{HEIGHT - BOTTOM}"/></svg>'
    )


def _range(points: Sequence[Point]) -> tuple[float, float, bool]:
    """Least and greatest value of the axis, with some air, and whether it is logarithmic.

    All means are in it, and of the bands all but the rarest extremes: one spike must not flatten the rest.
    """
    rare = len(points) // 20
    low = min(min(p.value for p in points), sorted(p.low for p in points)[rare])
    high = max(max(p.value for p in points), sorted(p.high for p in points)[-1 - rare])
    if low > 0 and high / low > WIDE:
        return low / 1.1, high * 1.1, True
    air = 0.05 * (high - low) or max(abs(high) * 0.1, 1e-3)
    return low - air, high + air, False
