"""When a falling thing hits the ground: impact times finer than a frame, from the rows of its lower edge.

Between impacts the edge follows a parabola of one known curvature, gravity. At an impact two such arcs meet;
fitting one on either side and intersecting them gives the moment to a fraction of a frame, and does not need
the frame in which the thing is squashed against the ground.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

Rows = Float[np.ndarray, " F"]

ARC = 4  # frames that an arc is fitted to
NEAR = 0.06  # heights of the picture from the ground within which an edge can touch it
SWING = 0.03  # heights of the picture per frame: least speed at the end of a swing
KINK = 0.0005  # heights of the picture: least mean distance from a smooth arc at an impact
TURN = 0.014  # heights of the picture per frame: least change of speed at an impact


def impacts(bottom: Rows, height: int, near: float = NEAR) -> Float[np.ndarray, " E"]:
    """Impact times in frames (frame 0 = 0.0), in order, of a thing that falls and rebounds.

    `bottom` [F] are the rows of its lower edge (NaN = not seen), `height` in pixels is that of the picture; `near`
    says how far from its lowest rows it can be at an impact, in heights of the picture.
    """
    rows = _filled(bottom) / height
    if len(rows) < 2 * ARC:
        return np.zeros(0)
    gravity = _gravity(rows)
    ground = np.sort(rows)[-3] - near
    turns = np.zeros(len(rows))
    for k in range(1, len(rows) - 3):
        if max(rows[k], rows[k + 1]) > ground and _kink(rows, k) > KINK:
            turns[k] = _turn(rows, k, gravity, 3)[1]
    marks: list[int] = []
    for k in np.argsort(turns)[::-1]:
        if turns[k] < TURN:
            break
        if all(abs(k - other) > 2 for other in marks):
            marks.append(int(k))
    marks.sort()
    times = []
    for index, k in enumerate(marks):
        before = k - marks[index - 1] if index else k + 1
        after = marks[index + 1] - k if index + 1 < len(marks) else len(rows) - 1 - k
        times.append(_best(rows, k, gravity, max(2, min(ARC, before - 1, after - 1))))
    return np.array(times)


def blows(bottom: Rows, height: int) -> Float[np.ndarray, " E"]:
    """Times in frames, in order, at which a tool swung from rest, ever faster, is stopped by what it hits.

    `bottom` [F] are the rows of its lower edge (NaN = not seen), `height` in pixels is that of the picture.
    In a swing of constant acceleration the root of the distance covered grows evenly, so the last two frames
    of the swing tell when it reaches its target. What is hit may give way, as a nail does: the tool is
    stopped that much lower from blow to blow.
    """
    rows = _filled(bottom) / height
    speed = np.diff(rows)
    stops = [
        m
        for m in range(2, len(rows) - 1)
        if speed[m - 2 : m].max() > SWING
        and speed[m - 1] > 0.1 * speed[m - 2]
        and speed[m] < 0.1 * speed[m - 2 : m].max()
    ]
    give = np.clip(np.diff(rows[stops], prepend=np.nan), 0.0, 0.06)
    give[:1] = np.median(give[1:]) if len(give) > 1 else 0.0
    times = []
    for m, gives in zip(stops, give, strict=True):
        start = rows[max(m - 7, 0) : m].min()
        roots = np.sqrt(np.maximum(rows[m - 2 : m] - start, 0.0))
        whole = np.sqrt(max(rows[m] - gives - start, 0.0))
        left = (whole - roots[1]) / max(roots[1] - roots[0], 1e-6)
        times.append(m - 1 + float(np.clip(left, 0.0, 1.0)))
    return np.array(times)


def _filled(bottom: np.ndarray) -> np.ndarray:
    """Rows with short gaps bridged; what is never seen stays at its last place."""
    seen = np.flatnonzero(np.isfinite(bottom))
    if len(seen) < 2 * ARC:
        return np.zeros(0)
    return np.interp(np.arange(len(bottom)), seen, bottom[seen])


def _gravity(rows: np.ndarray) -> float:
    """Acceleration per frame^2 in free flight: the median of what bends downwards over five frames."""
    window = np.lib.stride_tricks.sliding_window_view(rows, 5)
    bend = window @ (np.array([2, -1, -2, -1, 2]) / 7.0)
    rest = np.ptp(window, axis=1) < 0.004
    flight = bend[(bend > 0.0005) & (bend < 0.02) & ~rest]
    return float(np.median(flight)) if len(flight) >= 4 else 0.004


def _fit(
    rows: np.ndarray, first: int, last: int, gravity: float, origin: float
) -> tuple[float, float, float]:
    """Row and speed at `origin` of the arc through frames first..last, and its residual."""
    t = np.arange(first, last + 1) - origin
    flat = rows[first : last + 1] - 0.5 * gravity * t * t
    if len(t) == 1:
        return float(flat[0]), 0.0, 0.0
    speed = float((t - t.mean()) @ flat / np.square(t - t.mean()).sum())
    row = float(flat.mean() - speed * t.mean())
    return row, speed, float(np.abs(flat - row - speed * t).mean())


def _kink(rows: np.ndarray, k: int) -> float:
    """How far the rows around frames k and k + 1 are from one smooth arc."""
    nearby = rows[max(k - 2, 0) : k + 4]
    t = np.arange(len(nearby)) - (len(nearby) - 1) / 2
    return float(np.abs(nearby - np.polyval(np.polyfit(t, nearby, 2), t)).mean())


def _turn(rows: np.ndarray, k: int, gravity: float, size: int) -> tuple[float, float, float]:
    """For an impact between frames k and k + 1: its time, the change of speed, and the residual of both arcs."""
    left = _fit(rows, max(k - size + 1, 0), k, gravity, k + 0.5)
    last = min(k + size, len(rows) - 1)
    flying = _fit(rows, k + 1, last, gravity, k + 0.5)
    resting = _fit(rows, k + 1, last, 0.0, k + 0.5)
    right = resting if resting[2] < flying[2] and abs(resting[1]) < 0.002 else flying
    change = left[1] - right[1]
    if change <= 0 or left[1] <= 0:
        return k + 0.5, 0.0, np.inf
    time = (right[0] - left[0]) / change
    if abs(time) > 1.5:
        return k + 0.5, 0.0, np.inf
    return k + 0.5 + time, change, left[2] + right[2]


def _best(rows: np.ndarray, k: int, gravity: float, size: int) -> float:
    """The impact time near k: of three ways to share out the frames, the one that fits best and agrees with itself."""
    choices = []
    for middle in (k - 1, k, k + 1):
        if 0 <= middle < len(rows) - 1:
            time, change, residual = _turn(rows, middle, gravity, size)
            if change > 0:
                outside = max(0.0, abs(time - middle - 0.5) - 0.5)
                choices.append((residual / change + outside, time))
    return min(choices)[1] if choices else k + 0.5
