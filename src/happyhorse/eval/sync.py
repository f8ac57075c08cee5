"""Does the sound belong to the picture: offsets between seen and heard events, beside a shuffled control.

Offset = t_audio - t_video in ms, + = sound late. Dense events make small offsets by chance alone, so a figure
of sync says nothing without its control: the same measurement with every picture given the sound of another
clip.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from happyhorse.eval.intervals import Figure, bootstrap

WINDOW = 0.25  # s, within which a sound can belong to an event
ITU = (-45.0, 125.0)  # ms, between which people do not notice an offset (ITU-R BT.1359, sign turned to ours)


@dataclass(frozen=True)
class Moments:
    """Event times of one clip in seconds: `seen` in its picture, `heard` in its sound."""

    seen: Float[np.ndarray, " visible"]
    heard: Float[np.ndarray, " audible"]


@dataclass(frozen=True)
class Sync:
    """Figures of sync over clips; offsets in ms, shares of 0..1, each with its 95 % interval.

    median, mae and p95 (of absolute offsets) are over matched events; `within` is the share of all seen
    events that have a sound inside the ITU window, so a missing sound counts; precision and recall are of
    heard and seen events that found a partner.
    """

    clips: int
    seen: int
    heard: int
    matched: int
    median: Figure
    mae: Figure
    p95: Figure
    within: Figure
    precision: Figure
    recall: Figure


def match(
    seen: Float[np.ndarray, " visible"], heard: Float[np.ndarray, " audible"], window: float = WINDOW
) -> Float[np.ndarray, "pairs 2"]:
    """Pairs (t_video, t_audio) in seconds, one to one, at most `window` s apart, nearest pairs first."""
    gaps = np.abs(np.subtract.outer(seen, heard))
    pairs: list[tuple[float, float]] = []
    while gaps.size and gaps.min() <= window:
        row, column = np.unravel_index(np.argmin(gaps), gaps.shape)
        pairs.append((float(seen[row]), float(heard[column])))
        gaps[row, :], gaps[:, column] = np.inf, np.inf
    return np.array(sorted(pairs)).reshape(-1, 2)


def offsets(moments: Moments, window: float = WINDOW) -> Float[np.ndarray, " pairs"]:
    """Offsets in ms of the matched events of a clip, in the order of time."""
    pairs = match(moments.seen, moments.heard, window)
    return 1000 * (pairs[:, 1] - pairs[:, 0])


def inside(offsets: Float[np.ndarray, " pairs"]) -> int:
    """How many offsets in ms lie within the ITU window."""
    return int(((offsets >= ITU[0]) & (offsets <= ITU[1])).sum())


def measure(clips: Sequence[Moments], generator: np.random.Generator, window: float = WINDOW) -> Sync:
    """Figures of sync over clips; `generator` draws the resamples of the intervals. `window` in s."""
    parts = [_Part(offsets(clip, window), len(clip.seen), len(clip.heard)) for clip in clips]

    def figure(statistic) -> Figure:
        return bootstrap(parts, statistic, generator)

    return Sync(
        clips=len(parts),
        seen=sum(part.seen for part in parts),
        heard=sum(part.heard for part in parts),
        matched=sum(len(part.offsets) for part in parts),
        median=figure(lambda chosen: _over(chosen, np.median)),
        mae=figure(lambda chosen: _over(chosen, lambda x: np.abs(x).mean())),
        p95=figure(lambda chosen: _over(chosen, lambda x: np.percentile(np.abs(x), 95))),
        within=figure(lambda chosen: _ratio(chosen, _inside, lambda part: part.seen)),
        precision=figure(lambda chosen: _ratio(chosen, _pairs, lambda part: part.heard)),
        recall=figure(lambda chosen: _ratio(chosen, _pairs, lambda part: part.seen)),
    )


def shuffled(clips: Sequence[Moments], rounds: int = 3) -> list[Moments]:
    """The control: pictures paired with the sounds of other clips, `rounds` partners for each picture.

    Fewer partners where there are fewer clips; none for a single clip, which has nobody to swap with.
    """
    count = len(clips)
    steps = sorted({1 + (count - 1) * r // rounds for r in range(rounds)}) if count > 1 else []
    return [Moments(clips[i].seen, clips[(i + step) % count].heard) for step in steps for i in range(count)]


@dataclass(frozen=True)
class _Part:
    offsets: np.ndarray
    seen: int
    heard: int


def _pairs(part: _Part) -> int:
    return len(part.offsets)


def _inside(part: _Part) -> int:
    return inside(part.offsets)


def _over(parts: Sequence[_Part], statistic) -> float:
    joined = np.concatenate([part.offsets for part in parts]) if parts else np.zeros(0)
    return float(statistic(joined)) if len(joined) else float("nan")


def _ratio(parts: Sequence[_Part], above, below) -> float:
    total = sum(below(part) for part in parts)
    return sum(above(part) for part in parts) / total if total else float("nan")
