"""The mouth of a cartoon face, from the tracks of `visemes`: outlines for all frames at once, and the painting of one.

Local coordinates are those of `portrait`: the face is 1 high. Fully open, the lips are OPENING apart.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from happyhorse.world.draw import Canvas
from happyhorse.world.palette import darker, lighter
from happyhorse.world.pen import Place
from happyhorse.world.portrait import MOUTH_Y, Look

OPENING = 0.2
"""Distance of the lips at aperture 1, as a share of the face's height."""

INSIDE = (0.33, 0.05, 0.09)
TEETH = (0.97, 0.96, 0.93)
TONGUE = (0.86, 0.38, 0.42)
CORNERS = {"neutral": 0.0, "happy": 1.0, "sad": -0.9, "angry": -0.55, "surprised": 0.1}
"""How far the corners of the mouth turn up."""

_UPPER_SHARE = 0.24  # of the opening goes up, the rest down: the jaw moves, the upper lip hardly does
_STEPS = 19


@dataclass(frozen=True)
class Outlines:
    """Local outlines of one moment: each [n, 2]; `opening`: lips' distance in face heights."""

    outer: np.ndarray
    inner: np.ndarray
    seam: np.ndarray
    teeth: np.ndarray
    tongue: np.ndarray
    opening: float


def outlines(look: Look, shape: Mapping[str, float]) -> Outlines:
    """The mouth for one moment of `visemes.mouth`: aperture, width, rounding, teeth, tongue in 0..1."""
    aperture, rounding = shape["aperture"], shape["rounding"]
    opening = OPENING * aperture
    thick = (0.036 if look.person in ("woman", "girl") else 0.028) * (1 + 0.35 * rounding)
    half = (0.125 + 0.045 * (shape["width"] - 0.5) * 2 * (1 - rounding) - 0.058 * rounding) * (
        0.95 if look.child else 1.0
    )
    corner = CORNERS[look.mood]
    half += 0.018 * abs(corner) * (1 - rounding)
    u = np.linspace(-1, 1, _STEPS)
    round_ = np.sqrt(1 - u * u)
    middle = MOUTH_Y - 0.042 * corner * (u * u - 0.35)
    upper = middle - opening * _UPPER_SHARE * round_
    lower = middle + opening * (1 - _UPPER_SHARE) * round_
    bow = 1.0 - 0.30 * np.exp(-((u / 0.16) ** 2)) * (1 - rounding)
    over = np.stack([u * (half + 0.4 * thick), upper - thick * bow * round_**0.8], axis=1)
    under = np.stack([u * (half + 0.4 * thick), lower + 1.15 * thick * round_**0.8], axis=1)
    top, bottom = np.stack([u * half, upper], axis=1), np.stack([u * half, lower], axis=1)
    inside = slice(3, -3)
    edge = np.minimum(upper + (0.028 + 0.028 * aperture) * shape["teeth"], lower)
    back = np.maximum(lower - opening * 0.55 * shape["tongue"], upper)
    return Outlines(
        np.concatenate([over, under[::-1]]),
        np.concatenate([top, bottom[::-1]]),
        np.stack([u * half, middle], axis=1),
        np.concatenate([top[inside], np.stack([u * half, edge], axis=1)[inside][::-1]]),
        np.concatenate([bottom[4:-4], np.stack([u * half, back], axis=1)[4:-4][::-1]]),
        opening,
    )


def paint_mouth(canvas: Canvas, look: Look, place: Place, mouth: Outlines) -> None:
    """Paints the mouth: lips, and where they part, the dark inside with tongue and teeth."""
    color = look.lips
    canvas.polygon(place.points(mouth.outer), color)
    if mouth.opening <= 0.004:
        ends = place.points(mouth.seam)
        canvas.lines(np.concatenate([ends[:-1], ends[1:]], axis=1), 0.007 * place.scale, darker(color, 0.45))
        return
    canvas.polygon(place.points(mouth.inner), INSIDE)
    if np.ptp(mouth.tongue[:, 1]) > 0 and mouth.opening > 0.03:
        canvas.polygon(place.points(mouth.tongue), TONGUE)
    if mouth.opening > 0.012:
        canvas.polygon(place.points(mouth.teeth), TEETH)
    x, y = place.at(0.0, mouth.outer[_STEPS + _STEPS // 2, 1] - 0.012)
    canvas.ellipse(x, y, 0.035 * place.scale, 0.006 * place.scale, lighter(color, 0.35), place.tilt, 0.6)
