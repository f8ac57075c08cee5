"""How much memory distillation takes a device: weights, what is trained of them, and what a backward pass keeps.

Nothing is estimated by hand: the real modules make their forward pass on the meta device, where tensors have sizes and
no contents, and what autograd keeps is added up. What a framework needs besides (fragmentation, communication buffers)
is not in it.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from happyhorse.model.horse import Horse
from happyhorse.model.lowrank import Adapted, LowRank
from happyhorse.model.presets import HorseConfig

STATES = 4 + 4 + 8 + 4  # bytes a trained value: itself, its gradient, two moments of AdamW, its average
GIGA = 1e9


@dataclass(frozen=True)
class Need:
    """Gigabytes a device: its part of the frozen `weights` and of the `adapters` with optimiser and average; two layers
    `gathered` at a time; `activations`. `trained` counts the values of all adapters.
    """

    weights: float
    adapters: float
    gathered: float
    activations: float
    trained: int

    @property
    def total(self) -> float:
        """All of it."""
        return self.weights + self.adapters + self.gathered + self.activations


def distillation(
    settings: HorseConfig, rank: int, adapters: int, tokens: tuple[int, int, int], devices: int
) -> Need:
    """What `adapters` of `rank` on one network take with one clip a device, over `devices` (FSDP2).

    `tokens` are those of video, audio and text. The teacher, and every other role, is the same frozen network, and of
    each layer only the input is kept (`Adapted.lighten`).
    """
    with torch.device("meta"):
        horse = Horse(settings)
        names = [f"a{i}" for i in range(adapters)]
        module = Adapted(horse, names, rank, torch.Generator())
    frozen = sum(p.numel() * p.element_size() for p in module.parameters() if not p.requires_grad)
    trained = sum(p.numel() for p in module.parameters() if p.requires_grad)
    layers = [sum(p.numel() * p.element_size() for p in layer.parameters()) for layer in horse.block.layers]
    return Need(
        weights=frozen / devices / GIGA,
        adapters=trained * STATES / devices / GIGA,
        gathered=2 * max(layers) * (devices > 1) / GIGA,
        activations=_kept(module, tokens) / GIGA,
        trained=trained,
    )


class _Attend(torch.autograd.Function):
    """Attention as fused kernels do it: queries, keys, values and the output are kept, and no matrix of weights."""

    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        out = torch.empty_like(q)
        ctx.save_for_backward(q, k, v, out)
        return out


def _kept(module: Adapted, tokens: tuple[int, int, int]) -> int:
    """Bytes that a forward pass leaves for the backward pass: the input of each layer, and all of one layer."""
    horse = module.model
    assert isinstance(horse, Horse)
    with torch.device("meta"):
        places = torch.empty(1, sum(tokens), 9)
        x = torch.empty(1, sum(tokens), horse.config.hidden_size, requires_grad=True)
    rotation = horse.adapter.rope(places)
    most = 0
    for layer in horse.block.layers:
        layer.attention.attend = lambda q, k, v, *_: _Attend.apply(q, k, v)  # type: ignore[union-attr]
        found: dict[int, Tensor] = {}
        parameters = {id(p) for p in layer.parameters()}

        def keep(tensor: Tensor, found: dict = found, parameters: set = parameters) -> Tensor:
            own = tensor if tensor._base is None else tensor._base  # views share the memory of what they show
            if id(own) not in parameters:
                found[id(own)] = own
            return tensor

        for linear in layer.modules():
            if isinstance(linear, LowRank):
                linear.active = linear.names[0]
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            layer(x, rotation, tokens)
        most = max(most, sum(tensor.numel() * tensor.element_size() for tensor in found.values()))
    return len(horse.block.layers) * x.numel() * x.element_size() + most
