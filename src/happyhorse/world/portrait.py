"""A cartoon head and shoulders: who a person is, and the painting of everything but the mouth.

Local coordinates: the face is 1 high from hair line to chin and centred on 0, x to the viewer's right, y down.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import cos, pi, sin

import numpy as np

from happyhorse.world.draw import Canvas
from happyhorse.world.palette import Color, darker, lighter, mix, rgb

HAIR_COLORS = {
    "black": (0.09, 0.08, 0.10),
    "brown": (0.36, 0.21, 0.11),
    "blond": (0.93, 0.76, 0.36),
    "red": (0.74, 0.27, 0.11),
    "gray": (0.60, 0.61, 0.63),
    "white": (0.93, 0.93, 0.92),
    "blue": (0.20, 0.38, 0.80),
    "pink": (0.94, 0.50, 0.68),
}
SKINS = {
    "pale": (0.99, 0.85, 0.75),
    "light": (0.96, 0.78, 0.64),
    "tan": (0.87, 0.65, 0.47),
    "brown": (0.66, 0.44, 0.29),
    "dark": (0.45, 0.28, 0.19),
}
EYES = {"brown": (0.35, 0.20, 0.10), "blue": (0.25, 0.48, 0.78), "green": (0.28, 0.52, 0.30)}
STYLES = {
    "man": ("short", "side", "curly", "spiky", "bald"),
    "woman": ("long", "bob", "curly", "bun", "ponytail"),
    "boy": ("short", "spiky", "curly", "side"),
    "girl": ("long", "bob", "pigtails", "ponytail", "bangs"),
}
MOODS = ("neutral", "happy", "sad", "angry", "surprised")
MOUTH_Y = 0.215
"""Where the lips meet, in local coordinates."""

_BROWS = {  # how far the inner and the outer end of a brow move down
    "neutral": (0.0, 0.0),
    "happy": (-0.02, -0.015),
    "sad": (-0.045, 0.025),
    "angry": (0.05, -0.025),
    "surprised": (-0.065, -0.055),
}
_LIDS = {"neutral": 0.08, "happy": 0.12, "sad": 0.34, "angry": 0.3, "surprised": 0.0}  # share of the eye covered


@dataclass(frozen=True)
class Look:
    """A person: "man", "woman", "boy" or "girl"; names of HAIR_COLORS, STYLES, SKINS, EYES, MOODS; shirt: a colour
    of the palette."""

    person: str
    hair: str
    style: str
    skin: str
    eyes: str
    shirt: str
    mood: str = "neutral"
    glasses: bool = False
    beard: bool = False

    @property
    def child(self) -> bool:
        return self.person in ("boy", "girl")

    @property
    def lips(self) -> np.ndarray:
        """Colour of the lips, which no skin has."""
        red = (0.80, 0.10, 0.20) if self.person in ("woman", "girl") else (0.70, 0.20, 0.20)
        return mix(red, SKINS[self.skin], 0.0 if self.person == "woman" else 0.12)


@dataclass(frozen=True)
class Place:
    """Where local coordinates lie in the picture: the middle of the face, its height, and its tilt (radians)."""

    x: float
    y: float
    scale: float
    tilt: float = 0.0

    def at(self, u: float, v: float) -> tuple[float, float]:
        """Picture units of a local point."""
        c, s = cos(self.tilt), sin(self.tilt)
        return self.x + self.scale * (c * u - s * v), self.y + self.scale * (s * u + c * v)

    def points(self, local: np.ndarray) -> np.ndarray:
        """Picture units of local points [..., 2]."""
        c, s = cos(self.tilt), sin(self.tilt)
        return np.array([self.x, self.y]) + self.scale * (local @ np.array([[c, s], [-s, c]]))


def _arc(rx: float, ry: float, start: float, stop: float, y: float = 0.0, count: int = 24) -> np.ndarray:
    """[count, 2] on an ellipse about (0, y), angles from the right and downwards, in units of pi."""
    angle = np.linspace(start * pi, stop * pi, count)
    return np.stack([rx * np.cos(angle), y + ry * np.sin(angle)], axis=1)


class _Pen:
    """Draws in local coordinates."""

    def __init__(self, canvas: Canvas, place: Place) -> None:
        self.canvas, self.place = canvas, place

    def shape(self, points: np.ndarray, color: Color, alpha: float = 1.0) -> None:
        self.canvas.polygon(self.place.points(points), color, alpha)

    def oval(self, u: float, v: float, rx: float, ry: float, color: Color, alpha: float = 1.0, soft: float = 0.0) -> None:
        x, y = self.place.at(u, v)
        scale = self.place.scale
        self.canvas.ellipse(x, y, rx * scale, ry * scale, color, self.place.tilt, alpha, soft=soft * scale)

    def stroke(self, points: np.ndarray, radius: float, color: Color) -> None:
        ends = self.place.points(points)
        segments = np.concatenate([ends[:-1], ends[1:]], axis=1)
        for x0, y0, x1, y1 in segments:
            self.canvas.capsule(x0, y0, x1, y1, radius * self.place.scale, color)


def paint_bust(canvas: Canvas, look: Look, place: Place) -> None:
    """Paints the person with open eyes and without a mouth."""
    pen = _Pen(canvas, place)
    skin, hair = rgb(SKINS[look.skin]), rgb(HAIR_COLORS[look.hair])
    _hair_behind(pen, look, hair)
    _body(pen, look, skin)
    for side in (-1, 1):
        pen.oval(side * 0.40, 0.03, 0.065, 0.09, skin)
        pen.oval(side * 0.405, 0.035, 0.03, 0.05, darker(skin, 0.18))
    pen.shape(_outline(look), skin)
    blush = (0.14 if look.person == "man" else 0.30) * float(skin.mean())
    for side in (-1, 1):
        pen.oval(side * 0.25, 0.13, 0.11, 0.085, (0.95, 0.36, 0.36), blush, soft=0.10)
    if look.beard:
        pen.shape(_beard(), darker(hair, 0.05))
    for side in (-1, 1):
        _eye(pen, look, side, hair)
    pen.oval(0.0, 0.075, 0.052, 0.038, darker(skin, 0.20))
    pen.oval(-0.006, 0.066, 0.044, 0.032, mix(skin, (0.9, 0.45, 0.40), 0.16))
    _hair_in_front(pen, look, hair)
    if look.glasses:
        _glasses(pen, look)


def paint_lids(canvas: Canvas, look: Look, place: Place, closed: float) -> None:
    """Closes the eyes by 0..1, for blinking."""
    pen = _Pen(canvas, place)
    for side in (-1, 1):
        _lid(pen, look, side, max(closed, _LIDS[look.mood]))
    if look.glasses:
        _glasses(pen, look)


def _outline(look: Look) -> np.ndarray:
    """The face: half an ellipse above, below it a superellipse whose power makes a jaw square or a chin pointed."""
    power = {"man": 2.7, "woman": 1.95, "boy": 2.3, "girl": 2.15}[look.person]
    width = 0.415 if look.child else 0.39
    angle = np.linspace(0, pi, 28)
    x = width * np.sign(np.cos(angle)) * np.abs(np.cos(angle)) ** (2 / power)
    y = (0.455 if look.child else 0.49) * np.abs(np.sin(angle)) ** (2 / power)
    return np.concatenate([np.stack([x, y], axis=1), _arc(width, 0.47, 1, 2)[1:-1]])


def _body(pen: _Pen, look: Look, skin: np.ndarray) -> None:
    neck = {"man": 0.21, "woman": 0.15, "boy": 0.15, "girl": 0.14}[look.person]
    half = {"man": 0.80, "woman": 0.66, "boy": 0.58, "girl": 0.56}[look.person]
    shade = darker(skin, 0.16)
    top = np.array([[-neck, 0.2], [neck, 0.2], [neck, 0.62], [-neck, 0.62]])
    pen.shape(top, shade)
    shoulders = np.concatenate([_arc(half, 0.30, 1, 2, y=0.86), np.array([[half + 0.05, 1.4], [-half - 0.05, 1.4]])])
    pen.shape(shoulders, look.shirt)
    collar = 0.12 if look.person in ("man", "boy") else 0.17
    pen.shape(_arc(neck + 0.05, collar + 0.02, 0, 1, y=0.555), darker(look.shirt, 0.25))
    pen.shape(_arc(neck + 0.02, collar, 0, 1, y=0.545), shade)


def _eye(pen: _Pen, look: Look, side: int, hair: np.ndarray) -> None:
    rx, ry = _eye_size(look)
    u, v = side * 0.165, -0.045
    pen.oval(u, v, rx + 0.012, ry + 0.012, darker(SKINS[look.skin], 0.3))
    pen.oval(u, v, rx, ry, (0.98, 0.98, 0.97))
    pen.oval(u - side * 0.008, v + 0.004, 0.047, 0.047, EYES[look.eyes])
    pen.oval(u - side * 0.008, v + 0.004, 0.027, 0.027, (0.05, 0.04, 0.05))
    pen.oval(u - side * 0.008 + 0.016, v - 0.014, 0.013, 0.013, (1.0, 1.0, 1.0))
    _lid(pen, look, side, _LIDS[look.mood])
    inner, outer = _BROWS[look.mood]
    brow = darker(hair, 0.25) if look.hair not in ("white", "blond") else mix(hair, (0.45, 0.30, 0.12), 0.55)
    arch = -0.185 if look.person in ("man", "boy") else -0.195
    line = np.array([[side * 0.075, arch + 0.02 + inner], [side * 0.17, arch - 0.012], [side * 0.26, arch + 0.018 + outer]])
    if look.mood in ("surprised", "happy", "sad"):
        line[1, 1] += (inner + outer) / 2
    pen.stroke(line, 0.021 if look.person in ("man", "boy") else 0.015, brow)


def _eye_size(look: Look) -> tuple[float, float]:
    wide = 1.16 if look.mood == "surprised" else 1.0
    return (0.085, 0.088 * wide) if look.child else (0.082, 0.072 * wide)


def _lid(pen: _Pen, look: Look, side: int, closed: float) -> None:
    """The upper lid over a share of the eye, with its lashes along the edge; slanted in anger and in grief."""
    rx, ry = (size + 0.014 for size in _eye_size(look))
    u = np.linspace(-1, 1, 13)
    edge = (2 * closed - 1) * ry * np.sqrt(np.clip(1 - u * u, 0, 1))
    slant = {"angry": -1.0, "sad": 0.8}.get(look.mood, 0.0) * 0.028 * side * u * (closed < 0.9)
    upper = -ry * np.sqrt(np.clip(1 - u * u, 0, 1))
    edge = np.maximum(edge + slant * (1 - u * u > 0), upper)
    center = np.array([side * 0.165, -0.045])
    lower = np.stack([u * rx, edge], axis=1) + center
    skin = darker(SKINS[look.skin], 0.10)
    if closed > 0:
        pen.shape(np.concatenate([np.stack([u * rx, upper], axis=1) + center, lower[::-1]]), skin)
    lashes = 0.014 if look.person in ("woman", "girl") else 0.008
    pen.stroke(lower[1:-1:2], lashes, (0.12, 0.08, 0.08))


def _glasses(pen: _Pen, look: Look) -> None:
    rim = (0.13, 0.12, 0.16)
    for side in (-1, 1):
        ring = _arc(0.135, 0.125, 0, 2, y=-0.04, count=25) + np.array([side * 0.165, 0.0])
        pen.stroke(ring, 0.012, rim)
        pen.stroke(np.array([[side * 0.30, -0.05], [side * 0.40, -0.06]]), 0.012, rim)
    pen.stroke(np.array([[-0.035, -0.055], [0.035, -0.055]]), 0.012, rim)


def _beard() -> np.ndarray:
    jaw = _outline(Look("man", "black", "short", "light", "brown", "red"))[:28]
    outer = jaw * np.array([1.015, 1.05])
    inner = np.array([[-0.30, 0.06], [-0.24, 0.15], [-0.12, 0.135], [0.0, 0.15], [0.12, 0.135], [0.24, 0.15], [0.30, 0.06]])
    return np.concatenate([outer, inner])


def _hair_behind(pen: _Pen, look: Look, hair: np.ndarray) -> None:
    shade = darker(hair, 0.14)
    if look.style in ("long", "bangs"):
        pen.shape(np.concatenate([_arc(0.50, 0.56, 1, 2), [[0.54, 0.50], [0.44, 0.72], [-0.44, 0.72], [-0.54, 0.50]]]), shade)
    elif look.style == "bob":
        pen.shape(np.concatenate([_arc(0.51, 0.56, 1, 2), [[0.53, 0.30], [0.40, 0.38], [-0.40, 0.38], [-0.53, 0.30]]]), shade)
    elif look.style == "ponytail":
        pen.oval(0.46, 0.20, 0.13, 0.36, shade)
        pen.oval(0.36, -0.22, 0.09, 0.09, look.shirt)
    elif look.style == "pigtails":
        for side in (-1, 1):
            pen.oval(side * 0.53, 0.20, 0.13, 0.29, shade)
            pen.oval(side * 0.46, -0.06, 0.07, 0.07, look.shirt)
    elif look.style == "bun":
        pen.oval(0.0, -0.54, 0.20, 0.15, shade)
    elif look.style == "curly":
        reach = 0.72 if look.person in ("woman", "girl") else 0.5
        for angle in np.linspace((1.5 - reach) * pi, (1.5 + reach) * pi, 15):
            pen.oval(0.43 * cos(angle), -0.06 + 0.43 * sin(angle), 0.125, 0.125, shade)


def _hair_in_front(pen: _Pen, look: Look, hair: np.ndarray) -> None:
    if look.style == "bald":
        return
    lines = {
        "short": [[0.41, -0.06], [0.36, -0.20], [0.20, -0.30], [0.0, -0.27], [-0.20, -0.30], [-0.36, -0.20], [-0.41, -0.06]],
        "side": [[0.42, -0.02], [0.37, -0.17], [0.26, -0.26], [0.02, -0.25], [-0.18, -0.36], [-0.36, -0.20], [-0.41, -0.04]],
        "spiky": [[0.41, -0.06], [0.35, -0.24], [0.24, -0.20], [0.13, -0.31], [0.0, -0.21], [-0.13, -0.31], [-0.24, -0.20], [-0.35, -0.24], [-0.41, -0.06]],
        "curly": [[0.42, -0.06], [0.34, -0.24], [0.18, -0.32], [0.0, -0.30], [-0.18, -0.32], [-0.34, -0.24], [-0.42, -0.06]],
        "long": [[0.45, 0.34], [0.37, 0.10], [0.35, -0.12], [0.20, -0.27], [-0.06, -0.36], [-0.26, -0.24], [-0.36, -0.08], [-0.37, 0.10], [-0.45, 0.34]],
        "bangs": [[0.45, 0.34], [0.37, 0.10], [0.36, -0.20], [0.18, -0.215], [0.0, -0.22], [-0.18, -0.215], [-0.36, -0.20], [-0.37, 0.10], [-0.45, 0.34]],
        "bob": [[0.47, 0.22], [0.37, 0.10], [0.35, -0.16], [0.16, -0.215], [-0.12, -0.235], [-0.35, -0.15], [-0.37, 0.10], [-0.47, 0.22]],
    }
    line = lines.get(look.style, [[0.42, 0.0], [0.36, -0.16], [0.22, -0.28], [0.02, -0.35], [-0.20, -0.28], [-0.36, -0.16], [-0.42, 0.0]])
    wide = 0.47 if look.style in ("long", "bangs", "bob") else 0.425
    top = _arc(wide, 0.545, 1.0, 2.0)
    if look.style == "spiky":
        top = _arc(wide, 0.50, 1.0, 2.0, count=17)
        top[1:-1:2] *= 1.22
    pen.shape(np.concatenate([top, np.array(line)]), hair)
    if look.style == "curly":
        for u in np.linspace(-0.30, 0.30, 6):
            pen.oval(u, -0.40 + 0.5 * u * u, 0.12, 0.12, hair)
    pen.stroke(np.array([[-0.20, -0.43], [-0.06, -0.475], [0.08, -0.475]]), 0.016, lighter(hair, 0.22))
