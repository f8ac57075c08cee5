"""How a horse moves: footfall patterns, paths of the hooves, and legs that reach them.

Lengths are in heights of the horse at the withers; x points forward from the middle of the trunk, y up from
the ground. A hoof on the ground moves backwards under the trunk exactly as fast as the ground does, so it
stands still; the joint above the cannon follows by two-segment inverse kinematics (law of cosines).
Footfalls and duty factors follow Hildebrand, "The quadrupedal gaits of vertebrates" (1989), and Clayton,
"The dynamic horse" (2004).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import cos, hypot, pi, sin

LEGS = ("lh", "lf", "rh", "rf")
"""Left and right, hind and fore; the order of footfalls at a walk."""

TOE = {"f": 0.33, "h": -0.33}
"""x of the toe in the middle of stance."""

PIVOT = {"f": (0.245, 0.60), "h": (-0.235, 0.62)}
"""Elbow and stifle at rest."""

BONES = {"f": (0.275, 0.235), "h": (0.290, 0.275)}
"""Forearm and cannon; gaskin and cannon."""

PASTERN = (-0.085, 0.115)
"""From toe to fetlock of a hoof that stands flat."""


@dataclass(frozen=True)
class Gait:
    """A gait.

    landings: phase of the stride at which LEGS touch down; duty: share of the stride a hoof stands; period:
    of a stride, range in s; sweep: how far a hoof moves under the trunk while it stands; reach: shift of
    that sweep outwards; lift: of fore and hind toes in swing; bob, bobs, top: height of the trunk's bounce,
    bounces a stride, phase of the first highest point; pitch: rocking, radians; neck: angle it is carried at
    above its rest; nod, nods: amplitude and number a stride.
    """

    landings: tuple[float, float, float, float]
    duty: float
    period: tuple[float, float]
    sweep: float
    reach: float
    lift: tuple[float, float]
    bob: float
    bobs: int
    top: float
    pitch: float
    neck: float
    nod: float
    nods: int

    def speed(self, period: float) -> float:
        """Heights of the horse a second."""
        return self.sweep / (self.duty * period)


GAITS: Mapping[str, Gait] = {
    "walk": Gait(
        (0.0, 0.25, 0.5, 0.75),
        0.62,
        (0.95, 1.25),
        0.64,
        0.0,
        (0.11, 0.09),
        0.010,
        2,
        0.08,
        0.010,
        -0.12,
        0.07,
        2,
    ),
    "trot": Gait(
        (0.0, 0.5, 0.5, 0.0), 0.42, (0.62, 0.80), 0.60, 0.0, (0.24, 0.17), 0.030, 2, 0.96, 0.0, 0.06, 0.025, 2
    ),
    "gallop": Gait(
        (0.0, 0.34, 0.12, 0.48),
        0.28,
        (0.48, 0.62),
        0.64,
        0.03,
        (0.30, 0.24),
        0.045,
        1,
        0.86,
        0.065,
        -0.20,
        0.11,
        1,
    ),
}


def phase(gait: Gait, leg: int, stride: float) -> float:
    """Phase 0..1 of a leg's own cycle, which starts when it touches down, `stride` strides into the
    movement."""
    return (stride - gait.landings[leg]) % 1.0


def toe(gait: Gait, leg: int, p: float) -> tuple[float, float, float]:
    """x, y of the toe and the angle of the hoof (0 flat, negative with its heel up) at phase p of the leg."""
    kind = LEGS[leg][1]
    middle = TOE[kind] + (gait.reach if kind == "f" else -gait.reach)
    half = gait.sweep / 2
    if p < gait.duty:
        u = p / gait.duty
        return middle + half - gait.sweep * u, 0.0, -0.45 * _smooth((u - 0.72) / 0.28)
    u = (p - gait.duty) / (1.0 - gait.duty)
    slope = (
        -0.62 * gait.sweep / gait.duty * (1.0 - gait.duty)
    )  # the hoof leaves and meets the ground almost at its speed
    forth = (
        (2 * u**3 - 3 * u**2 + 1) * -half + (3 * u**2 - 2 * u**3) * half + (2 * u**3 - 3 * u**2 + u) * slope
    )
    lift = gait.lift[0 if kind == "f" else 1] * sin(pi * u ** (0.85 if kind == "f" else 0.75)) ** 1.15
    fold = -0.45 * (1 - u) - 1.25 * sin(pi * u**0.7) * (1 - u**4)
    return middle + forth, lift, fold * _smooth((1.0 - u) / 0.15)


def _smooth(u: float) -> float:
    u = min(max(u, 0.0), 1.0)
    return u * u * (3 - 2 * u)


Point = tuple[float, float]


@dataclass(frozen=True)
class Leg:
    """Joints of a leg: pivot (elbow, stifle), knee (or hock), fetlock, toe, and the angle of the hoof."""

    pivot: Point
    knee: Point
    fetlock: Point
    toe: Point
    angle: float


@dataclass(frozen=True)
class Body:
    """The trunk at one moment: its rise, its pitch (nose up, radians) and the angle of the neck above its
    rest."""

    rise: float
    pitch: float
    neck: float

    def carry(self, point: Point) -> Point:
        """Where a point of the resting trunk is now."""
        c, s = cos(self.pitch), sin(self.pitch)
        x, y = point[0], point[1] - 0.8
        return c * x - s * y, 0.8 + s * x + c * y + self.rise


def body(gait: Gait, stride: float) -> Body:
    """The trunk `stride` strides into the movement."""
    rise = gait.bob * cos(2 * pi * gait.bobs * (stride - gait.top)) - 0.3 * gait.bob
    pitch = gait.pitch * cos(2 * pi * (stride - 0.62))
    return Body(rise, pitch, gait.neck + gait.nod * sin(2 * pi * gait.nods * (stride - 0.1)))


def legs(gait: Gait, stride: float) -> tuple[Leg, ...]:
    """The LEGS `stride` strides into the movement."""
    trunk = body(gait, stride)
    return tuple(_leg(gait, index, phase(gait, index, stride), trunk) for index in range(4))


def _leg(gait: Gait, leg: int, p: float, trunk: Body) -> Leg:
    kind = LEGS[leg][1]
    x, y, angle = toe(gait, leg, p)
    c, s = cos(angle), sin(angle)
    fetlock = x + c * PASTERN[0] - s * PASTERN[1], y + s * PASTERN[0] + c * PASTERN[1]
    px, py = trunk.carry(PIVOT[kind])
    px += 0.42 * (x - TOE[kind])  # shoulder blade and thigh swing with the leg
    upper, lower = BONES[kind]
    dx, dy = fetlock[0] - px, fetlock[1] - py
    far = hypot(dx, dy)
    spare = far - 0.992 * (upper + lower)
    if spare > 0:  # a leg that is too short takes its shoulder or thigh along
        px, py = px + dx / far * spare, py + dy / far * spare
        dx, dy, far = fetlock[0] - px, fetlock[1] - py, far - spare
    near = abs(upper - lower) * 1.05
    if far < near:
        far = near
    bend = (upper**2 + far**2 - lower**2) / (2 * upper * far)
    side = 1.0 if kind == "f" else -1.0  # knees point forwards, hocks backwards
    turn = side * (1.0 - min(bend, 1.0) ** 2) ** 0.5
    ux, uy = dx / far, dy / far
    knee = px + upper * (ux * bend - uy * turn), py + upper * (uy * bend + ux * turn)
    return Leg((px, py), knee, fetlock, (x, y), angle)


def landings(gait: Gait, start: float, period: float, seconds: float) -> list[tuple[float, int]]:
    """(time in s, leg) of every touch-down within 0 <= t < seconds of a movement that is `start` strides
    along at 0."""
    found = []
    for leg, landing in enumerate(gait.landings):
        t = ((landing - start) % 1.0) * period
        while t < seconds:
            found.append((t, leg))
            t += period
    return sorted(found)
