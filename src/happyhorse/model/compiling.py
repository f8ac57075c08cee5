"""`torch.compile` by layers: what is not a product or attention becomes a few kernels instead of many.

Layers of one kind share what is compiled, so the wait at the first pass is that of three to five layers and not of
forty. Results differ from those of the plain network in the last bits.
"""

from typing import Any, cast

import torch

from happyhorse.model.horse import Horse

SHAPES = 64
"""Kinds of layers times lengths of sequences that may be compiled in one process before torch gives up."""


def compile_layers(horse: Horse, dynamic: bool | None = None) -> Horse:
    """Let each layer of `horse`, and what mixes before it, compile itself when it first runs, in place; hooks stay
    outside.

    `dynamic` is that of `torch.compile`: False makes the fastest code, anew for each length of sequence.
    """
    config = cast(Any, torch)._dynamo.config
    config.recompile_limit = max(config.recompile_limit, SHAPES)
    kinds = (horse.near, horse.moving, horse.layout, horse.scene, horse.together, horse.told)
    mixing = (part for kind in kinds for part in kind.values())
    for part in (*horse.block.layers, *mixing):
        part.forward = torch.compile(part.forward, dynamic=dynamic)
    return horse
