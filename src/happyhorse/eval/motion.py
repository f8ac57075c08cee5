"""When things happen in a picture: times of visible events from the pixels of a clip, by family of scenes.

What a clip was asked to show (its family and attributes: colours, which side) tells what to look for; where
and when comes from the pixels alone, so renders and generated clips are measured alike. Times are in seconds;
frame f shows f / fps.

A change between two frames (a bar lights up, a hand jumps) is placed half a frame before the first frame that
shows it, and is known to half a frame. Where something moves before it strikes, its path gives the moment
more finely.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from jaxtyping import Float, UInt8

from happyhorse.eval import blobs, bounce
from happyhorse.world.palette import lighter, rgb

Video = UInt8[np.ndarray, "F H W 3"]
Times = Float[np.ndarray, " E"]
Attributes = Mapping[str, str | int | float]


def events(family: str, attributes: Attributes, video: Video, fps: float = 25.0) -> Times:
    """Times in seconds of the visible events of a clip [F, H, W, 3] that shows a scene of `family`, in order.

    Raises ValueError for a family whose events cannot be seen one by one; `FAMILIES` holds those that can.
    """
    if family not in FAMILIES:
        raise ValueError(f"no visible events are known for {family!r}; take one of {', '.join(FAMILIES)}")
    return np.sort(FAMILIES[family](video, attributes)) / fps


def _balls(video: Video, attributes: Attributes) -> np.ndarray:
    """Impacts of one or two balls: the lower edge of what has the ball's colour."""
    colors = [rgb(str(attributes[key])) for key in ("color", "color2") if key in attributes]
    times = []
    for index, color in enumerate(colors):
        others = colors[:index] + colors[index + 1 :]
        path = blobs.track(blobs.coverage(video, color, others))
        times.append(bounce.impacts(path.bottom, video.shape[1]))
    return np.concatenate(times)


def _hammer(video: Video, attributes: Attributes) -> np.ndarray:
    """Blows: the dark head falls ever faster and stops."""
    path = blobs.track(blobs.coverage(video, rgb("black")))
    return bounce.blows(path.bottom, video.shape[1])


def _drum(video: Video, attributes: Attributes) -> np.ndarray:
    """Beats: one of two wooden sticks comes down, the left and the right one apart."""
    share = blobs.coverage(video, lighter("wood", 0.15))
    total = float(share.sum())
    if total == 0:
        return np.zeros(0)
    middle = round(float(share.sum((0, 1)) @ np.arange(share.shape[2])) / total)
    times = []
    for side in (share[:, :, :middle], share[:, :, middle:]):
        tip, height = blobs.lowest(side), video.shape[1]
        found = bounce.impacts(tip, height, near=0.2)
        # a stick that passes the level on its way up makes a small dip, a beat a deep one
        around = [tip[max(round(t) - 3, 0) : round(t) + 4] for t in found]
        times += [t for t, rows in zip(found, around, strict=True) if np.ptp(rows) > 0.09 * height]
    merged = np.sort(times)  # both halves may see one beat: the skin shakes on either side
    return merged[np.diff(merged, prepend=-2.0) > 1.0]


def _xylophone(video: Video, attributes: Attributes) -> np.ndarray:
    """Bars light up: the luminance of a column as wide as a bar jumps."""
    return _steps(_columns(video.mean(-1, dtype=np.float32) / 255), least=0.02)


def _piano(video: Video, attributes: Attributes) -> np.ndarray:
    """Keys take on the colour of the light."""
    return _steps(_columns(_likeness(video, str(attributes["light"]))), least=0.02)


def _clock(video: Video, attributes: Attributes) -> np.ndarray:
    """The second hand is somewhere else: pixels that gain or lose its colour."""
    hand = _likeness(video, str(attributes["hand"]))
    return _steps(
        np.abs(np.diff(hand, axis=0, prepend=hand[:1])).mean((1, 2)), least=0.002, share=0.5, apart=3
    )


FAMILIES: Mapping[str, Callable[[Video, Attributes], np.ndarray]] = {
    "balls": _balls,
    "xylophone": _xylophone,
    "piano": _piano,
    "clock": _clock,
    "hammer": _hammer,
    "drum": _drum,
}
"""Families whose events are visible one by one: how their times, in frames, are found."""


def _likeness(video: Video, color: str) -> np.ndarray:
    """[F, H, W] 1 where a pixel has the colour, falling to 0 with its distance in RGB."""
    distance = np.square(video.astype(np.float32) / 255 - rgb(color)).sum(-1)
    return np.exp(-distance / 0.03)


def _columns(level: np.ndarray) -> np.ndarray:
    """[F] the largest increase from frame to frame of the mean level of a column a tenth of the height wide."""
    profile = level.mean(1)
    half = max(1, round(0.08 * level.shape[1]))
    total = np.cumsum(np.pad(profile, ((0, 0), (half + 1, half)), mode="edge"), axis=1)
    smooth = (total[:, 2 * half + 1 :] - total[:, : -2 * half - 1]) / (2 * half + 1)
    return np.maximum(np.diff(smooth, axis=0, prepend=smooth[:1]), 0).max(1)


def _steps(change: np.ndarray, least: float, share: float = 0.3, apart: int = 2) -> np.ndarray:
    """Times in frames of the peaks of a curve of change [F] that reach `least` and a share of its high peaks."""
    change = change - np.median(change)  # what changes all the time is noise
    peaks = [
        k
        for k in range(1, len(change))
        if change[k] >= least and change[k] == change[max(k - apart, 0) : k + apart + 1].max()
    ]
    if not peaks:
        return np.zeros(0)
    tall = np.percentile(change[peaks], 80)
    return np.array([k - 0.5 for k in peaks if change[k] >= share * tall])
