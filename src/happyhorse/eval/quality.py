"""Faults that need no reference: silence, clipping, trembling pictures; and how far a given first frame was kept."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, UInt8

FRAME = 0.02  # s, over which loudness is taken
QUIET = -60.0  # dBFS, below which a frame is silent
FULL = 0.999  # level from which a sample counts as clipped


@dataclass(frozen=True)
class Quality:
    """Faults of one clip.

    loudness: RMS in dBFS; silence: share of 20 ms frames below -60 dBFS; clipping: share of samples at full
    scale; jitter: see `jitter`; motion: mean change of a pixel from frame to frame, in 8-bit levels.
    """

    loudness: float
    silence: float
    clipping: float
    jitter: float
    motion: float


def inspect(
    video: UInt8[np.ndarray, "F H W 3"], audio: Float[np.ndarray, " N"], rate: int = 16_000
) -> Quality:
    """The faults of a clip of pictures [F, H, W, 3] and sound [N] at `rate` Hz."""
    steps = _steps(video)
    return Quality(
        loudness=loudness(audio),
        silence=silence(audio, rate),
        clipping=float((np.abs(audio) >= FULL).mean()) if len(audio) else 0.0,
        jitter=_still(steps),
        motion=float(steps.mean()) if len(steps) else 0.0,
    )


def loudness(audio: Float[np.ndarray, " N"]) -> float:
    """RMS of a wave [N] in dB below full scale, -120 for digital silence."""
    power = float(np.square(audio, dtype=np.float64).mean()) if len(audio) else 0.0
    return 10 * math.log10(max(power, 1e-12))


def silence(audio: Float[np.ndarray, " N"], rate: int = 16_000) -> float:
    """Share of frames of 20 ms of a wave [N] at `rate` Hz that lie below -60 dBFS; 1 for no sound at all."""
    size = round(FRAME * rate)
    count = len(audio) // size
    if count == 0:
        return 1.0
    frames = np.asarray(audio[: count * size], np.float64).reshape(count, size)
    return float((np.square(frames).mean(1) < 10 ** (QUIET / 10)).mean())


def jitter(video: UInt8[np.ndarray, "F H W 3"]) -> float:
    """How much the stillest half of a picture trembles: mean change from frame to frame there, in 8-bit
    levels.

    0 for a drawn scene in front of a fixed camera; codecs and generators that flicker show 1 and more.
    """
    return _still(_steps(video))


def psnr(video: UInt8[np.ndarray, "*shape"], reference: UInt8[np.ndarray, "*shape"]) -> float:
    """Peak signal-to-noise ratio of 8-bit pictures in dB; infinite for equal ones."""
    error = float(np.square(video.astype(np.float64) - reference).mean())
    return math.inf if error == 0 else 10 * math.log10(255**2 / error)


def _steps(video: np.ndarray) -> np.ndarray:
    """[F-1, H, W] absolute change from frame to frame, mean over colours."""
    change = np.maximum(video[1:], video[:-1]) - np.minimum(video[1:], video[:-1])
    return change.mean(-1, dtype=np.float32)


def _still(steps: np.ndarray) -> float:
    if not len(steps):
        return 0.0
    typical = np.sort(steps.mean(0), axis=None)
    return float(typical[: max(1, len(typical) // 2)].mean())
