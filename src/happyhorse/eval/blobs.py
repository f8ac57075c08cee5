"""Finding a thing of a known colour in a video: how much of it every pixel holds, and where it is, frame by
frame.

Works on pixels alone, so it serves renders and generated clips alike. Rows and columns are in pixels, (0, 0)
is the centre of the upper left one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32, UInt8

Video = UInt8[np.ndarray, "F H W 3"]
Color = Sequence[float] | np.ndarray  # RGB in 0..1


@dataclass(frozen=True)
class Track:
    """A thing over frames: centre (x, y), half height and mass, all in pixels; a mass of 0 means: not seen."""

    x: Float[np.ndarray, " F"]
    y: Float[np.ndarray, " F"]
    half: Float[np.ndarray, " F"]
    mass: Float[np.ndarray, " F"]

    @property
    def bottom(self) -> Float[np.ndarray, " F"]:
        """Row of the lower edge [F], NaN where the thing is not seen."""
        return np.where(self.mass > 0, self.y + self.half, np.nan)


def coverage(video: Video, color: Color, others: Sequence[Color] = ()) -> Float32[np.ndarray, "F H W"]:
    """How much of each pixel is the moving thing of this colour (RGB in 0..1), 0..1.

    Pixels nearer to the colour of one of the `others`, things that move too, do not count.

    A pixel's background is its median over time; where that looks like the colour itself, as where the thing rests for
    most of the clip, it is the mean of the frames that look like it least. Between background and colour the share is a
    projection (as in matting), and what lies off that line, another thing passing by, does not count.
    """
    target = np.asarray(color, np.float32)
    pixels = video.astype(np.float32) / 255
    distance = _squared(pixels - target)
    background = np.median(video, axis=0).astype(np.float32) / 255
    alike = _squared(background - target) < _shading(target)
    rival = np.zeros(distance.shape, bool)
    unlike = distance[:, alike]
    for other in others:
        apart = _squared(pixels - np.asarray(other, np.float32))
        rival |= apart < distance
        passing = (apart < np.minimum(distance, _shading(other)))[:, alike]
        unlike[passing & (passing.mean(0) < 0.5)] = -1
    if alike.any():
        low = int(0.8 * len(video))
        far = np.argpartition(unlike, low, axis=0)[low:]
        background[alike] = np.take_along_axis(pixels[:, alike], far[..., None], axis=0).mean(0)
    line = target - background
    length = _squared(line)
    step = pixels - background
    along = np.einsum("fhwc,hwc->fhw", step, line) / np.maximum(length, 1e-6)
    off = _squared(step) - np.square(along) * length
    share = np.clip((along - 0.4) / 0.3, 0, 1)
    share[off > 0.06 + 0.12 * length] = 0
    share[:, length < 0.02] = 0
    share[rival] = 0
    return share


def track(share: Float32[np.ndarray, "F H W"]) -> Track:
    """Follows the biggest compact thing in a video of coverage [F, H, W].

    Its size is taken from the typical mass; it is looked for near where it was, and anywhere when it was
    lost.
    """
    frames, height, width = share.shape
    mass = share.sum((1, 2))
    typical = float(np.median(mass[mass > 4])) if (mass > 4).any() else 0.0
    x, y, half, seen = np.zeros((4, frames))
    if typical < 12:
        return Track(x, y, half, seen)
    radius = max(2.0, (typical / np.pi) ** 0.5)
    rows, columns = np.arange(height), np.arange(width)
    place: tuple[float, float] | None = None
    for f in range(frames):
        smooth = box(share[f], round(radius))
        if place is not None:
            near = np.exp(
                -(np.square(rows - place[0])[:, None] + np.square(columns - place[1])) / (6 * radius) ** 2
            )
            smooth = smooth * (0.3 + 0.7 * near)
        row, column = np.unravel_index(np.argmax(smooth), smooth.shape)
        for _ in range(2):
            window = share[f] * _disc(rows - row, columns - column, 1.7 * radius)
            total = float(window.sum())
            if total < 0.25 * typical:
                break
            row, column = float(window.sum(1) @ rows) / total, float(window.sum(0) @ columns) / total
        if total < 0.25 * typical:
            continue
        spread = float(window.sum(1) @ np.square(rows - row)) / total
        # an ellipse of half height b has variance b^2 / 4; a pixel's own width adds 1/12
        x[f], y[f], half[f], seen[f] = column, row, 2 * max(spread - 1 / 12, 0.0) ** 0.5, total
        place = (float(row), float(column))
    return Track(x, y, half, seen)


def lowest(share: Float32[np.ndarray, "F H W"]) -> Float[np.ndarray, " F"]:
    """Row in each frame above which nine tenths of the coverage lie; where nothing is seen, the highest such row.

    For things that show only while they are away from where they usually are, such as a stick that comes down.
    """
    rows = share.sum(2)
    mass = rows.sum(1)
    summed = np.cumsum(rows, axis=1) / np.maximum(mass, 1e-6)[:, None]
    levels = np.arange(share.shape[1], dtype=float)
    low = np.array(
        [np.interp(0.9, part, levels) if m > 4 else np.nan for part, m in zip(summed, mass, strict=True)]
    )
    return np.where(np.isnan(low), np.nanmin(low, initial=levels[-1]), low)


def _squared(pixels: np.ndarray) -> np.ndarray:
    """Squared length of each pixel's colour vector."""
    return np.einsum("...c,...c->...", pixels, pixels)


def _shading(color: Color) -> float:
    """Squared RGB distance within which light and shade move a colour."""
    return 0.03 + 0.15 * float(np.square(color).sum())


def _disc(dy: np.ndarray, dx: np.ndarray, radius: float) -> np.ndarray:
    return np.square(dy)[:, None] + np.square(dx) < radius * radius


def box(image: Float32[np.ndarray, "H W"], half: int) -> Float[np.ndarray, "H W"]:
    """Means of an image over squares of side 2 half + 1 around each pixel; outside counts as 0."""
    for axis in (0, 1):
        total = np.cumsum(
            np.pad(image, [(half + 1, half) if a == axis else (0, 0) for a in (0, 1)]), axis=axis
        )
        size = image.shape[axis]
        image = (
            np.take(total, np.arange(size) + 2 * half + 1, axis) - np.take(total, np.arange(size), axis)
        ) / (2 * half + 1)
    return image
