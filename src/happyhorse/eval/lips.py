"""Do the lips move with the voice: lag between the opening of a mouth and the loudness of speech.

For pictures of one face. The mouth is where the lower part of the picture changes fastest; its opening is how
much of that place does not look like the skin (or beard) around it. The lag is where opening and loudness
correlate most. Single clips are noisy: read medians, beside those of the shuffled control.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, UInt8

from happyhorse.eval.blobs import box
from happyhorse.eval.intervals import Figure, bootstrap

STEP = 0.01  # s, of the common grid
REACH = 0.4  # s, of lags looked at
NEAR = 0.08  # s, two frames: lags up to this count as in sync


@dataclass(frozen=True)
class Speech:
    """One clip on a grid of 10 ms: opening of the mouth [M] and loudness of the voice [M], any units."""

    opening: Float[np.ndarray, " M"]
    loudness: Float[np.ndarray, " M"]


@dataclass(frozen=True)
class LipSync:
    """Figures over clips, each with its 95 % interval.

    lag in ms (+ = sound late) and distance, its absolute value: medians; peak and aligned, the correlations
    at the best lag and at lag 0: means; near: share of clips with a lag of at most 80 ms.
    """

    clips: int
    lag: Figure
    distance: Figure
    peak: Figure
    aligned: Figure
    near: Figure


def listen(
    video: UInt8[np.ndarray, "F H W 3"], audio: Float[np.ndarray, " N"], fps: float = 25.0, rate: int = 16_000
) -> Speech:
    """Opening and loudness of a clip of one face at `fps` frames/s, with sound at `rate` Hz."""
    count = int(min(len(video) / fps, len(audio) / rate) / STEP)
    grid = (np.arange(count) + 0.5) * STEP
    opening = np.interp(grid, np.arange(len(video)) / fps, mouth(video))
    return Speech(opening, _loudness(np.asarray(audio, np.float64), rate, grid))


def mouth(video: UInt8[np.ndarray, "F H W 3"]) -> Float[np.ndarray, " F"]:
    """How open the mouth is in each frame: mean distance in RGB, 0..1, from what usually is in its place."""
    height, width = video.shape[1:3]
    pixels = video.astype(np.float32) / 255
    change = np.abs(np.diff(pixels, axis=0)).mean((0, 3))
    top, bottom = round(0.45 * height), round(0.9 * height)
    side = round(0.15 * width)
    half = round(0.07 * height)
    activity = box(change, half)[top:bottom, side : width - side]
    row, column = np.unravel_index(np.argmax(activity), activity.shape)
    row, column = int(row) + top, int(column) + side
    place = pixels[:, max(row - half, 0) : row + half + 1, max(column - 2 * half, 0) : column + 2 * half + 1]
    usual = np.median(place.reshape(-1, 3), axis=0)
    return np.linalg.norm(place - usual, axis=-1).mean((1, 2)).astype(np.float64)


def lag(speech: Speech) -> tuple[float, float, float]:
    """Lag in s (+ = sound late) with the highest correlation, that correlation, and the one at lag 0."""
    reach = round(REACH / STEP)
    opening, loudness = speech.opening, speech.loudness
    count = len(opening)
    values = np.array(
        [
            _correlation(opening[max(-k, 0) : count - max(k, 0)], loudness[max(k, 0) : count - max(-k, 0)])
            for k in range(-reach, reach + 1)
        ]
    )
    best = int(np.argmax(values))
    return (best - reach) * STEP, float(values[best]), float(values[reach])


def measure(clips: Sequence[Speech], generator: np.random.Generator) -> LipSync:
    """Figures over clips; `generator` draws the resamples of the intervals."""
    found = [lag(clip) for clip in clips]

    def figure(statistic) -> Figure:
        return bootstrap(
            found,
            lambda chosen: float(statistic(np.array(chosen))) if len(chosen) else float("nan"),
            generator,
        )

    return LipSync(
        clips=len(found),
        lag=figure(lambda x: 1000 * np.median(x[:, 0])),
        distance=figure(lambda x: 1000 * np.median(np.abs(x[:, 0]))),
        peak=figure(lambda x: x[:, 1].mean()),
        aligned=figure(lambda x: x[:, 2].mean()),
        near=figure(lambda x: (np.abs(x[:, 0]) <= NEAR + 1e-9).mean()),
    )


def shuffled(clips: Sequence[Speech]) -> list[Speech]:
    """The control: each mouth with the voice of the next clip, cut to the shorter of both; none for a single clip."""
    if len(clips) < 2:
        return []
    pairs = zip(clips, [*clips[1:], clips[0]], strict=True)
    return [
        Speech(a.opening[:count], b.loudness[:count])
        for a, b in pairs
        if (count := min(len(a.opening), len(b.loudness)))
    ]


def _loudness(audio: np.ndarray, rate: int, grid: np.ndarray) -> np.ndarray:
    """Log power around each time of the grid, over windows of 40 ms, down to 45 dB under the loudest."""
    total = np.cumsum(np.pad(np.square(audio), (1, 0)))
    ends = np.clip(np.round((grid[:, None] + [-0.02, 0.02]) * rate).astype(int), 0, len(audio))
    power = (total[ends[:, 1]] - total[ends[:, 0]]) / np.maximum(ends[:, 1] - ends[:, 0], 1)
    return np.log10(power + power.max(initial=0.0) * 10**-4.5 + 1e-12)


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    a, b = a - a.mean(), b - b.mean()
    scale = float(np.sqrt(np.square(a).sum() * np.square(b).sum()))
    return float((a * b).sum()) / scale if scale > 1e-12 else 0.0
