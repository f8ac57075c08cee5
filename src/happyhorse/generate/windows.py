"""Clips longer than those of the training, made piece by piece.

Every window is a clip of a length that the denoiser knows. Its first OVERLAP latent frames, picture and sound, are
the last ones of the window before, given clean: to the denoiser it is the continuation of a clip. So there is no seam
to hide: latents are not averaged, and one pass of the codec decodes them all.
"""

from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from happyhorse.generate.condition import SETTLE, Conditions, Known
from happyhorse.generate.denoiser import Beside, pad_tokens
from happyhorse.generate.material import OVERLAP
from happyhorse.generate.model import Model
from happyhorse.generate.pony import Tokens
from happyhorse.values import latent_frames


def longest(model: Model, fps: int) -> int | None:
    """Latent frames of the clips that a model was trained on, at `fps` frames/s; None where it does not say."""
    trained = model.facts.get("world")
    return latent_frames(round(trained["seconds"] * fps)) if trained else None


def layout(frames: int, longest: int | None) -> list[range]:
    """The latent frames of each window: as few as do, equally long, each beginning `overlap` before the last ends."""
    if longest is None or frames <= longest:
        return [range(frames)]
    overlap = min(OVERLAP, longest // 3)
    count = -(-(frames - overlap) // (longest - overlap))
    length = -(-(frames + (count - 1) * overlap) // count)
    starts = range(0, count * (length - overlap), length - overlap)
    return [range(start, min(start + length, frames)) for start in starts]


def cut(told: Conditions, known: Known, window: range, model: Model) -> Conditions:
    """What the denoiser is told of one window: captions stand before it, lines are said when they are.

    `known` are the latents of the whole, those of the windows before among them.
    """
    start, stop = window.start, window.stop
    steps = slice(4 * start, 4 * (stop - 1) + 1 if stop < known.video.shape[2] else None)
    video = known.video[:, :, start:stop]
    if start:
        video = torch.cat([_alone(known.video[:, :, : start + 1], model), video[:, :, 1:]], 2)
    here = Known(video, known.audio[:, steps], known.frames[start:stop], known.steps[steps])
    if known.beside is not None:
        here = replace(here, beside=_beside(known.beside, window, steps, model))
    times, ids = told.words.times[0].cpu(), told.words.ids[0].cpu()
    meant = (ids > 0).any(-1) & ((times < 0) | ((times >= start) & (times < stop)))
    shifted = torch.where(times < 0, times, times - start)
    prompt = (ids[meant], shifted[meant])
    padded = pad_tokens([prompt, (ids[:0], times[:0])], ids.shape[-1])
    return Conditions(Tokens(*(tokens.to(model.device) for tokens in padded)), here, told.notes)


def _beside(whole: Beside, window: range, steps: slice, model: Model) -> Beside:
    """What stands beside one window: all of the pictures, and the same part of a clip to edit."""
    if whole.video is None or whole.audio is None:
        return whole
    video = whole.video[:, :, window.start : window.stop]
    if window.start:
        first = _alone(whole.video[:, :, : window.start + 1], model)
        video = torch.cat([first, video[:, :, 1:]], 2)
    return Beside(whole.references, video, whole.audio[:, steps])


def _alone(video: Float[Tensor, "one C t Y X"], model: Model) -> Float[Tensor, "one C one Y X"]:
    """The last pixel frame of latents, coded alone, as the first frame of a clip is."""
    *_, pixels = model.decode_video(video[0, :, -SETTLE:])
    return model.encode_video(pixels[-1:])
