"""Landscapes that pass by: sky, and strips of country that scroll the faster the nearer they are.

A strip is painted once, wide and periodic, on a transparent layer; at any moment a window of it is laid over
the picture, shifted by fractions of a pixel. The ground a walker treads on scrolls with factor 1, the hills
behind it with almost 0.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from math import floor

import numpy as np

from happyhorse.world import plants
from happyhorse.world.draw import Camera, Canvas
from happyhorse.world.palette import Color, darker, lighter, mix, rgb

PERIOD = 3.6
"""Picture units after which a strip repeats; wider than any picture."""

LANDS = ("meadow", "desert", "snow", "beach", "forest")
SKIES = ("sunny", "cloudy", "sunset", "night", "rain")

LIGHT: Mapping[str, tuple[float, float, float]] = {
    "sunny": (1.0, 1.0, 1.0),
    "cloudy": (0.90, 0.92, 0.96),
    "sunset": (1.0, 0.84, 0.74),
    "night": (0.42, 0.48, 0.70),
    "rain": (0.78, 0.83, 0.90),
}
"""What each sky makes of colours on the land."""

_SKY: Mapping[str, tuple[Color, Color]] = {
    "sunny": ("sky", "haze"),
    "cloudy": ((0.60, 0.67, 0.76), (0.84, 0.87, 0.90)),
    "sunset": ((0.46, 0.36, 0.60), (1.00, 0.70, 0.42)),
    "night": ((0.04, 0.06, 0.16), (0.16, 0.20, 0.38)),
    "rain": ((0.44, 0.50, 0.58), (0.68, 0.73, 0.78)),
}
_GROUND: Mapping[str, Color] = {
    "meadow": "grass",
    "desert": (0.93, 0.75, 0.50),
    "snow": (0.87, 0.91, 0.98),
    "beach": (0.94, 0.84, 0.64),
    "forest": (0.44, 0.46, 0.26),
}
_HILLS: Mapping[str, Color] = {
    "meadow": (0.40, 0.60, 0.42),
    "desert": (0.80, 0.50, 0.32),
    "snow": (0.70, 0.78, 0.90),
    "beach": (0.93, 0.84, 0.66),
    "forest": (0.24, 0.42, 0.34),
}

Painter = Callable[[Canvas, float], None]
"""Paints features on a layer, all shifted to the right by an origin."""


@dataclass(frozen=True)
class Strip:
    """A painted strip: premultiplied planes [4, rows, pixels], how they change from each column to the next
    (same shape), the first picture row, and the scroll factor."""

    planes: np.ndarray
    slope: np.ndarray
    row: int
    factor: float

    def show(self, canvas: Canvas, distance: float) -> None:
        """Lays the strip over the picture as it looks when the ground has moved `distance` units to the
        left."""
        left = canvas.camera.dx - canvas.width / 2 / canvas.unit + self.factor * distance
        start = (left % PERIOD) * canvas.unit
        column = floor(start)
        part = np.float32(start - column)
        window = slice(column, column + canvas.width)
        here = self.slope[:, :, window] * part
        here += self.planes[:, :, window]
        canvas.overlay(here, self.row)


def strip(canvas: Canvas, factor: float, paint: Painter) -> Strip:
    """Paints a strip for pictures of the canvas's size and camera."""
    wide = floor(PERIOD * canvas.unit) + canvas.width + 3
    camera = Camera(canvas.camera.scale, wide / 2 / canvas.unit, canvas.camera.dy)
    layer = Canvas(wide, canvas.height, camera, layer=True)
    for origin in np.arange(-PERIOD, wide / canvas.unit, PERIOD):
        paint(layer, float(origin))
    used = np.flatnonzero(layer.planes[3].max(axis=1) > 0)
    first, last = (int(used[0]), int(used[-1]) + 1) if len(used) else (0, 0)
    planes = layer.planes[:, first:last]
    return Strip(planes[:, :, :-1].copy(), np.diff(planes, axis=2), first, factor)


@dataclass(frozen=True)
class Landscape:
    """A land under a sky. horizon: y where land and sky meet; ground: y of the line that is walked on; seed:
    of its details."""

    land: str
    sky: str
    horizon: float
    ground: float
    seed: int

    @property
    def tint(self) -> np.ndarray:
        """float32 [3]: multiplies the colours of things in this light."""
        return rgb(LIGHT[self.sky])

    def factor(self, y: float) -> float:
        """How fast the flat ground at height y of the picture scrolls; 1 where it is walked on."""
        eye = self.horizon - 0.05
        return (y - eye) / (self.ground - eye)

    def backdrop(self, canvas: Canvas) -> None:
        """Paints what never moves: the sky with sun, moon, stars and clouds, and the bare ground (or sea and
        ground)."""
        rng = np.random.default_rng([self.seed, 1])
        canvas.gradient(*_SKY[self.sky], 0.0, self.horizon + 0.02)
        x, y = rng.uniform(-0.6, 0.6), rng.uniform(0.12, 0.22)
        if self.sky == "night":
            stars = np.stack([rng.uniform(-1.1, 1.1, 70), rng.uniform(0.0, self.horizon, 70)], axis=1)
            canvas.lines(
                np.repeat(stars, 2, axis=0).reshape(-1, 4), rng.uniform(0.002, 0.006, 70), "cream", 0.9
            )
            canvas.glow(x, y, 0.40, (0.55, 0.60, 0.75), 0.35)
            turn = np.linspace(-0.5, 0.5, 24) * np.pi
            outer = np.stack([np.cos(turn), np.sin(turn)], axis=1)
            crescent = np.concatenate([outer, (outer * (0.45, 1.0))[::-1]]) * 0.075
            canvas.polygon(crescent * (rng.choice((-1, 1)), 1.0) + (x, y), "moon")
        elif self.sky in ("sunny", "sunset"):
            y = y if self.sky == "sunny" else self.horizon - rng.uniform(0.05, 0.16)
            canvas.glow(x, y, 0.55, (1.0, 0.80, 0.45), 0.35)
            canvas.circle(x, y, 0.07 if self.sky == "sunny" else 0.10, "sun", to=mix("sun", "sunset", 0.5))
        count = {"sunny": 3, "sunset": 3, "night": 0}.get(self.sky, 9)
        white = {"sunset": (1.0, 0.78, 0.66), "cloudy": (0.93, 0.94, 0.96), "rain": (0.58, 0.63, 0.70)}.get(
            self.sky, "cloud"
        )
        for _ in range(count):
            plants.cloud(
                canvas,
                rng.uniform(-1.1, 1.1),
                rng.uniform(0.04, 0.30),
                rng.uniform(0.7, 1.4),
                rgb(white),
                rng,
            )
        if self.land == "beach":
            sea = mix((0.20, 0.50, 0.66), _SKY[self.sky][0], 0.35) * self.tint
            canvas.gradient(mix(sea, _SKY[self.sky][1], 0.4), sea, self.horizon - 0.09, self.horizon + 0.06)
        color = rgb(_GROUND[self.land]) * self.tint
        top = self.horizon + (0.05 if self.land == "beach" else 0.0)
        canvas.gradient(mix(darker(color, 0.06), _SKY[self.sky][1], 0.22), lighter(color, 0.05), top, 1.0)

    def strips(self, canvas: Canvas) -> tuple[tuple[Strip, ...], tuple[Strip, ...]]:
        """Strips behind and in front of a walker, far to near, for pictures of the canvas's size and
        camera."""
        return _strips(self, canvas.width, canvas.height, canvas.camera)


@lru_cache(maxsize=2)
def _strips(
    scene: Landscape, width: int, height: int, camera: Camera
) -> tuple[tuple[Strip, ...], tuple[Strip, ...]]:
    """Frames of one clip share these; the cache holds the clip being rendered."""
    canvas, rng = Canvas(width, height, camera), np.random.default_rng([scene.seed, 2])
    tint, land, horizon = scene.tint, scene.land, scene.horizon
    far = mix(_HILLS[land], _SKY[scene.sky][1], 0.35)
    layers: list[tuple[float, Painter]] = []
    if land == "beach":
        layers.append((0.05, plants.boats(rng, horizon - 0.045, tint)))
        layers.append((0.30, plants.foam(rng, horizon + 0.055, PERIOD, tint)))
    else:
        rough = {"desert": "mesas", "snow": "peaks"}.get(land, "hills")
        layers.append(
            (
                0.06,
                plants.ridge(
                    rng, horizon + 0.02, 0.22 if land == "snow" else 0.15, rough, PERIOD, far * tint
                ),
            )
        )
        near = mix(_HILLS[land], _GROUND[land], 0.35)
        layers.append((0.14, plants.ridge(rng, horizon + 0.03, 0.06, "hills", PERIOD, near * tint)))
    kinds = {
        "meadow": ("tree", "bush"),
        "desert": ("cactus", "rock"),
        "snow": ("pine", "pine"),
        "beach": ("palm", "bush"),
        "forest": ("pine", "tree"),
    }[land]
    number = 12 if land == "forest" else 4
    for share, size in ((0.12, 0.55), (0.34, 1.0)):
        y = horizon + share * (scene.ground - horizon)
        layers.append(
            (scene.factor(y), plants.grove(rng, y, size, kinds, number, PERIOD, tint, land == "snow"))
        )
    if land in ("meadow", "snow") or (land == "desert" and rng.random() < 0.5):
        y = horizon + 0.60 * (scene.ground - horizon)
        layers.append((scene.factor(y), plants.fence(rng, y, PERIOD, tint, land == "snow")))
    rows = np.linspace(horizon + 0.08, scene.ground - 0.10, 3)
    for y in (*rows, scene.ground):
        layers.append((scene.factor(y), plants.litter(rng, float(y), 0.035, land, PERIOD, tint)))
    layers.sort(key=lambda layer: layer[0])
    front = [(scene.factor(0.97), plants.litter(rng, 0.985, 0.03, land, PERIOD, tint))]
    back, fore = (tuple(strip(canvas, factor, paint) for factor, paint in part) for part in (layers, front))
    return back, fore
