"""Measuring clips: what was asked for, what is seen, what is heard, gathered into one report.

A clip is (scene, video, audio): the scene says what was asked for and nothing else of it is used, so the same
code measures renders of the world (where the answer is known) and clips that a model made of the scene's
caption.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float32, UInt8

from happyhorse.eval import hooves, lips, motion, sync
from happyhorse.eval.asks import main_color, sounds_like
from happyhorse.eval.intervals import Figure, bootstrap, share
from happyhorse.eval.judge import Judge, Verdict
from happyhorse.eval.onsets import onsets
from happyhorse.eval.quality import Quality, inspect, psnr
from happyhorse.eval.recogniser import Recogniser
from happyhorse.world.scene import Scene

FACE = "face"  # the family in which one face speaks
PERFECT = 60.0  # dB, as which an unchanged first frame counts: its infinite PSNR has no mean
MARGIN = 0.1  # s at both ends of a clip in which an event can be seen but not heard, or not fitted


@dataclass(frozen=True)
class Part:
    """One row of a report: all clips, or those of one family.

    sync, and lips for faces, stand beside their shuffled controls; they are None where there is nothing to
    match. family, color and sound are shares of clips in which the judge finds what was asked for, None
    without a judge or a main colour; first: mean PSNR in dB of the first frame of the clips that were given one;
    quality: means over clips; `offsets` and `control_offsets` in ms are what the histogram shows.
    """

    clips: int
    judged: int
    colored: int
    given: int
    sync: sync.Sync | None
    control: sync.Sync | None
    lips: lips.LipSync | None
    lips_control: lips.LipSync | None
    family: Figure | None
    color: Figure | None
    sound: Figure | None
    first: Figure | None
    quality: Mapping[str, Figure]
    offsets: tuple[float, ...] = ()
    control_offsets: tuple[float, ...] = ()


@dataclass(frozen=True)
class Report:
    """Figures over all clips and by family; `judge` is how well the judge itself does on held-out renders."""

    total: Part
    families: Mapping[str, Part]
    judge: Mapping[str, float] = field(default_factory=dict)

    @property
    def chance(self) -> float:
        """Share of clips in which a model that always shows one and the same family shows what was asked for."""
        return max(part.clips for part in self.families.values()) / self.total.clips

    @property
    def beats_chance(self) -> bool:
        """Whether the family of the picture is right more often than that, beyond the 95 % interval."""
        return self.total.family is not None and self.total.family.low > self.chance


@dataclass(frozen=True)
class Seen:
    """What one clip of a `family` shows: event times, mouth and voice, the judge's verdict, faults.

    `first` is the PSNR in dB of its first frame, None where none was given.
    """

    family: str
    moments: sync.Moments | None
    speech: lips.Speech | None
    verdict: Verdict | None
    asked_color: str | None
    quality: Quality
    first: float | None = None


def look(
    scene: Scene,
    video: UInt8[np.ndarray, "F H W 3"],
    audio: Float32[np.ndarray, " N"],
    judge: Judge | None = None,
    recogniser: Recogniser | None = None,
    first: UInt8[np.ndarray, "H W 3"] | None = None,
    fps: float = 25.0,
    rate: int = 16_000,
) -> Seen:
    """Measures a clip of pictures at `fps` frames/s and sound at `rate` Hz that was asked to show `scene`.

    Without a `recogniser` no lips are read; `first` is the picture that the clip was to begin with, if any.
    """
    said = None
    if scene.family == FACE and recogniser is not None:
        text, language = (str(scene.attributes[key]) for key in ("text", "language"))
        said = lips.listen(recogniser, video, audio, text, language, fps)
    return Seen(
        family=scene.family,
        moments=moments(scene, video, audio, fps, rate, judge),
        speech=said,
        verdict=judge(video, audio, rate) if judge is not None else None,
        asked_color=main_color(scene),
        quality=inspect(video, audio, rate),
        first=None if first is None else min(psnr(video[0], first), PERFECT),
    )


def gather(clips: Sequence[Seen], judge: Judge | None = None, seed: int = 0) -> Report:
    """The report of clips that were looked at; `seed` draws the intervals. Raises ValueError when there are none."""
    if not clips:
        raise ValueError("there are no clips to evaluate; give at least one")
    generator = np.random.default_rng(seed)
    names = sorted({one.family for one in clips})
    families = {name: [one for one in clips if one.family == name] for name in names}
    # a picture gets the sound of another clip of its own family: the harder control, as rhythms are alike
    controls = {
        name: sync.shuffled([one.moments for one in group if one.moments is not None])
        for name, group in families.items()
    }
    return Report(
        total=_part(clips, [pair for pairs in controls.values() for pair in pairs], generator),
        families={name: _part(group, controls[name], generator) for name, group in families.items()},
        judge={} if judge is None else dict(judge.accuracy),
    )


def moments(
    scene: Scene,
    video: UInt8[np.ndarray, "F H W 3"],
    audio: Float32[np.ndarray, " N"],
    fps: float,
    rate: int,
    judge: Judge | None = None,
) -> sync.Moments | None:
    """What is seen and heard in a clip at `fps` frames/s and `rate` Hz; None where the family has no single events.

    The footfalls of a horse are read by the `judge`, those of other families need none.
    """
    if scene.family == "horse" and judge is not None:
        visible = hooves.footfalls(judge.stride, video, scene.attributes) / fps
    elif scene.family in motion.FAMILIES:
        visible = motion.events(scene.family, scene.attributes, video, fps)
    else:
        return None
    end = min(len(video) / fps, len(audio) / rate) - MARGIN
    audible = onsets(audio, rate)
    return sync.Moments(*(times[(times >= MARGIN) & (times <= end)] for times in (visible, audible)))


def _part(seen: Sequence[Seen], control: list[sync.Moments], generator: np.random.Generator) -> Part:
    pairs = [one.moments for one in seen if one.moments is not None]
    speech = [one.speech for one in seen if one.speech is not None]
    strangers = lips.shuffled(speech)
    judged = [(one, one.verdict) for one in seen if one.verdict is not None]
    colored = [verdict.color == one.asked_color for one, verdict in judged if one.asked_color]
    first = [one.first for one in seen if one.first is not None]
    return Part(
        clips=len(seen),
        judged=len(judged),
        colored=len(colored),
        given=len(first),
        sync=sync.measure(pairs, generator) if pairs else None,
        control=sync.measure(control, generator) if control else None,
        lips=lips.measure(speech, generator) if speech else None,
        lips_control=lips.measure(strangers, generator) if strangers else None,
        family=_share([verdict.family == one.family for one, verdict in judged]),
        color=_share(colored),
        sound=_share([verdict.sound == sounds_like(one.family) for one, verdict in judged]),
        first=_mean(first, generator) if first else None,
        quality={
            name: _mean([getattr(one.quality, name) for one in seen], generator)
            for name in Quality.__dataclass_fields__
        },
        offsets=_offsets(pairs),
        control_offsets=_offsets(control),
    )


def _offsets(pairs: list[sync.Moments]) -> tuple[float, ...]:
    return tuple(round(float(value), 2) for pair in pairs for value in sync.offsets(pair))


def _mean(values: list[float], generator: np.random.Generator) -> Figure:
    return bootstrap(values, lambda chosen: float(np.mean(chosen)), generator)


def _share(hits: list[bool]) -> Figure | None:
    return share(sum(hits), len(hits)) if hits else None
