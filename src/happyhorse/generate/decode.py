"""USE, fifth stage: latents become pixels and a waveform, piece by piece."""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float32, UInt8

from happyhorse.generate.model import Model
from happyhorse.values import ClipShape, Latents


def decode_audio(latents: Latents, model: Model, shape: ClipShape) -> Float32[np.ndarray, "N ..."]:
    """The waveform, float32 [N] or [N, 2] in [-1, 1], cut to the length of the picture."""
    return model.decode_audio(latents.audio)[: shape.audio.samples]


def decode_video(latents: Latents, model: Model, shape: ClipShape) -> Iterator[UInt8[np.ndarray, "f H W 3"]]:
    """The frames, uint8 RGB [f, H, W, 3], as they are decoded; together they are exactly the frames of
    `shape`.
    """
    pieces, left = model.decode_video(latents.video), shape.video.frames
    while left:
        piece = next(pieces)[:left]
        left -= len(piece)
        yield piece
