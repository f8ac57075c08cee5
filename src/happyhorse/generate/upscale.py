"""USE, fourth stage: the latents of a small clip become those of a large one (15B spec section 5).

The small video is enlarged in latent space and corrupted once; a second denoiser takes it from there in few steps. The
sound is only shown to it, half drowned in noise: what is decoded later is the sound of the small clip, untouched. A
first frame is encoded anew at the large size and kept clean.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from happyhorse.flow import path, samplers
from happyhorse.generate.condition import Known, encode
from happyhorse.generate.material import Material
from happyhorse.generate.model import Model, Upscales
from happyhorse.generate.noise import Draw, of_seed
from happyhorse.values import Latents, Request

STAGE = "upscale"
AUDIO_NOISE = 0.7  # share of noise in the sound that the denoiser is shown


def upscale(
    request: Request,
    model: Model,
    material: Material,
    words: Any,
    small: Latents,
    progress: Callable[[int, int], None] = lambda done, total: None,
    draw: Draw | None = None,
) -> Latents:
    """Latents of a clip at the size of `request`: video [48, T, Y, X], and audio [S, 64] as it was.

    `material` is what is given, at the large size, `words` what the model read, `small` the latents that were made;
    `draw` is where noise comes from (None: the seed). `progress(done, total)` is called after every step; an
    exception raised in it ends the sampling. Raises ValueError when the result is not finite.
    """
    assert isinstance(model, Upscales), model.name
    draw = draw or of_seed(request.seed)

    def fresh(modality: str, like: Tensor) -> Tensor:
        return draw(tuple(like.shape[1:]), stage=STAGE, step=-1, modality=modality)[None].to(like)

    known = encode(replace(material, audio=None), model, draw) or Known.nothing(material.part, model.device)
    if bool(known.frames.all()):
        return Latents(known.video[0], small.audio)
    start = model.start(request, small.video[None].float(), material.part.video.latent)
    audio = small.audio[None].float()
    video = path.corrupt(start.enlarged, fresh("video", start.enlarged), start.keep)
    audio = path.interpolate(audio, fresh("audio", audio), AUDIO_NOISE)

    def keep(state: dict[str, Tensor]) -> dict[str, Tensor]:
        return {"video": torch.where(known.frames[:, None, None], known.video, state["video"])}

    with model.refining(request, words, known, start) as refine, torch.inference_mode():
        result = samplers.unipc(
            lambda state, sigma: {"video": refine(state["video"], audio)},
            {"video": video},
            {"video": start.levels},
            project=keep,
            progress=lambda step: progress(step.index + 1, step.total),
        )["video"]
    if not bool(result.isfinite().all()):
        raise ValueError(
            "super-resolution diverged (its latents are not finite); the weights may be damaged: pull them again"
        )
    return Latents(result[0], small.audio)


def enlarge(
    latents: Float[Tensor, "one C T y x"], size: tuple[int, ...], align_corners: bool = True
) -> Float[Tensor, "one C T Y X"]:
    """Latents [1, C, T, y, x] interpolated linearly to `size` (T, Y, X).

    With `align_corners` the outermost latents stay in the corners, as in the original; without, every latent stays in
    the middle of its patch.
    """
    return F.interpolate(latents, size=size, mode="trilinear", align_corners=align_corners)
