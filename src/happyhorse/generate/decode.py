"""USE, fifth stage: latents become pixels and a waveform, piece by piece."""

from collections.abc import Iterator

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Float32, UInt8

from happyhorse.generate.load import Model
from happyhorse.values import ClipShape, Latents


@torch.inference_mode()
def decode_audio(latents: Latents, model: Model, shape: ClipShape) -> Float32[np.ndarray, " N"]:
    """The waveform, float32 mono [N] in [-1, 1], cut to the length of the picture."""
    wave = model.codec.audio.decode(latents.audio[None].float())[0]
    return wave[: shape.audio.samples].cpu().numpy()


def decode_video(latents: Latents, model: Model, shape: ClipShape) -> Iterator[UInt8[np.ndarray, "f H W 3"]]:
    """The frames, uint8 RGB [f, H, W, 3], as they are decoded; together they are exactly the frames of
    `shape`.
    """
    pieces, left = model.codec.video.stream(latents.video[None].float()), shape.video.frames
    while left:
        with torch.inference_mode(), model.precision():  # not around the yield: they would leak to the caller
            piece = next(pieces)[0, :, :left].float()
            pixels = (piece.clamp(-1, 1) * 127.5 + 127.5).round().byte()
        left -= pixels.shape[1]
        yield rearrange(pixels, "c f h w -> f h w c").cpu().numpy()
