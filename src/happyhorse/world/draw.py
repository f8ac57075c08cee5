"""A small painter: shapes with analytic anti-aliasing on a float picture, in numpy.

Picture units: y runs from 0 at the top to 1 at the bottom, x from -aspect / 2 to aspect / 2 with 0 in the
centre column, so one unit is the picture's height in both directions. Round shapes are painted from signed
distances (coverage = clip(0.5 - distance in pixels, 0, 1)), polygons from the exact overlap of each pixel
with finely spaced scan lines. A shape touches its bounding box only.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, cos, floor, hypot, sin

import numpy as np

from happyhorse.world.coverage import Box, capsule_distance, clip01, inside, strokes
from happyhorse.world.palette import Color, rgb


@dataclass(frozen=True)
class Camera:
    """What the picture shows: `scale` > 1 zooms in, and (dx, 0.5 + dy) is the point in the picture's middle,
    picture units."""

    scale: float = 1.0
    dx: float = 0.0
    dy: float = 0.0


@dataclass(frozen=True)
class Fill:
    """The union of polygons, each [n, 2] in picture units, and how to paint it: see `Canvas.polygons`."""

    outlines: Sequence[np.ndarray | Sequence[Sequence[float]]]
    color: Color
    alpha: float = 1.0
    to: Color | None = None


class Canvas:
    """A picture to paint on.

    planes: float32 [3, height, width], the colour in 0..1 (light may push it above 1; `uint8` clips). A
    `layer` starts transparent and has a fourth plane, its opacity; its colours are premultiplied, and
    `overlay` lays it over a picture.
    """

    def __init__(self, width: int, height: int, camera: Camera | None = None, layer: bool = False) -> None:
        if width < 1 or height < 1:
            raise ValueError(
                f"a picture of {width} x {height} pixels is empty; give a positive width and height"
            )
        self.width, self.height = width, height
        self.camera = camera or Camera()
        self.planes = np.zeros((4 if layer else 3, height, width), np.float32)

    @property
    def aspect(self) -> float:
        """Width over height."""
        return self.width / self.height

    @property
    def pixels(self) -> np.ndarray:
        """float32 [height, width, 3], a view: what is written to it is in the picture."""
        return np.moveaxis(self.planes[:3], 0, 2)

    def copy(self) -> "Canvas":
        """The same picture, to paint on separately."""
        other = object.__new__(Canvas)
        other.width, other.height, other.camera = self.width, self.height, self.camera
        other.planes = self.planes.copy()
        return other

    def uint8(self, out: np.ndarray | None = None) -> np.ndarray:
        """uint8 [height, width, 3]: the picture clipped to 0..1 and rounded to 0..255, written to `out`
        where given."""
        scaled = self.planes[:3] * np.float32(255.0)
        scaled += np.float32(0.5)
        np.maximum(scaled, 0.0, out=scaled)
        np.minimum(scaled, 255.0, out=scaled)
        out = np.empty((self.height, self.width, 3), np.uint8) if out is None else out
        for index, plane in enumerate(scaled.astype(np.uint8)):  # thrice as fast as one transposition
            out[..., index] = plane
        return out

    # units <-> pixels

    @property
    def unit(self) -> float:
        """Pixels in one picture unit."""
        return self.height * self.camera.scale

    def to_pixels(self, x: float, y: float) -> tuple[float, float]:
        """Pixel coordinates (column, row; pixel centres lie at halves) of a point in picture units."""
        unit, camera = self.unit, self.camera
        return (x - camera.dx) * unit + self.width / 2, (y - 0.5 - camera.dy) * unit + self.height / 2

    def _box(self, x0: float, y0: float, x1: float, y1: float) -> Box | None:
        """The pixels that a shape between these pixel coordinates can touch, or None when it lies outside."""
        box = (
            max(floor(x0 - 1), 0),
            max(floor(y0 - 1), 0),
            min(ceil(x1 + 1), self.width),
            min(ceil(y1 + 1), self.height),
        )
        return box if box[0] < box[2] and box[1] < box[3] else None

    @staticmethod
    def _grid(box: Box, cx: float, cy: float) -> tuple[np.ndarray, np.ndarray]:
        """[1, w] and [h, 1]: pixel centres of a box relative to a point."""
        columns = np.arange(box[0], box[2], dtype=np.float32) + np.float32(0.5 - cx)
        rows = np.arange(box[1], box[3], dtype=np.float32) + np.float32(0.5 - cy)
        return columns[None, :], rows[:, None]

    def _color(self, color: Color) -> np.ndarray:
        """[planes, 1, 1]"""
        triple = rgb(color)
        return (triple if len(self.planes) == 3 else np.append(triple, np.float32(1.0)))[:, None, None]

    def _blend(
        self, box: Box, coverage: np.ndarray, color: Color, alpha: float, to: Color | None = None
    ) -> None:
        """Paints a colour, or a vertical gradient from `color` to `to` over the box, by coverage [h, w] in
        0..1."""
        paint = self._color(color)
        if to is not None:
            high = box[3] - box[1]
            share = np.arange(high, dtype=np.float32)[:, None] * np.float32(1.0 / max(high - 1, 1))
            paint = paint + (self._color(to) - paint) * share
        view = self.planes[:, box[1] : box[3], box[0] : box[2]]
        view += (paint - view) * (coverage if alpha == 1.0 else coverage * np.float32(alpha))

    # the whole picture

    def fill(self, color: Color) -> None:
        """Paints everything."""
        self.planes[:] = self._color(color)

    def gradient(self, top: Color, bottom: Color, y0: float = 0.0, y1: float = 1.0) -> None:
        """Paints the rows from y0 to y1 in colours from `top` to `bottom`; y0 <= 0 and y1 >= 1 reach to the
        picture's edge."""
        row0, row1 = self.to_pixels(0.0, y0)[1], self.to_pixels(0.0, y1)[1]
        rows = np.arange(self.height, dtype=np.float32) + np.float32(0.5)
        share = np.clip((rows - row0) / max(row1 - row0, 1e-6), 0.0, 1.0)[:, None]
        above = np.ones_like(rows) if y0 <= 0 else np.clip(rows - row0 + 0.5, 0.0, 1.0)
        below = np.ones_like(rows) if y1 >= 1 else np.clip(row1 - rows + 0.5, 0.0, 1.0)
        paint = self._color(top) + (self._color(bottom) - self._color(top)) * share
        self.planes += (paint - self.planes) * (above * below)[:, None]

    def add_light(self, amount: float | Color) -> None:
        """Adds light to the whole picture, equally (a number) or in a colour: lightning, a lamp."""
        self.planes[:3] += np.float32(amount) if isinstance(amount, (int, float)) else self._color(amount)[:3]

    # shapes

    def rect(
        self,
        x0: float,
        y0: float,
        x1: float,
        y1: float,
        color: Color,
        alpha: float = 1.0,
        radius: float = 0.0,
        angle: float = 0.0,
        to: Color | None = None,
    ) -> None:
        """A rectangle between two corners, with corner `radius` in units, turned about its centre by `angle`
        (radians, clockwise)."""
        cx, cy = self.to_pixels((x0 + x1) / 2, (y0 + y1) / 2)
        hw, hh, r = abs(x1 - x0) / 2 * self.unit, abs(y1 - y0) / 2 * self.unit, radius * self.unit
        c, s = abs(cos(angle)), abs(sin(angle))
        box = self._box(
            cx - c * hw - s * hh, cy - s * hw - c * hh, cx + c * hw + s * hh, cy + s * hw + c * hh
        )
        if box is None:
            return
        dx, dy = self._grid(box, cx, cy)
        if angle == 0.0 and r == 0.0:  # exact overlap of a pixel with an upright rectangle
            across = np.clip(dx + 0.5, -hw, hw) - np.clip(dx - 0.5, -hw, hw)
            down = np.clip(dy + 0.5, -hh, hh) - np.clip(dy - 0.5, -hh, hh)
            self._blend(box, across * down, color, alpha, to)
            return
        if angle != 0.0:
            c, s = np.float32(cos(angle)), np.float32(sin(angle))
            dx, dy = c * dx + s * dy, c * dy - s * dx
        r = min(r, hw, hh)
        qx, qy = np.abs(dx) - np.float32(hw - r), np.abs(dy) - np.float32(hh - r)
        distance = (
            np.hypot(np.maximum(qx, 0), np.maximum(qy, 0)) + np.minimum(np.maximum(qx, qy), 0) - np.float32(r)
        )
        self._blend(box, clip01(0.5 - distance), color, alpha, to)

    def circle(
        self,
        x: float,
        y: float,
        r: float,
        color: Color,
        alpha: float = 1.0,
        to: Color | None = None,
        soft: float = 0.0,
    ) -> None:
        """A disc of radius r; `soft` units wide is the edge over which it fades (0: sharp)."""
        self.ellipse(x, y, r, r, color, alpha=alpha, to=to, soft=soft)

    def ellipse(
        self,
        x: float,
        y: float,
        rx: float,
        ry: float,
        color: Color,
        angle: float = 0.0,
        alpha: float = 1.0,
        to: Color | None = None,
        soft: float = 0.0,
    ) -> None:
        """An ellipse turned by `angle` (radians, clockwise); its edge fades over `soft` units.

        The distance to an ellipse is taken to first order, (q - 1) q / |gradient| with q the scaled radius,
        exact for circles.
        """
        cx, cy = self.to_pixels(x, y)
        unit = self.unit
        a, b = max(rx * unit, 1e-3), max(ry * unit, 1e-3)
        blur = max(soft * unit, 1.0)
        c, s = cos(angle), sin(angle)
        width, height = hypot(a * c, b * s) + blur / 2, hypot(a * s, b * c) + blur / 2
        box = self._box(cx - width, cy - height, cx + width, cy + height)
        if box is None:
            return
        dx, dy = self._grid(box, cx, cy)
        if a == b:
            distance = np.sqrt(dx * dx + dy * dy) - np.float32(a)
        else:
            if angle != 0.0:
                dx, dy = np.float32(c) * dx + np.float32(s) * dy, np.float32(c) * dy - np.float32(s) * dx
            u, v = dx / np.float32(a), dy / np.float32(b)
            q = np.sqrt(u * u + v * v)
            gx, gy = u / np.float32(a), v / np.float32(b)
            distance = q * (q - 1) / np.maximum(np.sqrt(gx * gx + gy * gy), 1e-6)
        coverage = clip01(0.5 - distance / np.float32(blur))
        self._blend(
            box, coverage if blur == 1.0 else coverage * coverage * (3 - 2 * coverage), color, alpha, to
        )

    def sphere(
        self,
        x: float,
        y: float,
        rx: float,
        ry: float,
        color: Color,
        light: tuple[float, float] = (-0.4, -0.5),
        alpha: float = 1.0,
    ) -> None:
        """An ellipse shaded as a ball: the colour itself where it faces us, brighter towards `light`, darker
        away from it."""
        cx, cy = self.to_pixels(x, y)
        a, b = max(rx * self.unit, 1e-3), max(ry * self.unit, 1e-3)
        box = self._box(cx - a, cy - b, cx + a, cy + b)
        if box is None:
            return
        dx, dy = self._grid(box, cx, cy)
        u, v = dx / np.float32(a), dy / np.float32(b)
        q = np.sqrt(u * u + v * v)
        coverage = clip01(0.5 - (q - 1) * np.float32(min(a, b)))
        base = self._color(color)
        away = np.clip((u - light[0]) ** 2 + (v - light[1]) ** 2, 0.0, 4.0)
        shine = clip01(1.0 - away * 3.2)
        paint = base * (1.10 - 0.17 * away) + (1.0 - base) * (0.75 * shine * shine)
        view = self.planes[:, box[1] : box[3], box[0] : box[2]]
        view += (paint - view) * (coverage * np.float32(alpha))

    def capsule(
        self,
        x0: float,
        y0: float,
        x1: float,
        y1: float,
        r0: float,
        color: Color,
        r1: float | None = None,
        alpha: float = 1.0,
        to: Color | None = None,
    ) -> None:
        """A thick line with round ends, of radius r0 at the first end and r1 (default r0) at the second."""
        r1 = r0 if r1 is None else r1
        (ax, ay), (bx, by) = self.to_pixels(x0, y0), self.to_pixels(x1, y1)
        ra, rb = r0 * self.unit, r1 * self.unit
        box = self._box(
            min(ax - ra, bx - rb), min(ay - ra, by - rb), max(ax + ra, bx + rb), max(ay + ra, by + rb)
        )
        if box is None:
            return
        dx, dy = self._grid(box, ax, ay)
        distance = capsule_distance(
            dx, dy, np.float32(bx - ax), np.float32(by - ay), np.float32(ra), np.float32(rb)
        )
        self._blend(box, clip01(0.5 - distance), color, alpha, to)

    def polygon(
        self,
        points: np.ndarray | Sequence[Sequence[float]],
        color: Color,
        alpha: float = 1.0,
        to: Color | None = None,
    ) -> None:
        """A polygon with corners [n, 2], convex or not."""
        self.polygons([points], color, alpha, to)

    def polygons(
        self,
        outlines: Sequence[np.ndarray | Sequence[Sequence[float]]],
        color: Color,
        alpha: float = 1.0,
        to: Color | None = None,
    ) -> None:
        """The union of polygons, each [n, 2], painted at once: no seam shows where they overlap."""
        self.paint([Fill(outlines, color, alpha, to)])

    def paint(self, fills: Sequence[Fill]) -> None:
        """Several fills, one over the other in this order; quicker than one by one."""
        outlines = [outline for fill in fills for outline in fill.outlines]
        points = np.concatenate(outlines) * self.unit + np.array(self.to_pixels(0.0, 0.0))
        counts = [[len(outline) for outline in fill.outlines] for fill in fills]
        first = np.cumsum([0] + [sum(count) for count in counts[:-1]])
        corners = zip(np.minimum.reduceat(points, first), np.maximum.reduceat(points, first), strict=True)
        boxes = [self._box(low[0], low[1], high[0], high[1]) for low, high in corners]
        seen = [box for box in boxes if box is not None]
        if len(seen) < len(boxes):
            visible = [fill for fill, box in zip(fills, boxes, strict=True) if box is not None]
            if visible:
                self.paint(visible)
            return
        for fill, box, coverage in zip(fills, seen, inside(points, counts, seen), strict=True):
            self._blend(box, coverage, fill.color, fill.alpha, fill.to)

    def lines(
        self, segments: np.ndarray, r: float | np.ndarray, color: Color, alpha: float | np.ndarray = 1.0
    ) -> None:
        """Many short strokes at once: segments [n, 4] = x0, y0, x1, y1; radius r and alpha are numbers or
        [n].

        A dot is a stroke of no length. All share a window as large as the largest: keep lengths alike.
        """
        segments = np.asarray(segments, np.float64).reshape(-1, 2, 2)
        ends = segments * self.unit + np.array(self.to_pixels(0.0, 0.0))
        radius = np.broadcast_to(np.asarray(r, np.float64) * self.unit, len(ends))
        opacity = np.broadcast_to(np.asarray(alpha, np.float32), len(ends))
        painted = strokes(ends, radius, opacity, self.width, self.height)
        if painted is not None:
            self._blend(*painted, color, 1.0)

    # light and layers

    def glow(self, x: float, y: float, r: float, color: Color, strength: float = 1.0) -> None:
        """Adds light around a point, `strength` times the colour in the middle and nothing beyond r."""
        cx, cy = self.to_pixels(x, y)
        reach = r * self.unit
        box = self._box(cx - reach, cy - reach, cx + reach, cy + reach)
        if box is None:
            return
        dx, dy = self._grid(box, cx, cy)
        fall = clip01(1.0 - (dx * dx + dy * dy) / np.float32(reach * reach))
        light = rgb(color)[:, None, None] * (fall * fall * np.float32(strength))
        self.planes[:3, box[1] : box[3], box[0] : box[2]] += light

    def overlay(self, layer: np.ndarray, row: int = 0) -> None:
        """Lays premultiplied planes [4, rows, width] over the picture, their first row on picture row
        `row`."""
        view = self.planes[:, row : row + layer.shape[1]]
        view *= np.float32(1.0) - layer[3]
        view += layer[: len(self.planes)]
