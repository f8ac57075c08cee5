"""USE, third stage: noise becomes the latents of one clip, along the velocity of the denoiser."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from happyhorse.errors import did_you_mean
from happyhorse.flow import samplers
from happyhorse.flow.samplers import Step
from happyhorse.generate import noise, windows
from happyhorse.generate.condition import Conditions, Known
from happyhorse.generate.model import Model
from happyhorse.generate.noise import Draw
from happyhorse.values import ClipShape, Latents, Request

STAGE = "base"
KNOWN = ("video", "audio", "frames", "steps")  # fields of Known that grow window by window


@dataclass(frozen=True, eq=False)
class Pause:
    """Where sampling can go on: `done` steps are done, and `tensors`, of any shape, are all that the others need."""

    done: int
    tensors: Mapping[str, Tensor]


Watch = Callable[[Pause, Callable[[], Latents]], None]
"""Gets, after every step, where to go on, and a function for the latents that are expected at the end."""


def denoise(
    request: Request,
    model: Model,
    shape: ClipShape,
    conditions: Conditions,
    progress: Callable[[int, int], None] = lambda done, total: None,
    draw: Draw | None = None,
    watch: Watch | None = None,
    resume: Pause | None = None,
) -> Latents:
    """Sample the latents of a clip: video [48, T, Y, X] and audio [S, 64], float32, on the model's device.

    A clip longer than those of the training is made in windows, each going on from the one before. `progress(done,
    total)` is called after every step; an exception raised in it ends the sampling. What is given is put back, clean,
    before every call of the denoiser and at the end. `draw` is where noise comes from (None: the seed).
    `watch` gets a `Pause` after every step; sampling that starts from one (`resume`), with everything else the same,
    gives the same latents to the bit. Raises ValueError for an unknown sampler, and when the result is not finite.
    """
    if request.sampler not in samplers.SAMPLERS:
        raise ValueError(
            f"no sampler called {request.sampler!r}{did_you_mean(request.sampler, samplers.SAMPLERS)}"
        )
    known = conditions.known or Known.nothing(shape, model.device)
    draw = draw or noise.of_seed(request.seed)
    layout = windows.layout(shape.video.latent[0], windows.longest(model, shape.fps))
    first = (resume.done - 1) // request.steps if resume else 0
    if resume and first:
        known = replace(known, **{field: resume.tensors[f"known {field}"] for field in KNOWN})
    for number, window in enumerate(layout[first:], first):
        stage = f"{STAGE}/{number}" if number else STAGE
        told = conditions if len(layout) == 1 else windows.cut(conditions, known, window, model)
        here, before = told.known or known, number * request.steps

        def report(step: Step, known: Known = known, window: range = window, before: int = before) -> None:
            if watch:
                given = {f"known {field}": getattr(known, field) for field in KNOWN} if before else {}
                watch(
                    Pause(before + step.index + 1, step.state | given), lambda: _expected(known, window, step)
                )
            progress(before + step.index + 1, len(layout) * step.total)

        pause = None
        if resume and number == first:
            state = {name: tensor for name, tensor in resume.tensors.items() if not name.startswith("known ")}
            pause = Pause(resume.done - before, state)
        made = _sample(request, model, told.words, here, partial(draw, stage=stage), report, pause)
        known = known.filled(window, made)
    return Latents(known.video[0], known.audio[0])


def _sample(
    request: Request,
    model: Model,
    words: Any,
    known: Known,
    draw: Callable[..., Tensor],
    progress: Callable[[Step], None],
    resume: Pause | None,
) -> dict[str, Tensor]:
    """Latents of one window, with a batch axis, from the noise that `draw` gives it, or from a pause."""
    shapes = {"video": known.video.shape[1:], "audio": known.audio.shape[1:]}

    def fresh(step: int, modality: str) -> Tensor:
        return draw(shapes[modality], step=step, modality=modality)[None].to(model.device)

    extra: dict[str, Any] = {"noise": fresh} if request.sampler == "renoise" else {}
    with torch.inference_mode(), model.sampling(request, words, known) as velocity:
        result = samplers.SAMPLERS[request.sampler](
            velocity,
            dict(resume.tensors) if resume else {name: fresh(-1, name) for name in shapes},
            model.schedules(request),
            project=known.put_back,
            progress=progress,
            start=resume.done if resume else 0,
            **extra,
        )
    if not all(bool(latent.isfinite().all()) for latent in result.values()):
        raise ValueError(
            "the sampler diverged (the latents are not finite); ask for less --guidance or more --steps"
        )
    return result


def _expected(known: Known, window: range, step: Step) -> Latents:
    """The clip as it is expected during a step of a window: what is known, what was made, what is guessed."""
    guess = known.filled(window, {name: step.clean[name] for name in ("video", "audio")})
    return Latents(guess.video[0], guess.audio[0])
