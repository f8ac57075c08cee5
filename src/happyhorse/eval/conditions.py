"""What is given, is it kept? Clips made from pictures, sounds and clips of held-out scenes, and measured against them.

Each condition is tried on the same scenes with the same seeds. Pictures are compared with what was given; where parts
of a clip meet, the change across the seam is compared with the changes beside it; a word of a prompt is exchanged to
see whether what it names changes, and nothing else. Pictures of a subject and edits are tried where a model has learnt
them, and an edit is compared with the render of what was asked for. The figures of a clip are kept beside it, so that a
measurement that was stopped goes on.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32, UInt8

from happyhorse import config, media
from happyhorse.eval import beside, run
from happyhorse.eval.asks import main_color
from happyhorse.eval.clips import PERFECT, moments
from happyhorse.eval.intervals import Figure, bootstrap, share
from happyhorse.eval.quality import psnr
from happyhorse.eval.run import Asked, Plan
from happyhorse.eval.sync import inside, offsets
from happyhorse.generate.load import load
from happyhorse.generate.model import Model
from happyhorse.generate.pipeline import make
from happyhorse.given import Sound
from happyhorse.values import Clip
from happyhorse.world.palette import COLORS
from happyhorse.world.scene import RATE, Scene, hear, render, sample

Progress = Callable[[str, int, int], None]
Video = UInt8[np.ndarray, "F H W 3"]

KEY = 0.5  # where the key frame lies, as a share of the clip
SPAN = (0.35, 0.65)  # what is made again of a clip, as shares of it
FOLLOWED = ("word followed", "followed")  # figures that are 0 or 1
BESIDE = 8  # changes from frame to frame on either side that a seam is compared with: two latent frames


@dataclass(frozen=True)
class Given:
    """A scene to try conditions on: what a render shows and sounds like, and through the codec shows, at 25 frames/s.

    `video` and `coded` [F, H, W, 3]; `audio` [N] at 16 kHz.
    """

    scene: Scene
    prompt: str
    video: Video
    coded: Video
    audio: Float32[np.ndarray, " N"]

    @property
    def clip(self) -> Clip:
        """The render as a clip."""
        return Clip(video=self.video, audio=self.audio, fps=25, rate=RATE)

    @property
    def seconds(self) -> float:
        """How long it lasts."""
        return len(self.video) / 25


@dataclass(frozen=True)
class Made:
    """What a model made: frames [F, H, W, 3] and sound [N] at 16 kHz."""

    video: Video
    audio: Float32[np.ndarray, " N"]


@dataclass(frozen=True)
class Condition:
    """One way to condition: the fields of its request for a scene, and the figures of what was made, by name.

    `asks` may leave a scene out (None): one word of whose prompt, say, cannot be exchanged. What a model must have
    `learnt` to be tried at all is named as in `generate.learnt`.
    """

    name: str
    asks: Callable[[Given], dict[str, Any] | None]
    figures: Callable[[Given, Made], dict[str, float]]
    learnt: str | None = None


def _frame(given: Given, made: Made, place: int) -> dict[str, float]:
    """PSNR in dB of one frame against the given picture, and of what the codec alone makes of it."""
    picture = given.video[place]
    return {
        "kept": min(psnr(made.video[place], picture), PERFECT),
        "codec": psnr(given.coded[place], picture),
    }


def seam(video: Video, place: int) -> float:
    """Change from frame `place` - 1 to frame `place` over the largest of the changes beside it; to 1 no seam shows.

    A thousandth of the range of a pixel is added to both, so that pictures that stand still have no seam.
    """
    near = video[max(0, place - 1 - BESIDE) : place + 1 + BESIDE].astype(np.float32)
    steps = np.abs(np.diff(near, axis=0)).mean((1, 2, 3)) + 0.255
    at = min(place - 1, BESIDE)
    beside = np.delete(steps, at)
    return float(steps[at] / beside.max()) if len(beside) else 1.0


def click(audio: Float32[np.ndarray, " N"], at: int) -> float:
    """Largest step between samples within 1 ms of sample `at`, over that within 100 ms of it; at most 1."""
    steps = np.abs(np.diff(audio))
    near, wide = (steps[max(0, at - reach) : at + reach] for reach in (RATE // 1000, RATE // 10))
    most = float(wide.max(initial=0.0))
    return float(near.max(initial=0.0)) / most if most else 0.0


def _same(one: np.ndarray, two: np.ndarray) -> float:
    """Share of frames or samples that are equal to the bit."""
    count = min(len(one), len(two))
    return float((one[:count] == two[:count]).reshape(count, -1).all(1).mean()) if count else 0.0


def _sync(given: Given, made: Made) -> dict[str, float]:
    """Median of the offsets between events seen and heard, in ms, and the share of those seen that are heard in time.

    Events of families that `eval.motion` reads without a judge; nothing where none is seen.
    """
    found = moments(given.scene, made.video, made.audio, 25, RATE)
    if found is None or not len(found.seen):
        return {}
    gaps = offsets(found)
    return {"in time": inside(gaps) / len(found.seen)} | (
        {"offset": float(np.median(gaps))} if len(gaps) else {}
    )


def _half(given: Given) -> int:
    return len(given.video) // 2


def _extended(given: Given) -> dict[str, Any]:
    half = _half(given)
    begun = Clip(video=given.video[:half], audio=given.audio[: half * RATE // 25], fps=25, rate=RATE)
    return {"extend": begun, "seconds": (len(given.video) - half) / 25}


def _span(given: Given) -> tuple[int, int]:
    return tuple(round(share * len(given.video)) for share in SPAN)  # type: ignore[return-value]


def _exchange(prompt: str, color: str | None) -> tuple[str, str] | None:
    """The prompt with another colour instead of `color`, and that colour; None where it is not named just once.

    The coat of a horse is not exchanged: its names mean more than a colour.
    """
    if color not in COLORS or len(re.findall(rf"\b{color}\b", prompt)) != 1:
        return None
    named = set(re.findall(r"\w+", prompt.lower()))
    other = next(name for name in COLORS if name not in named)
    return re.sub(rf"\b{color}\b", other, prompt), other


def _worded(given: Given) -> dict[str, Any] | None:
    changed = _exchange(given.prompt, main_color(given.scene))
    return None if changed is None else {"prompt": changed[0]}


def _word(given: Given, made: Made) -> dict[str, float]:
    """Whether the judge finds the other colour, and the scene still the same."""
    changed = _exchange(given.prompt, main_color(given.scene))
    assert changed is not None
    verdict = run.judge()(made.video, made.audio, RATE)
    right = verdict.color == changed[1] and verdict.family == given.scene.family
    return {"word followed": float(right)}


def _pictures(given: Given, made: Made, places: Sequence[int]) -> dict[str, float]:
    each = [_frame(given, made, place) for place in places]
    return {key: float(np.mean([one[key] for one in each])) for key in each[0]}


def _retaken(given: Given, made: Made) -> dict[str, float]:
    start, end = _span(given)
    clear = end + 4  # a span may end up to three frames later than asked
    kept = (_same(made.video[:start], given.video[:start]), _same(made.video[clear:], given.video[clear:]))
    return {
        "untouched": min(kept),
        "seam": max(seam(made.video, place) for place in (start, start + -(-(end - start) // 4) * 4)),
        "click": click(made.audio, start * RATE // 25),
    }


CONDITIONS = (
    Condition("first frame", lambda g: {"first_frame": g.video[0]}, lambda g, m: _frame(g, m, 0)),
    Condition(
        "last frame", lambda g: {"last_frame": g.video[-1]}, lambda g, m: _frame(g, m, len(g.video) - 1)
    ),
    Condition(
        "first, key and last frame",
        lambda g: {
            "first_frame": g.video[0],
            "key_frames": ((round(KEY * len(g.video)) / 25, g.video[round(KEY * len(g.video))]),),
            "last_frame": g.video[-1],
        },
        lambda g, m: _pictures(g, m, (0, round(KEY * len(g.video)), len(g.video) - 1)),
    ),
    Condition(
        "sound",
        lambda g: {"audio": Sound(g.audio, RATE)},
        lambda g, m: {"untouched": _same(m.audio, g.audio)} | _sync(g, m),
    ),
    Condition(
        "silent video",
        lambda g: {"video": g.clip},
        lambda g, m: {"untouched": _same(m.video, g.video)} | _sync(g, m),
    ),
    Condition(
        "continuation",
        _extended,
        lambda g, m: {
            "untouched": _same(m.video[: _half(g)], g.video[: _half(g)]),
            "seam": seam(m.video, _half(g)),
            "click": click(m.audio, _half(g) * RATE // 25),
        },
    ),
    Condition(
        "span made again",
        lambda g: {"retake": g.clip, "span": tuple(frame / 25 for frame in _span(g))},
        _retaken,
    ),
    Condition("another colour word", _worded, _word),
    Condition("pictures of a subject", beside.referred, beside.recognised, "references"),
    *(
        Condition(
            f"{kind} edited", partial(beside.edited, kind=kind), partial(beside.done, kind=kind), "edit"
        )
        for kind in beside.KINDS
    ),
)


def given(asked: Asked, model: Model, fields: Mapping[str, Any]) -> Given:
    """The scene of `asked` as the model's size and length have it."""
    standard = model.request("anything", **fields)
    shape = model.format.shape(standard.seconds, standard.width, standard.height)
    frames = shape.video.decoded_frames
    scene = sample(asked.seed, frames / shape.fps, [asked.family])
    video = render(scene, standard.width, standard.height, shape.fps, frames)
    with torch.inference_mode():
        coded = np.concatenate(list(model.decode_video(model.encode_video(video)[0])))
    shown = shape.video.frames
    audio = hear(scene, RATE, shown * RATE // shape.fps)
    return Given(scene, asked.prompt, video[:shown], coded[:shown], audio)


def measure(
    plan: Plan,
    count: int,
    conditions: Sequence[Condition] = CONDITIONS,
    workers: int = 1,
    progress: Progress = lambda *_: None,
) -> dict[str, dict[str, Figure]]:
    """Figures by condition: means over `count` scenes with 95 % intervals, and under "clips" how many there were.

    Clips and their figures are kept in the plan's folder, by condition; what the model has not learnt is left out.
    `progress(condition, done, total)` counts
    clips. Raises ValueError where there are too few scenes.
    """
    asked = list(run.asks(count, run.length(plan)))
    found = {}
    learnt = load(plan.model).facts.get("learnt", ())
    for condition in conditions:
        if condition.learnt is not None and condition.learnt not in learnt:
            continue
        jobs = [(plan, condition.name, one) for one in asked]

        def done(many: int, name: str = condition.name) -> None:
            progress(name, many, len(asked))

        each = [one for one in run.spread(_try, jobs, workers, done) if one is not None]
        found[condition.name] = _gather(each)
    return found


def place_of(plan: Plan, condition: str) -> Path:
    """The folder of a condition's clips."""
    return plan.folder / condition.replace(", ", "-").replace(" ", "-")


def _gather(each: list[dict[str, float]]) -> dict[str, Figure]:
    generator = np.random.default_rng(0)
    names = list(dict.fromkeys(name for one in each for name in one))
    figures = {"clips": Figure(len(each), len(each), len(each))}
    for name in names:
        values = [one[name] for one in each if name in one]
        figures[name] = (
            share(int(sum(values)), len(values))
            if name in FOLLOWED
            else bootstrap(values, lambda some: float(np.mean(some)), generator)
        )
    return figures


def _try(job: tuple[Plan, str, Asked]) -> dict[str, float] | None:
    """The figures of one clip, made now or before; None where the condition leaves the scene out."""
    plan, name, asked = job
    condition = next(one for one in CONDITIONS if one.name == name)
    model = load(plan.model)
    folder = place_of(plan, name)
    stem = run.stem(asked)
    key = config.fingerprint(
        [run.weights(plan.model), {k: str(v) for k, v in plan.fields.items()}, asked.seed, asked.prompt]
    )
    file = folder / f"{stem}.json"
    kept = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    if kept.get("key") == key:
        return kept["figures"]
    scene = given(asked, model, plan.fields)
    fields = condition.asks(scene)
    if fields is None:
        return None
    own = {"extend", "video", "retake", "edit"} & fields.keys()  # the clip says how long it is
    usual = {key: value for key, value in plan.fields.items() if key != "seconds"}
    length = {} if own else {"seconds": scene.seconds}
    words = fields.pop("prompt", scene.prompt)
    making = make(model.request(words, seed=asked.index, **(usual | length | fields)), model)
    video = np.concatenate(list(making.frames))
    audio = run.mono(making.audio, making.shape.audio.rate)
    figures = condition.figures(scene, Made(video, audio))
    folder.mkdir(parents=True, exist_ok=True)
    media.write(Clip(video=video, audio=audio, fps=making.shape.fps, rate=RATE), folder / f"{stem}.mp4")
    (folder / f"{stem}.txt").write_text(words + "\n", encoding="utf-8")
    file.write_text(json.dumps({"key": key, "figures": figures}) + "\n", encoding="utf-8")
    return figures
