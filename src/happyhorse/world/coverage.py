"""How much of a pixel a shape covers: the geometry beneath the painter, in pixels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

SCANLINES = 4
"""Scan lines a pixel row: 4 resolve a nearly level edge to quarters of a pixel."""

Box = tuple[int, int, int, int]
"""Columns x0..x1 and rows y0..y1 of a picture, the ends excluded: (x0, y0, x1, y1)."""

Scalars = np.ndarray | np.floating


def capsule_distance(
    dx: np.ndarray, dy: np.ndarray, bx: Scalars, by: Scalars, ra: Scalars, rb: Scalars
) -> np.ndarray:
    """Distance to the stroke from 0 to b whose radius goes from ra to rb along it; the points are (dx,
    dy)."""
    along = np.clip((dx * bx + dy * by) / np.maximum(bx * bx + by * by, 1e-9), 0.0, 1.0)
    ex, ey = dx - along * bx, dy - along * by
    return np.sqrt(ex * ex + ey * ey) - (ra + along * (rb - ra))


def inside(points: np.ndarray, counts: Sequence[int], box: Box) -> np.ndarray:
    """[h, w] share of each pixel of the box that lies inside the union of polygons.

    points: [n, 2] pixels, the corners of the first polygon, then of the second, and so on; counts: corners of each.
    Along a scan line each crossing at x adds its sign to everything right of it, exactly for fractions of a
    pixel: 1 - frac to the pixel it falls in and the rest to the next, summed up along the row. SCANLINES lines
    make up a row. All polygons are counted as if wound the same way, so overlaps add up and are cut at 1.
    """
    x0, y0, x1, y1 = box
    wide, high = x1 - x0, y1 - y0
    first = np.cumsum([0, *counts[:-1]])
    following = np.arange(1, len(points) + 1)
    following[first - 1] = np.roll(first, 1) if len(first) > 1 else first
    ax, ay = points.T
    bx, by = points[following].T
    turn = np.repeat(np.copysign(1.0 / SCANLINES, np.add.reduceat(ax * by - bx * ay, first)), counts)
    rise = by - ay
    slope = (bx - ax) / np.where(rise == 0.0, 1.0, rise)
    sign = np.where(rise > 0.0, turn, -turn)
    level = y0 + (np.arange(high * SCANLINES) + 0.5) / SCANLINES
    edge, line = np.nonzero((ay[:, None] <= level) != (by[:, None] <= level))
    x = np.clip(ax[edge] + (level[line] - ay[edge]) * slope[edge] - x0, 0.0, wide)
    column = x.astype(np.int64)
    sign = sign[edge]
    right = sign * (x - column)
    index = line // SCANLINES * (wide + 2) + column
    steps = np.bincount(index, sign - right, high * (wide + 2) + 1)
    steps[1:] += np.bincount(index, right, high * (wide + 2))
    covered = np.cumsum(steps[:-1].reshape(high, wide + 2)[:, :wide].astype(np.float32), axis=1)
    return np.minimum(np.abs(covered), 1.0)


def strokes(
    ends: np.ndarray, radius: np.ndarray, opacity: np.ndarray, width: int, height: int
) -> tuple[Box, np.ndarray] | None:
    """The box [h, w] and coverage of many strokes between ends [n, 2, 2] of a radius [n], or None if none is
    seen.

    Every stroke is measured in a window of its own, all of one size, and the windows are summed where they
    meet. A stroke thinner than a pixel keeps its amount of ink.
    """
    reach = np.maximum(radius, 0.5)[:, None] + 1.0
    low = np.floor(ends.min(axis=1) - reach).astype(np.int64)
    high = np.ceil(ends.max(axis=1) + reach).astype(np.int64) + 1
    seen = (low < [width, height]).all(axis=1) & (high > 0).all(axis=1)
    if not seen.any():
        return None
    low, high, ends, radius, opacity = low[seen], high[seen], ends[seen], radius[seen], opacity[seen]
    size = (high - low).max(axis=0)
    columns, rows = low[:, 0, None] + np.arange(size[0]), low[:, 1, None] + np.arange(size[1])
    local = (ends - low[:, None]).astype(np.float32)[..., None, None]
    dx = (np.arange(size[0], dtype=np.float32) + np.float32(0.5)) - local[:, 0, 0]
    dy = (np.arange(size[1], dtype=np.float32)[:, None] + np.float32(0.5)) - local[:, 0, 1]
    bx, by = local[:, 1, 0] - local[:, 0, 0], local[:, 1, 1] - local[:, 0, 1]
    thick = radius.astype(np.float32)[:, None, None]
    wide = np.maximum(thick, np.float32(0.5))
    coverage = np.clip(0.5 - capsule_distance(dx, dy, bx, by, wide, wide), 0.0, 1.0)
    coverage *= np.minimum(2 * thick, 1.0) * opacity[:, None, None]
    x0, y0 = max(int(low[:, 0].min()), 0), max(int(low[:, 1].min()), 0)
    x1, y1 = min(int(high[:, 0].max()), width), min(int(high[:, 1].max()), height)
    across, down = (columns >= x0) & (columns < x1), (rows >= y0) & (rows < y1)
    index = (rows[:, :, None] - y0) * (x1 - x0) + (columns[:, None, :] - x0)
    index[~(across[:, None, :] & down[:, :, None])] = (y1 - y0) * (x1 - x0)  # a bin of no pixel
    total = np.bincount(index.ravel(), coverage.ravel(), (y1 - y0) * (x1 - x0) + 1)[:-1]
    return (x0, y0, x1, y1), np.minimum(total, 1.0).astype(np.float32).reshape(y1 - y0, x1 - x0)
