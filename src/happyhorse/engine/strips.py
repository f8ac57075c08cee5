"""The small video decoder in strips: less memory for more work, and the same picture.

A strip is decoded with so many columns (or rows) beside it that nothing further away can reach it: convolutions are
the only neighbours that pixels have in this decoder, so strips join exactly.
"""

from itertools import pairwise
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from happyhorse.codec.turbo import TurboDecoder

HALO = 16
"""Latent columns on either side that a pixel can depend on: convolutions reach 14.75 in the published decoder."""

SCALE = 16  # pixels across a latent
PIECE = 8  # pixel frames that are given at once where memory is short: a whole window in float32 is 0.7 GB at 1080p


def in_strips(turbo: TurboDecoder, strips: int) -> TurboDecoder:
    """Let `turbo` decode windows in `strips` parts along their longer side, and give PIECE frames at once; in place."""
    if strips == 1:
        return turbo
    turbo.piece = PIECE
    decoder: Any = turbo.decoder
    whole = decoder.forward

    def forward(x: Float[Tensor, "B C t Y X"], first: bool) -> Float[Tensor, "B 3 f H W"]:
        axis = 4 if x.shape[4] >= x.shape[3] else 3
        parts = []
        for start, stop, low, high in cuts(x.shape[axis], strips):
            part = whole(x.narrow(axis, low, high - low), first)
            parts.append(part.narrow(axis, SCALE * (start - low), SCALE * (stop - start)).contiguous())
        return torch.cat(parts, axis)

    decoder.forward = forward
    return turbo


def cuts(size: int, strips: int) -> list[tuple[int, int, int, int]]:
    """(start, stop, low, high) of each strip of `size` columns: what it gives, and what is decoded for that."""
    borders = [size * i // strips for i in range(strips + 1)]
    return [(a, b, max(0, a - HALO), min(size, b + HALO)) for a, b in pairwise(borders) if a < b]


def widest(size: int, strips: int) -> int:
    """Columns of the largest part that is decoded at once."""
    return max(high - low for *_, low, high in cuts(size, strips))
