"""Drawing in a frame of one's own: a place in the picture, and shapes in coordinates local to it."""

from dataclasses import dataclass
from math import cos, pi, sin

import numpy as np

from happyhorse.world.draw import Canvas
from happyhorse.world.palette import Color


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


def arc(rx: float, ry: float, start: float, stop: float, y: float = 0.0, count: int = 24) -> np.ndarray:
    """[count, 2] on an ellipse about (0, y), angles from the right and downwards, in units of pi."""
    angle = np.linspace(start * pi, stop * pi, count)
    return np.stack([rx * np.cos(angle), y + ry * np.sin(angle)], axis=1)


class Pen:
    """Draws on a canvas in the local coordinates of a place; lengths are in local units, colours as in `palette`."""

    def __init__(self, canvas: Canvas, place: Place) -> None:
        self.canvas, self.place = canvas, place

    def shape(self, points: np.ndarray, color: Color, alpha: float = 1.0) -> None:
        """A polygon with corners points [n, 2], `alpha` of it (0..1) over what is there."""
        self.canvas.polygon(self.place.points(points), color, alpha)

    def oval(
        self, u: float, v: float, rx: float, ry: float, color: Color, alpha: float = 1.0, soft: float = 0.0
    ) -> None:
        """An ellipse about (u, v) with radii rx and ry, which fades out over `soft` at its rim."""
        x, y = self.place.at(u, v)
        scale = self.place.scale
        self.canvas.ellipse(x, y, rx * scale, ry * scale, color, self.place.tilt, alpha, soft=soft * scale)

    def stroke(self, points: np.ndarray, radius: float, color: Color) -> None:
        """A line with round ends through points [n, 2]."""
        ends = self.place.points(points)
        segments = np.concatenate([ends[:-1], ends[1:]], axis=1)
        for x0, y0, x1, y1 in segments:
            self.canvas.capsule(x0, y0, x1, y1, radius * self.place.scale, color)
