"""Measuring clips: what was asked for, what is seen, what is heard, gathered into one report.

A clip is (scene, video, audio): the scene says what was asked for and nothing else of it is used, so the same
code measures renders of the world (where the answer is known) and clips that a model made of the scene's
caption.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float32, UInt8

from happyhorse.eval import lips, motion, sync
from happyhorse.eval.asks import main_color
from happyhorse.eval.intervals import Figure, bootstrap, share
from happyhorse.eval.judge import Judge, Verdict
from happyhorse.eval.onsets import onsets
from happyhorse.eval.quality import Quality, inspect
from happyhorse.world.scene import Scene

Clip = tuple[Scene, UInt8[np.ndarray, "F H W 3"], Float32[np.ndarray, " N"]]

FACE = "face"  # the family in which one face speaks
MARGIN = 0.1  # s at both ends of a clip in which an event can be seen but not heard, or not fitted


@dataclass(frozen=True)
class Part:
    """One row of a report: all clips, or those of one family.

    sync, and lips for faces, stand beside their shuffled controls; they are None where there is nothing to
    match. family, color and sound are shares of clips in which the judge finds what was asked for, None
    without a judge or a main colour; quality: means over clips; `offsets` and `control_offsets` in ms are
    what the histogram shows.
    """

    clips: int
    sync: sync.Sync | None
    control: sync.Sync | None
    lips: lips.LipSync | None
    lips_control: lips.LipSync | None
    family: Figure | None
    color: Figure | None
    sound: Figure | None
    quality: Mapping[str, Figure]
    offsets: tuple[float, ...] = ()
    control_offsets: tuple[float, ...] = ()


@dataclass(frozen=True)
class Report:
    """Figures over all clips and by family; `judge` is how well the judge itself does on held-out renders."""

    total: Part
    families: Mapping[str, Part]
    judge: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class _Seen:
    family: str
    moments: sync.Moments | None
    speech: lips.Speech | None
    verdict: Verdict | None
    asked_color: str | None
    quality: Quality


def evaluate(
    clips: Iterable[Clip], fps: float = 25.0, rate: int = 16_000, judge: Judge | None = None, seed: int = 0
) -> Report:
    """Measures clips of pictures [F, H, W, 3] at `fps` frames/s and sound [N] at `rate` Hz; `seed` is of the
    intervals.

    Clips are looked at one by one and not kept. Raises ValueError when there are none.
    """
    seen = [_look(scene, video, audio, fps, rate, judge) for scene, video, audio in clips]
    if not seen:
        raise ValueError("there are no clips to evaluate; give at least one")
    generator = np.random.default_rng(seed)
    names = sorted({one.family for one in seen})
    families = {name: [one for one in seen if one.family == name] for name in names}
    # a picture gets the sound of another clip of its own family: the harder control, as rhythms are alike
    controls = {
        name: sync.shuffled([one.moments for one in group if one.moments is not None])
        for name, group in families.items()
    }
    return Report(
        total=_part(seen, [pair for pairs in controls.values() for pair in pairs], generator),
        families={name: _part(group, controls[name], generator) for name, group in families.items()},
        judge={} if judge is None else dict(judge.accuracy),
    )


def moments(
    scene: Scene, video: UInt8[np.ndarray, "F H W 3"], audio: Float32[np.ndarray, " N"], fps: float, rate: int
) -> sync.Moments | None:
    """What is seen and heard in a clip at `fps` frames/s and `rate` Hz; None where the family has no single events."""
    if scene.family not in motion.FAMILIES:
        return None
    end = min(len(video) / fps, len(audio) / rate) - MARGIN
    visible, audible = motion.events(scene.family, scene.attributes, video, fps), onsets(audio, rate)
    return sync.Moments(*(times[(times >= MARGIN) & (times <= end)] for times in (visible, audible)))


def _look(
    scene: Scene, video: np.ndarray, audio: np.ndarray, fps: float, rate: int, judge: Judge | None
) -> _Seen:
    return _Seen(
        family=scene.family,
        moments=moments(scene, video, audio, fps, rate),
        speech=lips.listen(video, audio, fps, rate) if scene.family == FACE else None,
        verdict=judge(video, audio, rate) if judge is not None else None,
        asked_color=main_color(scene),
        quality=inspect(video, audio, rate),
    )


def _part(seen: list[_Seen], control: list[sync.Moments], generator: np.random.Generator) -> Part:
    pairs = [one.moments for one in seen if one.moments is not None]
    speech = [one.speech for one in seen if one.speech is not None]
    strangers = lips.shuffled(speech)
    judged = [(one, one.verdict) for one in seen if one.verdict is not None]
    return Part(
        clips=len(seen),
        sync=sync.measure(pairs, generator) if pairs else None,
        control=sync.measure(control, generator) if control else None,
        lips=lips.measure(speech, generator) if speech else None,
        lips_control=lips.measure(strangers, generator) if strangers else None,
        family=_share([verdict.family == one.family for one, verdict in judged]),
        color=_share([verdict.color == one.asked_color for one, verdict in judged if one.asked_color]),
        sound=_share([verdict.sound == one.family for one, verdict in judged]),
        quality={
            name: bootstrap(
                [getattr(one.quality, name) for one in seen], lambda x: float(np.mean(x)), generator
            )
            for name in Quality.__dataclass_fields__
        },
        offsets=_offsets(pairs),
        control_offsets=_offsets(control),
    )


def _offsets(pairs: list[sync.Moments]) -> tuple[float, ...]:
    return tuple(round(float(value), 2) for pair in pairs for value in sync.offsets(pair))


def _share(hits: list[bool]) -> Figure | None:
    return share(sum(hits), len(hits)) if hits else None
