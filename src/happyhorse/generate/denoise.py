"""USE, third stage: noise becomes the latents of one clip, along the velocity of the denoiser."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from happyhorse.errors import did_you_mean
from happyhorse.flow import samplers, schedules
from happyhorse.flow.guidance import guide
from happyhorse.generate import noise
from happyhorse.generate.condition import Conditions
from happyhorse.generate.load import Model
from happyhorse.values import ClipShape, Latents, Request

STAGE = "base"


def denoise(
    request: Request,
    model: Model,
    shape: ClipShape,
    conditions: Conditions,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Latents:
    """Sample the latents of a clip: video [48, T, Y, X] and audio [S, 64], float32, on the model's device.

    `progress(done, total)` is called after every step; an exception raised in it ends the sampling. The given
    first frame is put back, clean, before every call of the denoiser and at the end. Raises ValueError for an
    unknown sampler, and when the result is not finite.
    """
    if request.sampler not in samplers.SAMPLERS:
        raise ValueError(
            f"no sampler called {request.sampler!r}{did_you_mean(request.sampler, samplers.SAMPLERS)}"
        )
    t, y, x = shape.video.latent
    codec = model.codec
    shapes = {
        "video": (codec.video.config.channels, t, y, x),
        "audio": (shape.audio.steps, codec.audio.config.channels),
    }

    def draw(step: int, modality: str) -> Tensor:
        drawn = noise.draw(shapes[modality], seed=request.seed, stage=STAGE, step=step, modality=modality)
        return drawn[None].to(model.device)

    def project(state: dict[str, Tensor]) -> dict[str, Tensor]:
        if conditions.first is None:
            return state
        return state | {"video": torch.cat([conditions.first, state["video"][:, :, 1:]], 2)}

    extra: dict[str, Any] = {"noise": draw} if request.sampler == "renoise" else {}
    with torch.inference_mode(), model.precision():
        result = samplers.SAMPLERS[request.sampler](
            partial(_velocity, request, model, conditions),
            {name: draw(-1, name) for name in shapes},
            schedules.paired(request.steps, model.facts.get("shifts", {"video": 3.0, "audio": 1.5})),
            project=project,
            progress=lambda step: progress(step.index + 1, step.total),
            **extra,
        )
    if not all(bool(latent.isfinite().all()) for latent in result.values()):
        raise ValueError(
            "the sampler diverged (the latents are not finite); ask for less --guidance or more --steps"
        )
    return Latents(result["video"][0], result["audio"][0])


def _velocity(
    request: Request, model: Model, conditions: Conditions, state: dict[str, Tensor], sigma: dict[str, float]
) -> dict[str, Tensor]:
    """Guided velocities: one pass over two rows, with the prompt and without it (15B spec section 4.2)."""
    rows = 1 if request.guidance == request.audio_guidance == 1 else 2
    video, audio = (state[name].expand(rows, *state[name].shape[1:]) for name in ("video", "audio"))
    given_video = torch.zeros(rows, video.shape[2], dtype=torch.bool, device=video.device)
    given_audio = torch.zeros(rows, audio.shape[1], dtype=torch.bool, device=video.device)
    given_video[:, 0] = conditions.first is not None
    out = model.denoiser(
        video, audio, conditions.ids[:rows], conditions.times[:rows], given_video, given_audio
    )
    weights = (request.guidance, request.audio_guidance)
    return {
        name: guide(v[:1], (weight, v[1:] if rows == 2 else None))
        for name, v, weight in zip(("video", "audio"), out, weights, strict=True)
    }
