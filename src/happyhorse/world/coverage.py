"""How much of a pixel a shape covers: the geometry beneath the painter, in pixels."""

from collections.abc import Sequence

import numpy as np

SCANLINES = 4
"""Scan lines a pixel row: 4 resolve a nearly level edge to quarters of a pixel."""

Box = tuple[int, int, int, int]
"""Columns x0..x1 and rows y0..y1 of a picture, the ends excluded: (x0, y0, x1, y1)."""

Scalars = np.ndarray | np.floating


def clip01(x: np.ndarray) -> np.ndarray:
    """x [...] cut to 0..1 in place: on small arrays twice as fast as `np.clip`."""
    np.maximum(x, 0.0, out=x)
    return np.minimum(x, 1.0, out=x)


def capsule_distance(
    dx: np.ndarray, dy: np.ndarray, bx: Scalars, by: Scalars, ra: Scalars, rb: Scalars
) -> np.ndarray:
    """Distance [...] of points (dx, dy) to the stroke from 0 to (bx, by) whose radius goes from ra to rb along it.

    All are in pixels, and scalars or arrays that broadcast; it is negative inside the stroke.
    """
    along = clip01((dx * bx + dy * by) / np.maximum(bx * bx + by * by, 1e-9))
    ex, ey = dx - along * bx, dy - along * by
    return np.sqrt(ex * ex + ey * ey) - (ra + along * (rb - ra))


def inside(points: np.ndarray, corners: Sequence[Sequence[int]], boxes: Sequence[Box]) -> list[np.ndarray]:
    """For each shape, the share of every pixel of its box that lies inside it: [h, w] each.

    A shape is the union of polygons. points [n, 2] in pixels are the corners of all of them, one after the other;
    corners[i][j] counts those of polygon j of shape i; boxes[i] holds the shape, or as much of it as is wanted.
    Along a scan line each crossing at x adds its sign to everything right of it, exactly for fractions of a pixel:
    1 - frac to the pixel it falls in and the rest to the next, summed up along the row. SCANLINES lines make up a
    row. All polygons are counted as if wound the same way, so overlaps add up and are cut at 1. Many shapes cost
    hardly more than one: all their edges are handled together.
    """
    counts = [count for shape in corners for count in shape]
    left, top, right, bottom = np.array(boxes).T
    rows, stride = bottom - top, right - left + 2
    offset = np.concatenate([[0], np.cumsum(rows * stride)])
    # every edge: where it starts and ends, how its polygon is wound, which shape it belongs to
    first = np.cumsum([0, *counts[:-1]])
    following = np.arange(1, len(points) + 1)
    following[np.append(first[1:], len(points)) - 1] = first
    ax, ay = points.T
    bx, by = ax[following], ay[following]
    wound = np.copysign(1.0 / SCANLINES, np.add.reduceat(ax * by - bx * ay, first))
    shape = np.repeat(np.arange(len(boxes)), [sum(count) for count in corners])
    rise = by - ay
    slope = (bx - ax) / np.where(rise == 0.0, 1.0, rise)
    sign = np.repeat(wound, counts) * np.where(rise > 0.0, 1.0, -1.0)
    # scan line k lies at top + (k + 0.5) / SCANLINES; an edge crosses those from start up to stop, excluded
    start = np.ceil((np.minimum(ay, by) - top[shape]) * SCANLINES - 0.5).astype(np.int64)
    stop = np.ceil((np.maximum(ay, by) - top[shape]) * SCANLINES - 0.5).astype(np.int64)
    start, stop = np.maximum(start, 0), np.minimum(stop, rows[shape] * SCANLINES)
    crossings = np.maximum(stop - start, 0)
    edge = np.repeat(np.arange(len(points)), crossings)
    line = np.arange(len(edge)) + np.repeat(start - (np.cumsum(crossings) - crossings), crossings)
    across = ax - left[shape] + (top[shape] + 0.5 / SCANLINES - ay) * slope
    x = across[edge] + line * (slope / SCANLINES)[edge]
    shape = shape[edge]
    wide = stride[shape]
    x = np.minimum(np.maximum(x, 0.0), wide - 2)
    column = x.astype(np.int64)
    step = sign[edge]
    rest = step * (x - column)
    index = offset[shape] + line // SCANLINES * wide + column
    steps = np.bincount(index, step - rest, offset[-1] + 1)
    steps[1:] += np.bincount(index, rest, offset[-1])
    # outlines are closed, so every row sums to 0 and one running sum serves all rows of all shapes
    covered = np.minimum(np.abs(np.cumsum(steps[:-1].astype(np.float32))), 1.0)
    return [covered[offset[i] : offset[i + 1]].reshape(rows[i], stride[i])[:, :-2] for i in range(len(boxes))]


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
    coverage = clip01(0.5 - capsule_distance(dx, dy, bx, by, wide, wide))
    coverage *= np.minimum(2 * thick, 1.0) * opacity[:, None, None]
    x0, y0 = max(int(low[:, 0].min()), 0), max(int(low[:, 1].min()), 0)
    x1, y1 = min(int(high[:, 0].max()), width), min(int(high[:, 1].max()), height)
    across, down = (columns >= x0) & (columns < x1), (rows >= y0) & (rows < y1)
    index = (rows[:, :, None] - y0) * (x1 - x0) + (columns[:, None, :] - x0)
    index[~(across[:, None, :] & down[:, :, None])] = (y1 - y0) * (x1 - x0)  # a bin of no pixel
    total = np.bincount(index.ravel(), coverage.ravel(), (y1 - y0) * (x1 - x0) + 1)[:-1]
    return (x0, y0, x1, y1), np.minimum(total, 1.0).astype(np.float32).reshape(y1 - y0, x1 - x0)
