"""A cartoon head and shoulders: who a person is, and the painting of everything but the mouth.

Local coordinates: the face is 1 high from hair line to chin and centred on 0, x to the viewer's right, y down.
"""

from dataclasses import dataclass
from math import pi

import numpy as np

from happyhorse.world.draw import Canvas
from happyhorse.world.hair import paint_behind, paint_in_front
from happyhorse.world.palette import darker, mix, rgb
from happyhorse.world.pen import Pen, Place, arc

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
_LIDS = {  # share of the eye that the lid covers
    "neutral": 0.08,
    "happy": 0.12,
    "sad": 0.34,
    "angry": 0.3,
    "surprised": 0.0,
}


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
        """Whether the person is a boy or a girl."""
        return self.person in ("boy", "girl")

    @property
    def lips(self) -> np.ndarray:
        """float32 [3]: the colour of the lips, which no skin has."""
        if self.beard:
            return np.array((0.93, 0.50, 0.50), np.float32)
        red = (0.80, 0.10, 0.20) if self.person in ("woman", "girl") else (0.72, 0.20, 0.20)
        return mix(red, SKINS[self.skin], 0.0 if self.person == "woman" else 0.12)


def paint_bust(canvas: Canvas, look: Look, place: Place) -> None:
    """Paints the person with open eyes and without a mouth."""
    pen = Pen(canvas, place)
    skin, hair = rgb(SKINS[look.skin]), rgb(HAIR_COLORS[look.hair])
    paint_behind(pen, look.style, hair, look.shirt, look.person in ("woman", "girl"))
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
    paint_in_front(pen, look.style, hair)
    if look.glasses:
        _glasses(pen, look)


def paint_lids(canvas: Canvas, look: Look, place: Place, closed: float) -> None:
    """Closes the eyes by 0..1, for blinking."""
    pen = Pen(canvas, place)
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
    return np.concatenate([np.stack([x, y], axis=1), arc(width, 0.47, 1, 2)[1:-1]])


def _body(pen: Pen, look: Look, skin: np.ndarray) -> None:
    neck = {"man": 0.21, "woman": 0.15, "boy": 0.15, "girl": 0.14}[look.person]
    half = {"man": 0.80, "woman": 0.66, "boy": 0.58, "girl": 0.56}[look.person]
    shade = darker(skin, 0.16)
    top = np.array([[-neck, 0.2], [neck, 0.2], [neck, 0.62], [-neck, 0.62]])
    pen.shape(top, shade)
    shoulders = np.concatenate(
        [arc(half, 0.30, 1, 2, y=0.86), np.array([[half + 0.05, 1.4], [-half - 0.05, 1.4]])]
    )
    pen.shape(shoulders, look.shirt)
    collar = 0.12 if look.person in ("man", "boy") else 0.17
    pen.shape(arc(neck + 0.05, collar + 0.02, 0, 1, y=0.555), darker(look.shirt, 0.25))
    pen.shape(arc(neck + 0.02, collar, 0, 1, y=0.545), shade)


def _eye(pen: Pen, look: Look, side: int, hair: np.ndarray) -> None:
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
    line = np.array(
        [
            [side * 0.075, arch + 0.02 + inner],
            [side * 0.17, arch - 0.012],
            [side * 0.26, arch + 0.018 + outer],
        ]
    )
    if look.mood in ("surprised", "happy", "sad"):
        line[1, 1] += (inner + outer) / 2
    pen.stroke(line, 0.021 if look.person in ("man", "boy") else 0.015, brow)


def _eye_size(look: Look) -> tuple[float, float]:
    wide = 1.16 if look.mood == "surprised" else 1.0
    return (0.085, 0.088 * wide) if look.child else (0.082, 0.072 * wide)


def _lid(pen: Pen, look: Look, side: int, closed: float) -> None:
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


def _glasses(pen: Pen, look: Look) -> None:
    rim = (0.13, 0.12, 0.16)
    for side in (-1, 1):
        ring = arc(0.135, 0.125, 0, 2, y=-0.04, count=25) + np.array([side * 0.165, 0.0])
        pen.stroke(ring, 0.012, rim)
        pen.stroke(np.array([[side * 0.30, -0.05], [side * 0.40, -0.06]]), 0.012, rim)
    pen.stroke(np.array([[-0.035, -0.055], [0.035, -0.055]]), 0.012, rim)


def _beard() -> np.ndarray:
    jaw = _outline(Look("man", "black", "short", "light", "brown", "red"))[:28]
    outer = jaw * np.array([1.015, 1.05])
    inner = np.array(
        [[-0.30, 0.06], [-0.24, 0.15], [-0.12, 0.135], [0.0, 0.15], [0.12, 0.135], [0.24, 0.15], [0.30, 0.06]]
    )
    return np.concatenate([outer, inner])
