"""The horse, painted from the side: trunk, neck and head in one smooth outline, jointed legs, mane and tail.

Everything is in heights of the horse at the withers, x forward and y up (see `gait`); a Frame carries it
into the picture.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import pi

import numpy as np

from happyhorse.world.draw import Canvas, Fill
from happyhorse.world.gait import LEGS, Body, Leg
from happyhorse.world.palette import darker, lighter, mix, rgb

FAR_SIDE = 0.035
"""How much higher in the picture, in heights of the horse, the hooves of the far side stand."""


@dataclass(frozen=True)
class Coat:
    """Colours of a horse: body, mane (and tail), lower legs, and whether these are
    socks, below the middle of the cannon, and whether a white blaze runs down the face."""

    body: tuple[float, float, float]
    mane: tuple[float, float, float]
    points: tuple[float, float, float]
    socks: bool = False
    blaze: bool = False


COATS: Mapping[str, Coat] = {
    "brown": Coat((0.47, 0.28, 0.15), (0.14, 0.09, 0.07), (0.16, 0.10, 0.08), blaze=True),
    "black": Coat((0.15, 0.15, 0.18), (0.07, 0.07, 0.09), (0.11, 0.11, 0.13)),
    "white": Coat((0.95, 0.94, 0.92), (0.84, 0.83, 0.82), (0.90, 0.89, 0.87)),
    "gray": Coat((0.60, 0.61, 0.64), (0.30, 0.31, 0.35), (0.36, 0.37, 0.41)),
    "chestnut": Coat((0.70, 0.34, 0.14), (0.55, 0.24, 0.09), (0.94, 0.92, 0.88), socks=True, blaze=True),
    "palomino": Coat((0.88, 0.67, 0.33), (0.97, 0.92, 0.79), (0.94, 0.88, 0.76), socks=True),
}


@dataclass(frozen=True)
class Frame:
    """Where a horse stands in the picture: x of its middle, y of the ground, size of one height, direction 1
    right or -1 left."""

    x: float
    ground: float
    size: float
    direction: int

    def place(self, points: np.ndarray) -> np.ndarray:
        """[..., 2] picture units of points [..., 2] of the horse."""
        return points * (self.direction * self.size, -self.size) + (self.x, self.ground)


# The outline, clockwise from the dock. The second column says how much a point follows the neck and the head.
_OUTLINE = (
    ((-0.520, 0.870), 0), ((-0.455, 0.965), 0), ((-0.340, 1.010), 0), ((-0.170, 0.975), 0), ((0.040, 0.950), 0),
    ((0.200, 0.990), 0), ((0.300, 1.045), 0.25), ((0.385, 1.155), 0.7), ((0.470, 1.285), 1), ((0.550, 1.380), 1),
    ((0.630, 1.430), 1.5), ((0.695, 1.412), 2), ((0.752, 1.335), 2), ((0.815, 1.210), 2), ((0.876, 1.090), 2),
    ((0.910, 1.015), 2), ((0.904, 0.955), 2), ((0.866, 0.932), 2), ((0.826, 0.948), 2), ((0.786, 1.002), 2),
    ((0.742, 1.062), 2), ((0.686, 1.098), 2), ((0.622, 1.128), 1.6), ((0.566, 1.105), 1), ((0.524, 1.010), 0.7),
    ((0.490, 0.900), 0.3), ((0.475, 0.800), 0), ((0.435, 0.690), 0), ((0.340, 0.600), 0), ((0.210, 0.555), 0),
    ((0.020, 0.545), 0), ((-0.160, 0.580), 0), ((-0.300, 0.640), 0), ((-0.430, 0.660), 0), ((-0.515, 0.760), 0),
)  # fmt: skip
_OTHERS = {  # what else moves with the trunk (0), the neck (1) and the head (2)
    "ear": (((0.585, 1.400), 2), ((0.628, 1.535), 2), ((0.672, 1.405), 2)),
    "crest": (((0.650, 1.420), 1), ((0.585, 1.395), 1), ((0.520, 1.335), 1), ((0.460, 1.255), 1),
              ((0.402, 1.165), 0.75), ((0.350, 1.085), 0.5), ((0.290, 1.030), 0.25)),
    "brow": (((0.690, 1.430), 2), ((0.630, 1.435), 2), ((0.690, 1.340), 2), ((0.735, 1.285), 2)),
    "face": (((0.860, 1.000), 2), ((0.735, 1.325), 2), ((0.855, 1.085), 2), ((0.882, 1.010), 2), ((0.708, 1.275), 2)),
    "hips": (((-0.350, 0.815), 0), ((0.300, 0.780), 0)),
    "dock": (((-0.500, 0.925), 0),),
    "muscles": (((-0.060, 0.900), 0), ((0.315, 0.800), 0), ((-0.335, 0.840), 0)),
}  # fmt: skip
_ALL = [*_OUTLINE, *(entry for entries in _OTHERS.values() for entry in entries)]
_POINTS = np.array([point for point, _ in _ALL])
_FOLLOW = np.array([min(follow, 1.0) for _, follow in _ALL])
_NOD = np.array([max(follow - 1.0, 0.0) for _, follow in _ALL])
_NECK_BASE = (0.330, 0.900)
_POLL = (0.620, 1.330)


def _spline(count: int, steps: int) -> np.ndarray:
    """[count * steps, count] weights of a closed Catmull-Rom curve through `count` points."""
    u = np.arange(steps) / steps
    basis = 0.5 * np.stack(
        [-u + 2 * u**2 - u**3, 2 - 5 * u**2 + 3 * u**3, u + 4 * u**2 - 3 * u**3, u**3 - u**2], axis=1
    )
    weights = np.zeros((count, steps, count))
    for index in range(count):
        for offset in range(4):
            weights[index, :, (index + offset - 1) % count] += basis[:, offset]
    return weights.reshape(count * steps, count)


_CURVE = _spline(len(_OUTLINE), 3)


def _turn(points: np.ndarray, center: tuple[float, float], angle: float | np.ndarray) -> np.ndarray:
    """Points [n, 2] turned about a centre, counter-clockwise (y up)."""
    c, s = np.cos(angle), np.sin(angle)
    x, y = points[:, 0] - center[0], points[:, 1] - center[1]
    return np.stack([center[0] + c * x - s * y, center[1] + s * x + c * y], axis=1)


def _carried(body: Body) -> dict[str, np.ndarray]:
    """The points of the outline and of _OTHERS, by name, each [n, 2]; the head undoes half of the neck's
    turn."""
    points = _turn(_POINTS, _POLL, -0.5 * body.neck * _NOD)
    points = _turn(points, _NECK_BASE, body.neck * _FOLLOW)
    points = _turn(points, (0.0, 0.8), body.pitch) + np.array([0.0, body.rise])
    found, start = {"outline": points[: len(_OUTLINE)]}, len(_OUTLINE)
    for name, entries in _OTHERS.items():
        found[name] = points[start : start + len(entries)]
        start += len(entries)
    return found


_ARC = np.linspace(0.5 * pi, 1.5 * pi, 6)


def _capsules(a: np.ndarray, b: np.ndarray, radii: np.ndarray) -> np.ndarray:
    """[..., 12, 2] outlines of stretches from a to b [..., 2] with radii [..., 2] at their ends."""
    back = np.arctan2(b[..., 1] - a[..., 1], b[..., 0] - a[..., 0])[..., None] + _ARC
    arc = np.stack([np.cos(back), np.sin(back)], axis=-1)
    first = a[..., None, :] + radii[..., :1, None] * arc
    return np.concatenate([first, b[..., None, :] - radii[..., 1:, None] * arc], axis=-2)


_HOOF = np.array([[0.0, 0.0], [-0.028, 0.062], [-0.098, 0.055], [-0.104, 0.0], [-0.062, 0.052]])
"""Corners of a hoof from its toe, and the middle of its upper edge."""

_RADII = {
    "h": ((0.150, 0.125), (0.108, 0.046), (0.044, 0.034), (0.036, 0.036)),
    "f": ((0.120, 0.090), (0.078, 0.044), (0.039, 0.033), (0.035, 0.036)),
}
"""Of the stretches of a leg: from inside the trunk to its pivot, to the knee, to the fetlock, to the hoof."""


def _limbs(
    legs: tuple[Leg, ...], hips: np.ndarray, share: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Outlines of the LEGS: of their stretches [4, 4, 12, 2], of what is coloured on them [4, 2, 12, 2], of
    the hooves [4, 4, 2].

    The other colour begins at `share` of the cannon.
    """
    toe = np.array([leg.toe for leg in legs])
    angle = np.array([leg.angle for leg in legs])[:, None]
    c, s = np.cos(angle), np.sin(angle)
    hoof = toe[:, None] + np.stack(
        [c * _HOOF[:, 0] - s * _HOOF[:, 1], s * _HOOF[:, 0] + c * _HOOF[:, 1]], axis=-1
    )
    roots = hips[[0 if name[1] == "h" else 1 for name in LEGS]]
    inner = np.array([(leg.pivot, leg.knee, leg.fetlock) for leg in legs])
    joints = np.concatenate([roots[:, None], inner, hoof[:, 4:]], axis=1)
    radii = np.array([_RADII[name[1]] for name in LEGS])
    begin = inner[:, 1:2] + (inner[:, 2:] - inner[:, 1:2]) * share
    from_, to = (
        np.concatenate([joints[:, :4], begin, inner[:, 2:]], axis=1),
        np.concatenate([joints[:, 1:], joints[:, 3:]], axis=1),
    )
    upper = 0.037 if share > 0.2 else 0.043
    colored = np.broadcast_to(np.array([[upper, 0.0355], [0.0365, 0.0375]]), (4, 2, 2))
    shapes = _capsules(from_, to, np.concatenate([radii, colored], axis=1))
    return shapes[:, :4], shapes[:, 4:], hoof[:, :4]


@dataclass(frozen=True)
class Dress:
    """Colours [3] of one horse in one light; `low_` is what a part shades into downwards, `far_` the far
    side."""

    far_skin: np.ndarray
    far_points: np.ndarray
    far_horn: np.ndarray
    skin: np.ndarray
    low_skin: np.ndarray
    points: np.ndarray
    hair: np.ndarray
    low_hair: np.ndarray
    horn: np.ndarray
    shine: np.ndarray
    muzzle: np.ndarray
    nostril: np.ndarray
    eye: np.ndarray
    blaze: np.ndarray | None
    socks: bool


def dress(coat_name: str, tint: np.ndarray) -> Dress:
    """The colours of a horse with a coat of COATS in light that multiplies them by tint [3]."""
    coat = COATS[coat_name]
    skin, hair, points = rgb(coat.body) * tint, rgb(coat.mane) * tint, rgb(coat.points) * tint
    horn = rgb((0.20, 0.17, 0.15)) * tint
    return Dress(
        far_skin=darker(skin, 0.38),
        far_points=darker(points, 0.30),
        far_horn=darker(horn, 0.30),
        skin=lighter(skin, 0.10),
        low_skin=darker(skin, 0.22),
        points=points,
        hair=hair,
        low_hair=darker(hair, 0.15),
        horn=horn,
        shine=lighter(skin, 0.42),
        muzzle=mix(skin, (0.30, 0.24, 0.24), 0.45),
        nostril=darker(skin, 0.70),
        eye=darker(skin, 0.82),
        blaze=lighter(skin, 0.85) if coat.blaze else None,
        socks=coat.socks,
    )


def paint(
    canvas: Canvas, frame: Frame, dress: Dress, body: Body, legs: tuple[Leg, ...], stride: float, wind: float
) -> None:
    """Paints the horse. stride: time in strides, which waves mane and tail; wind: 0 they hang, 1 they
    stream."""
    near_side = "r" if frame.direction > 0 else "l"
    near = [index for index, name in enumerate(LEGS) if name[0] == near_side]
    far = [index for index, name in enumerate(LEGS) if name[0] != near_side]
    parts, size = _carried(body), frame.size
    shapes = _limbs(legs, parts["hips"], 0.45 if dress.socks else 0.04)
    limbs, colored, hooves = (frame.place(shape) for shape in shapes)

    deeper = np.array([0.0, -FAR_SIDE * size])
    trunk, ear = frame.place(_CURVE @ parts["outline"]), frame.place(parts["ear"])
    tail, locks = _tail(parts["dock"], stride, wind), _mane(parts["crest"], stride, wind)
    canvas.paint([
        Fill([*(limbs[far] + deeper).reshape(-1, 12, 2)], dress.far_skin),
        Fill([*(colored[far] + deeper).reshape(-1, 12, 2)], dress.far_points),
        Fill([*(hooves[far] + deeper)], dress.far_horn),
        Fill([frame.place(tail)], dress.hair, to=dress.low_hair),
        Fill([trunk, ear, *limbs[near].reshape(-1, 12, 2)], dress.skin, to=dress.low_skin),
    ])  # fmt: skip

    def soft(spot: np.ndarray, rx: float, ry: float, color: np.ndarray, alpha: float) -> None:
        canvas.ellipse(
            spot[0], spot[1], rx * size, ry * size, color, alpha=alpha, soft=1.1 * size * min(rx, ry)
        )

    for spot, radii in zip(frame.place(parts["muscles"]), _MUSCLES, strict=True):
        soft(spot, *radii, dress.shine, 0.23)
    muzzle, brow, nose, nostril, eye = frame.place(parts["face"])
    soft(muzzle, 0.050, 0.050, dress.muzzle, 0.75)
    fills = [
        Fill([*colored[near].reshape(-1, 12, 2)], dress.points),
        Fill([*hooves[near]], dress.horn),
        Fill([*frame.place(locks), frame.place(parts["brow"])], dress.hair, to=dress.low_hair),
        Fill([nostril + 0.014 * size * _DISC], dress.nostril),
        Fill([eye + 0.029 * size * _DISC], dress.eye),
        Fill([eye + size * (0.010 * _DISC + (0.007, -0.010))], "white", 0.9),
    ]
    if dress.blaze is not None:
        stripe = _capsules(brow[None], nose[None], size * np.array([[0.020, 0.013]]))
        fills.insert(3, Fill([*stripe], dress.blaze))
    canvas.paint(fills)


_DISC = np.stack([np.cos(np.arange(14) * pi / 7), np.sin(np.arange(14) * pi / 7)], axis=1)

_MUSCLES = ((0.34, 0.065), (0.12, 0.17), (0.15, 0.14))
"""Radii of the lights on back, shoulder and haunch."""


def _mane(crest: np.ndarray, stride: float, wind: float) -> np.ndarray:
    """[6, 5, 2] locks that grow from the crest, hanging down the neck or streaming behind it, waving one
    after the other."""
    a, b = crest[:-1], crest[1:]
    index = np.arange(len(a))
    angle = -1.95 - 0.95 * wind + (0.10 + 0.22 * wind) * np.sin(2 * pi * (stride - 0.12 * index))
    long = np.where(index % 2, 0.20, 0.24) * (0.9 + 0.2 * wind)
    middle, side = (a + b) / 2, (a - b) * 0.85

    def along(turn: float, share: float) -> np.ndarray:
        return middle + (share * long)[:, None] * np.stack(
            [np.cos(angle + turn), np.sin(angle + turn)], axis=1
        )

    bend = along(0.25, 0.55)
    return np.stack(
        [a + side * 0.4, bend + side * 0.75, along(0.0, 1.0), bend - side * 0.75, b - side * 0.4], axis=1
    )


_TAIL = np.linspace(0.0, 1.0, 8)
_TAIL_WIDTH = np.append(0.034 + 0.052 * np.sin(pi * _TAIL[:-1] ** 0.8), 0.006)


def _tail(dock: np.ndarray, stride: float, wind: float) -> np.ndarray:
    """[16, 2] outline of the tail: it leaves the dock backwards and hangs, or streams in a wave that runs
    along it."""
    wave = np.sin(2 * pi * (stride - 0.55 * _TAIL)) * _TAIL
    sag = 1.48 * (1.0 - wind) + 0.62 * wind
    angle = pi - 0.42 * wind + sag * (1 - np.exp(-4.0 * _TAIL)) + (0.10 + 0.22 * wind) * wave
    along = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    spine = dock + np.concatenate(
        [[[0.0, 0.0]], np.cumsum((0.62 + 0.06 * wind) / (len(_TAIL) - 1) * along[:-1], axis=0)]
    )
    normal = along[:, ::-1] * (-1.0, 1.0) * _TAIL_WIDTH[:, None]
    return np.concatenate([spine + normal, (spine - normal)[::-1]])
