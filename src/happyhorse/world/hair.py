"""The hair of a cartoon head: what hangs behind it and what lies over the forehead, in coordinates of `portrait`."""

from math import cos, pi, sin

import numpy as np

from happyhorse.world.palette import Color, darker, lighter
from happyhorse.world.pen import Pen, arc


def _points(text: str) -> np.ndarray:
    return np.array([[float(number) for number in point.split(",")] for point in text.split()])


_LINES = {  # where hair ends over the face, from the right to the left
    "short": _points(".41,-.06 .36,-.20 .20,-.30 0,-.27 -.20,-.30 -.36,-.20 -.41,-.06"),
    "side": _points(".42,-.02 .37,-.17 .26,-.26 .02,-.25 -.18,-.36 -.36,-.20 -.41,-.04"),
    "spiky": _points(".41,-.06 .35,-.24 .24,-.20 .13,-.31 0,-.21 -.13,-.31 -.24,-.20 -.35,-.24 -.41,-.06"),
    "curly": _points(".42,-.06 .34,-.24 .18,-.32 0,-.30 -.18,-.32 -.34,-.24 -.42,-.06"),
    "long": _points(".45,.34 .37,.10 .35,-.12 .20,-.27 -.06,-.36 -.26,-.24 -.36,-.08 -.37,.10 -.45,.34"),
    "bangs": _points(".45,.34 .37,.10 .36,-.20 .18,-.215 0,-.22 -.18,-.215 -.36,-.20 -.37,.10 -.45,.34"),
    "bob": _points(".47,.22 .37,.10 .35,-.16 .16,-.215 -.12,-.235 -.35,-.15 -.37,.10 -.47,.22"),
    "tied": _points(".42,0 .36,-.16 .22,-.28 .02,-.35 -.20,-.28 -.36,-.16 -.42,0"),
}
_LONG = np.concatenate([arc(0.50, 0.56, 1, 2), _points(".54,.50 .44,.72 -.44,.72 -.54,.50")])
_BOB = np.concatenate([arc(0.51, 0.56, 1, 2), _points(".53,.30 .40,.38 -.40,.38 -.53,.30")])
_CAP = arc(0.42, 0.52, 0.98, 2.02)
_SHINE = _points("-.20,-.43 -.06,-.475 .08,-.475")


def paint_behind(pen: Pen, style: str, color: Color, tie: Color, ample: bool) -> None:
    """Hair behind the head. tie: colour of the bands; ample: curls down to the chin."""
    if style == "bald":
        return
    shade = darker(color, 0.14)
    pen.shape(_CAP, shade)
    if style in ("long", "bangs"):
        pen.shape(_LONG, shade)
    elif style == "bob":
        pen.shape(_BOB, shade)
    elif style == "ponytail":
        pen.oval(0.46, 0.20, 0.13, 0.36, shade)
        pen.oval(0.36, -0.22, 0.09, 0.09, tie)
    elif style == "pigtails":
        for side in (-1, 1):
            pen.oval(side * 0.53, 0.20, 0.13, 0.29, shade)
            pen.oval(side * 0.46, -0.06, 0.07, 0.07, tie)
    elif style == "bun":
        pen.oval(0.0, -0.54, 0.20, 0.15, shade)
    elif style == "curly":
        reach = 0.72 if ample else 0.5
        for angle in np.linspace((1.5 - reach) * pi, (1.5 + reach) * pi, 15):
            pen.oval(0.43 * cos(angle), -0.06 + 0.43 * sin(angle), 0.125, 0.125, shade)


def paint_in_front(pen: Pen, style: str, color: Color) -> None:
    """Hair over the forehead."""
    if style == "bald":
        return
    top = arc(0.47 if style in ("long", "bangs", "bob") else 0.425, 0.545, 1, 2)
    if style == "spiky":
        top = arc(0.425, 0.50, 1, 2, count=17)
        top[1:-1:2] *= 1.22
    pen.shape(np.concatenate([top, _LINES.get(style, _LINES["tied"])]), color)
    if style == "curly":
        for u in np.linspace(-0.30, 0.30, 6):
            pen.oval(u, -0.40 + 0.5 * u * u, 0.12, 0.12, color)
    pen.stroke(_SHINE, 0.016, lighter(color, 0.22))
