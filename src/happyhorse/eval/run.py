"""What to measure: clips that a model makes of held-out prompts, and its floors: the same scenes as the world renders
them, and these renders through the codec.

No model can do better than the world it learnt, nor than the codec that shows it. Clips are made and looked at one by
one, in several processes if asked; of each only what was measured is kept, and those of the model as files.
"""

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
import torch
from jaxtyping import Float32, UInt8

from happyhorse import checkpoint, media
from happyhorse.data.source import seed_of
from happyhorse.eval import judge as judges
from happyhorse.eval import recogniser as recognisers
from happyhorse.eval.asks import prompt
from happyhorse.eval.clips import Seen, look
from happyhorse.generate import noise
from happyhorse.generate.installed import find_published
from happyhorse.generate.load import PACKAGED, load, parts_of
from happyhorse.generate.pipeline import make
from happyhorse.values import Clip
from happyhorse.world.scene import RATE, Scene, available, hear, render, sample
from happyhorse.world.speech import resample

Source = Literal["model", "codec", "world"]
Progress = Callable[[str, int, int], None]
Job = TypeVar("Job")
Result = TypeVar("Result")

JUDGE, RECOGNISER = "judge.safetensors", "recogniser.safetensors"
FIRST = 4  # one clip in this many is also given its first frame, where that is asked for


@dataclass(frozen=True)
class Asked:
    """One clip to make: the scene of a held-out `seed`, and the prompt that asks a model for it."""

    index: int
    seed: int
    family: str
    prompt: str


@dataclass(frozen=True)
class Plan:
    """How clips are made: the model by name or path, fields of its requests, and the folder for its clips."""

    model: str
    folder: Path
    fields: dict[str, Any] = field(default_factory=dict)
    first_frames: bool = False


def asks(count: int, seconds: float, families: Sequence[str] | None = None) -> Iterator[Asked]:
    """`count` held-out scenes of `seconds` s, families in turn, each with a prompt in a held-out wording (else in a
    known one).

    Scenes of which no caption names the colours to look for are passed over.
    """
    names = tuple(families or available())
    found = 0
    for index in range(20 * count):
        family = names[found % len(names)]
        seed = seed_of("heldout", index)
        scene = sample(seed, seconds, [family])
        words = prompt(scene, heldout=True) or prompt(scene)
        if words is not None:
            yield Asked(found, seed, family, words)
            found += 1
            if found == count:
                return
    raise ValueError(f"only {found} of {count} scenes have a usable prompt; ask for other families")


def measured(
    plan: Plan, source: Source, asked: Sequence[Asked], workers: int = 1, progress: Progress = lambda *_: None
) -> list[Seen]:
    """What is seen and heard in the clips of one source, in the order of `asked`; `progress(source, done, total)`."""
    jobs: list[tuple[Plan, Source, Asked]] = [(plan, source, one) for one in asked]
    return spread(_look, jobs, workers, lambda done: progress(source, done, len(jobs)))


def spread(
    work: Callable[[Job], Result], jobs: Sequence[Job], workers: int, done: Callable[[int], None]
) -> list[Result]:
    """The results of `work` on each job, in order, in `workers` processes; `done(count)` after each."""
    results = []
    if workers <= 1 or len(jobs) <= 1:
        for job in jobs:
            results.append(work(job))
            done(len(results))
        return results
    # spawn, not fork: torch and espeak-ng keep threads and state that a forked child must not inherit
    with multiprocessing.get_context("spawn").Pool(min(workers, len(jobs)), _alone) as pool:
        for result in pool.imap(work, jobs):
            results.append(result)
            done(len(results))
    return results


def _alone() -> None:
    torch.set_num_threads(1)


def _look(job: tuple[Plan, Source, Asked]) -> Seen:
    plan, source, asked = job
    scene = sample(asked.seed, length(plan), [asked.family])
    first = None
    if plan.first_frames and asked.index % FIRST == 0:
        request = load(plan.model).request("anything", **plan.fields)
        first = render(scene, request.width, request.height, frames=1)[0]
    video, audio = clip(
        plan, source, scene, asked.prompt, asked.index, stem(asked), first if source == "model" else None
    )
    return look(scene, video, audio, judge(), recogniser(), first)


def stem(asked: Asked) -> str:
    """What the files of a clip are called."""
    return f"{asked.index:04d}-{asked.family}"


@lru_cache(maxsize=4)
def weights(model: str) -> tuple[str, ...]:
    """What the weights of a model are known by: figures that are kept are those of these weights, not of a name.

    Hashes of the parts of a small model; names, sizes and times of the files of the 15B, which take minutes to read.
    """
    found = find_published(model)
    if found is None:
        return tuple(checkpoint.sha256(path) for path in parts_of(model).values())
    files = sorted(Path(found[0]).rglob("*.safetensors"))
    return tuple(f"{path} {path.stat().st_size} {path.stat().st_mtime_ns}" for path in files)


def length(plan: Plan) -> float:
    """Seconds of a scene that fills a clip of the model, latents included."""
    model = load(plan.model)
    request = model.request("anything", **plan.fields)
    shape = model.format.shape(request.seconds, request.width, request.height)
    return shape.video.decoded_frames / shape.fps


def clip(
    plan: Plan,
    source: Source,
    scene: Scene,
    words: str,
    seed: int,
    name: str,
    first: UInt8[np.ndarray, "H W 3"] | None = None,
) -> tuple[UInt8[np.ndarray, "F H W 3"], Float32[np.ndarray, " N"]]:
    """Picture [F, H, W, 3] and sound [N] of a scene: made by the model from `words` (and kept as `name`.mp4 in the
    folder's `clips`), rendered, or rendered and through the codec.
    """
    model = load(plan.model)
    standard = model.request("anything", **plan.fields)
    if source == "model":
        lengths = plan.fields | {"seed": seed, "seconds": standard.seconds, "first_frame": first}
        making = make(model.request(words, **lengths), model)
        video = np.concatenate(list(making.frames))
        folder = plan.folder / "clips"
        folder.mkdir(parents=True, exist_ok=True)
        audio = mono(making.audio, making.shape.audio.rate)
        media.write(Clip(video=video, audio=audio, fps=making.shape.fps, rate=RATE), folder / f"{name}.mp4")
        (folder / f"{name}.txt").write_text(words + "\n", encoding="utf-8")
        return video, audio
    shape = model.format.shape(standard.seconds, standard.width, standard.height)
    frames, steps = shape.video.decoded_frames, shape.audio.steps
    video = render(scene, standard.width, standard.height, shape.fps, frames)
    audio = hear(scene, RATE, steps * RATE // shape.fps)
    if source == "codec":
        with torch.inference_mode():
            video = np.concatenate(list(model.decode_video(model.encode_video(video)[0])))
            latents = model.encode_audio(hear(scene, model.hears), steps, noise.of_seed(seed))
            audio = mono(model.decode_audio(latents[0]), model.format.rate)
    return video[: shape.video.frames], audio[: shape.video.frames * RATE // shape.fps]


def mono(sound: np.ndarray, rate: int) -> np.ndarray:
    """float32 [N] at 16 kHz of sound [n] or [n, channels] at `rate` Hz."""
    return resample(sound if sound.ndim == 1 else sound.mean(1), rate, RATE)


@lru_cache(maxsize=1)
def judge() -> judges.Judge:
    """The judge that comes with the package. Raises ValueError, with the remedy, where it is missing."""
    return judges.load(_packaged(JUDGE, "judge"))


@lru_cache(maxsize=1)
def recogniser() -> recognisers.Recogniser:
    """The recogniser that comes with the package. Raises ValueError, with the remedy, where it is missing."""
    return recognisers.load(_packaged(RECOGNISER, "recogniser"))


def _packaged(name: str, what: str) -> Path:
    path = PACKAGED / name
    if not path.is_file():
        raise ValueError(f"there is no {what} at {path}: make one (happyhorse train {what} -o {PACKAGED})")
    return path
