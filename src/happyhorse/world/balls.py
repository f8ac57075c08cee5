"""Bouncing balls: one or two, dropped on five floors, each impact seen and heard at its exact time.

Flight is free fall in closed form: between impacts the height of the underside is h0 + v t - g t^2 / 2, an
impact keeps `restitution` of the speed, and when the rebound is too slow to see the ball rests and its drift
dies out exponentially.
"""

from dataclasses import dataclass
from math import exp, sqrt

import numpy as np

from happyhorse.world import rooms, sound
from happyhorse.world.captions import wordings
from happyhorse.world.draw import Canvas
from happyhorse.world.palette import darker
from happyhorse.world.scene import DETAILS, RATE, Event, Scene, about

COLORS = ("red", "orange", "yellow", "green", "blue", "purple", "pink", "white", "black")
SIZES = {"small": 0.068, "medium": 0.100, "big": 0.142}
"""Radius in picture units."""

SLOWEST = 0.32
"""Rebounds below this speed, units/s, are taken as rest."""


@dataclass(frozen=True)
class Floor:
    """How a floor answers: share of the vertical and of the horizontal speed that an impact leaves, and its
    sound."""

    restitution: float
    grip: float
    material: str
    body: float  # share of the ball's own rubber sound


FLOORS = {
    "wooden": Floor(0.80, 0.92, "wood", 0.35),
    "stone": Floor(0.87, 0.95, "stone", 0.25),
    "metal": Floor(0.84, 0.95, "metal", 0.20),
    "grass": Floor(0.62, 0.75, "grass", 0.30),
    "sand": Floor(0.48, 0.55, "sand", 0.15),
}


@dataclass(frozen=True)
class Flight:
    """A ball's path, piece by piece, each from its start time on; the last piece may be rest (gravity 0).

    start [k] s; x, vx [k]: place and drift there; height, rise [k]: of the underside over the floor and its
    upward speed; gravity [k]; impact [k]: speed at which the piece's first moment hit the floor, 0 for the
    first piece.
    """

    start: np.ndarray
    x: np.ndarray
    vx: np.ndarray
    height: np.ndarray
    rise: np.ndarray
    gravity: np.ndarray
    impact: np.ndarray

    def at(self, t: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """x, height of the underside, upward speed, each [F], at times t [F] in seconds >= 0."""
        k = np.searchsorted(self.start, t, side="right") - 1
        dt = t - self.start[k]
        roll = np.where(self.gravity[k] > 0, dt, 0.25 * (1.0 - np.exp(-dt / 0.25)))
        rise = self.rise[k] - self.gravity[k] * dt
        height = self.height[k] + self.rise[k] * dt - 0.5 * self.gravity[k] * dt**2
        return self.x[k] + self.vx[k] * roll, np.maximum(height, 0.0), rise

    def squash(self, t: np.ndarray) -> np.ndarray:
        """[F] height of the ball over its diameter: below 1 around an impact, by its speed, above 1 in fast
        flight."""
        near = np.abs(t[:, None] - self.start[None, 1:])
        dent = np.clip(1.0 - (near / 0.055) ** 2, 0.0, None) * np.minimum(0.14 * self.impact[1:], 0.27)
        stretch = 0.035 * np.abs(self.at(t)[2])
        return (
            1.0
            + stretch * np.min(np.clip(near / 0.055, 0.0, 1.0), axis=1, initial=1.0)
            - dent.max(axis=1, initial=0.0)
        )


def fly(height: float, rise: float, vx: float, gravity: float, floor: Floor, seconds: float) -> Flight:
    """The flight of a ball from (x 0, height) with upward speed `rise` and drift `vx`, for `seconds`."""
    pieces = [(0.0, 0.0, vx, height, rise, gravity, 0.0)]
    while True:
        start, x, drift, h0, v0, g, _ = pieces[-1]
        fall = (v0 + sqrt(v0 * v0 + 2 * g * h0)) / g
        t, speed = start + fall, sqrt(v0 * v0 + 2 * g * h0)
        if t >= seconds:
            break
        up = speed * floor.restitution
        rest = up < SLOWEST
        pieces.append(
            (t, x + drift * fall, drift * floor.grip, 0.0, 0.0 if rest else up, 0.0 if rest else g, speed)
        )
        if rest:
            break
    return Flight(*(np.array(column) for column in zip(*pieces, strict=True)))


@dataclass(frozen=True)
class Ball:
    """A ball: its color, size word and radius in units, y of the floor beneath it, the x it starts at, and
    its flight."""

    color: str
    size: str
    radius: float
    ground: float
    left: float
    flight: Flight

    def center(self, t: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """x, y of the centre as drawn and the squash, each [F]."""
        x, height, _ = self.flight.at(t)
        squash = self.flight.squash(t)
        return self.left + x, self.ground - height - self.radius * squash, squash


def _drop(
    rng: np.random.Generator,
    color: str,
    size: str,
    gravity: float,
    floor: Floor,
    lane: tuple[float, float],
    seconds: float,
) -> Ball:
    """A ball that stays within the lane and the picture; when it first hits the floor varies widely."""
    radius = SIZES[size] * about(rng, 0.95, 1.05)
    ground = about(rng, 0.80, 0.90)
    ceiling = ground - 2 * radius - 0.03
    height = rng.uniform(0.25, 1.0) * ceiling
    rise = rng.uniform(-1.0, 1.0)
    rise = rise * sqrt(2 * gravity * (ceiling - height)) if rise > 0 else rise * 1.2
    room = lane[1] - lane[0] - 2 * radius
    vx, times = about(rng, -0.45, 0.45), np.linspace(0.0, seconds, 200)
    wide = float(np.ptp(fly(height, rise, vx, gravity, floor, seconds).at(times)[0]))
    flight = fly(height, rise, vx * min(1.0, room / max(wide, 1e-9)), gravity, floor, seconds)
    path = flight.at(times)[0]
    slack = max(room - float(np.ptp(path)), 0.0)
    left = lane[0] + radius - float(path.min()) + about(rng, 0.0, slack)
    return Ball(color, size, radius, ground, left, flight)


def make(rng: np.random.Generator, seed: int, seconds: float) -> Scene:
    """A scene of the family "balls"."""
    count = 1 if rng.random() < 0.62 else 2
    floor_name = rooms.FLOORS[rng.integers(len(rooms.FLOORS))]
    floor, gravity = FLOORS[floor_name], rng.uniform(2.3, 3.8)
    colors = [COLORS[i] for i in rng.permutation(len(COLORS))[:count]]
    sizes = [list(SIZES)[i] for i in rng.permutation(len(SIZES))[:count]]
    wall = [name for name in rooms.WALLS if name not in colors][rng.integers(len(rooms.WALLS) - count)]
    decor = rooms.DECORS[rng.integers(len(rooms.DECORS))]
    base, room_seed = about(rng, 0.62, 0.72), int(rng.integers(DETAILS))
    light = (-0.4 if rng.random() < 0.5 else 0.4, -0.5)
    lanes = [(-0.56, 0.56)] if count == 1 else [(-0.58, -0.01), (0.01, 0.58)]
    balls = [
        _drop(rng, color, size, gravity, floor, lane, seconds)
        for color, size, lane in zip(colors, sizes, lanes, strict=True)
    ]
    events = sorted(
        (
            Event(
                "impact",
                round(float(t) * RATE),
                float(ball.left + x),
                ball.ground,
                {"ball": i, "speed": float(speed)},
            )
            for i, ball in enumerate(balls)
            for t, x, speed in zip(
                ball.flight.start[1:], ball.flight.x[1:], ball.flight.impact[1:], strict=True
            )
        ),
        key=lambda event: event.sample,
    )

    def backdrop(canvas: Canvas) -> None:
        own = np.random.default_rng(room_seed)
        rooms.paint_wall(canvas, wall, decor, base, own)
        rooms.paint_floor(canvas, floor_name, base, own)

    def paint(canvas: Canvas, t: float) -> None:
        for ball in sorted(balls, key=lambda ball: ball.ground):
            _paint_ball(canvas, ball, t, floor_name, light)

    def track(times: np.ndarray) -> dict[str, np.ndarray]:
        return {
            f"ball{i}": np.stack(ball.center(np.asarray(times))[:2], axis=1) for i, ball in enumerate(balls)
        }

    def hear(rate: int) -> np.ndarray:
        return _sound(rate, seconds, events, balls, floor, seed)

    attributes: dict[str, str | int | float] = {
        "color": colors[0],
        "size": sizes[0],
        "floor": floor_name,
        "wall": wall,
    }
    if count == 2:
        attributes |= {"color2": colors[1], "size2": sizes[1]}
    attributes |= {"count": count, "impacts": len(events)}
    captions, heldout = _captions(rng, colors, sizes, floor_name, wall)
    return Scene(
        "balls", seed, seconds, attributes, tuple(events), captions, heldout, backdrop, paint, hear, track
    )


def _paint_ball(canvas: Canvas, ball: Ball, t: float, floor_name: str, light: tuple[float, float]) -> None:
    (x,), (y,), (squash,) = (value.tolist() for value in ball.center(np.array([t])))
    r = ball.radius
    rx, ry = r / sqrt(squash), r * squash
    height = ball.ground - y - ry
    spread, faint = 1.0 + 0.9 * height, exp(-2.6 * height)
    drift = -0.12 * light[0] / 0.4 * height
    canvas.ellipse(
        x + drift,
        ball.ground - 0.05 * r,
        rx * 1.02 * spread,
        0.26 * r * spread,
        "black",
        alpha=0.12 + 0.30 * faint,
        soft=r * (0.20 + 0.5 * height),
    )
    if floor_name == "metal":  # a polished floor mirrors what stands on it
        canvas.ellipse(x, 2 * ball.ground - y, rx, ry * 0.9, ball.color, alpha=0.22 * faint, soft=r * 0.7)
    if floor_name in ("grass", "sand"):  # soft ground hides a little of what lies on it
        canvas.ellipse(
            x,
            ball.ground + 0.01,
            rx * 0.5,
            0.10 * r,
            darker(floor_name, 0.35),
            alpha=0.6 * faint,
            soft=r * 0.15,
        )
    canvas.sphere(x, y, rx, ry, ball.color, light)


def _sound(
    rate: int, seconds: float, events: list[Event], balls: list[Ball], floor: Floor, seed: int
) -> np.ndarray:
    """Every impact: the floor's own sound and a little of the ball's rubber, lower for a bigger ball, louder
    for a faster one."""
    wave = np.zeros(round(seconds * rate), np.float32)
    for index, event in enumerate(events):
        own = np.random.default_rng([seed, index])
        ball = balls[int(event.attrs["ball"])]
        loud = min(1.0, (float(event.attrs["speed"]) / 2.0) ** 1.2)
        size = float(np.interp(ball.radius, (0.065, 0.15), (0.15, 0.85)))
        at = sound.onset(event.sample, rate)
        sound.place(wave, at, sound.strike(rate, floor.material, size, loud, own, hardness=0.3 + 0.4 * loud))
        sound.place(wave, at, sound.strike(rate, "rubber", size, loud * floor.body, own))
    return sound.level(wave, rate)


SOUNDS = {
    "wooden": ("hollow knocks", "knocking sounds", "wooden thuds"),
    "stone": ("hard clicks", "sharp clacks", "stony clacks"),
    "metal": ("ringing clangs", "metallic ringing", "bright metallic clangs"),
    "grass": ("soft thumps", "soft rustling thumps", "muffled thumps"),
    "sand": ("dull thuds", "soft crunching thuds", "muffled thuds"),
}
PLACES = {
    "wooden": ("a wooden floor", "the wooden floor", "a floor of wood"),
    "stone": ("a stone floor", "the stone floor", "stone tiles"),
    "metal": ("a metal floor", "the metal floor", "metal plates"),
    "grass": ("the grass", "a grass floor", "green grass"),
    "sand": ("the sand", "a sand floor", "soft sand"),
}
WORDS = {
    "small": ("small", "little", "small"),
    "medium": ("medium", "medium-sized"),
    "big": ("big", "large", "big"),
}

ONE = (
    "a {ball} bounces on {place}",
    "{plain}, {floor} floor",
    "{sized} bouncing on {place}, {wall} wall",
    "a {sized} drops onto {place} and bounces with {noise}",
    "a {ball} falls and bounces on {place} in front of a {wall} wall",
    "bouncing {plain}, {wall} background, {floor} floor",
    "in front of a {wall} wall a {sized} hops on {place}, and every bounce is heard: {noise}",
    "{noise} of a {ball} bouncing on {place}",
    "on {place}, a {ball} bounces lower and lower",
    "the {sized} hits {place} again and again with {noise}",
    "{floor} floor, {wall} wall, a {sized} bouncing",
    "a video of a {ball} that bounces on {place}, with {noise}",
    "one {sized} in a room with a {wall} wall and a {floor} floor",
    "a {ball} bounces up and down on {place}, {wall} wall behind it",
)
ONE_HELDOUT = (
    "look how the {ball} jumps on {place}",
    "someone has dropped a {sized}; it springs back from {place} beside a {wall} wall",
    "a {wall} room with {floor} flooring where one {sized} keeps bouncing",
    "we see and hear a {ball} strike {place}",
)
TWO = (
    "a {ball} and a {ball2} bounce on {place}",
    "{plain} and {plain2}, {floor} floor",
    "two balls, one {color} and one {color2}, bouncing on {place}, {wall} wall",
    "a {sized} on the left and a {sized2} on the right drop onto {place} and bounce with {noise}",
    "a {ball2} and a {ball} fall and bounce on {place} in front of a {wall} wall",
    "two bouncing balls, {color} and {color2}, {wall} background, {floor} floor",
    "on {place}, a {sized} bounces to the left of a {sized2}",
    "{noise} of two balls, a {sized} and a {sized2}, bouncing on {place}",
    "left a {ball}, right a {ball2}, both bouncing on {place}",
    "the {sized} and the {sized2} hit {place} again and again with {noise}",
    "{floor} floor, {wall} wall, a {sized} and a {sized2} bouncing",
    "a video of two balls bouncing on {place}: a {ball} and, to the right of it, a {ball2}",
)
TWO_HELDOUT = (
    "look how the {ball} and the {ball2} jump on {place}",
    "someone has dropped two balls, a {sized} and a {sized2}; they spring back from {place}",
    "a {wall} room with {floor} flooring where a {sized} keeps bouncing next to a {sized2}",
    "we see and hear a pair of balls, {color} and {color2}, strike {place}",
)


def _captions(
    rng: np.random.Generator, colors: list[str], sizes: list[str], floor: str, wall: str
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    slots: dict[str, str | list[str] | tuple[str, ...]] = {
        "place": PLACES[floor],
        "floor": floor,
        "wall": wall,
        "noise": SOUNDS[floor],
    }
    for suffix, color, size in zip(("", "2"), colors, sizes, strict=False):
        sized = [f"{word} {color} ball" for word in WORDS[size]]
        slots |= {f"color{suffix}": color, f"plain{suffix}": f"{color} ball", f"sized{suffix}": sized}
        slots[f"ball{suffix}"] = [*sized, f"{color} ball", f"{color} ball"]
    train, heldout = (ONE, ONE_HELDOUT) if len(colors) == 1 else (TWO, TWO_HELDOUT)
    return wordings(train, slots, rng, 6), wordings(heldout, slots, rng, 2)
