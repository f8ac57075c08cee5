"""Low-rank differences of linear maps (LoRA: Hu et al. 2021, arXiv 2106.09685): weight W becomes W + U D.

D [r, in] and U [out, r] are an *adapter*. One frozen network can carry several adapters, of which a forward pass uses
one or none: the teacher, the student and the critic of a distillation are one network with two adapters, so a second
and a third model cost little memory. On disk an adapter is a small file; `merge` turns it and its base into plain
weights, so that generation knows nothing of ranks.

A modal map (three stacked weights, one for each modality) has an own adapter for each of them: D is [3 r, in].
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from happyhorse.checkpoint import check_fit, shapes
from happyhorse.model.layers import Sizes

DOWN, UP = "down", "up"  # names of D and U in keys: "PATH.down", "PATH.up"


class LowRank(nn.Module):
    """A frozen linear map and its adapters by name; `active` is the one in use, None for the map alone."""

    active: str | None = None

    def __init__(self, base: nn.Linear, names: Sequence[str], rank: int, generator: torch.Generator) -> None:
        """Adapters of `rank` r that change nothing yet: D of variance 1 / in drawn from `generator`, U zero."""
        super().__init__()
        self.base = base.requires_grad_(False)
        self.experts, self.names = getattr(base, "experts", 1), tuple(names)
        out, width = base.weight.shape
        deviation = width**-0.5
        self.down, self.up = nn.ParameterDict(), nn.ParameterDict()
        for name in names:
            drawn = torch.empty(self.experts * rank, width).normal_(0, deviation, generator=generator)
            self.down[name] = nn.Parameter(drawn.to(base.weight.device))
            self.up[name] = nn.Parameter(torch.zeros(out, rank, device=base.weight.device))

    def forward(self, x: Float[Tensor, "B L W"], *sizes: Sizes) -> Float[Tensor, "B L O"]:
        """The map with the adapter in use; `sizes` are those of a modal map."""
        y = self.base(x, *sizes)
        if self.active is None:
            return y
        down, up = self.down[self.active], self.up[self.active]
        x = x.to(down.dtype)
        if self.experts == 1:
            return y + F.linear(F.linear(x, down), up).to(y.dtype)
        parts = zip(x.split(sizes[0], 1), down.chunk(self.experts), up.chunk(self.experts), strict=True)
        return y + torch.cat([F.linear(F.linear(part, d), u) for part, d, u in parts], 1).to(y.dtype)


class Adapted(nn.Module):
    """A model with named adapters on all of its linear maps; its own weights are frozen.

    `paces` are factors on the learning rates of adapters by name, 1 where there is none. Raises ValueError for a rank
    below 1.
    """

    adam_parameters = (f".{DOWN}.", f".{UP}.")
    paces: Mapping[str, float] = MappingProxyType({})

    def __init__(self, model: nn.Module, names: Sequence[str], rank: int, generator: torch.Generator) -> None:
        """Wrap the maps of `model` in place."""
        super().__init__()
        if rank < 1:
            raise ValueError(f"an adapter has a rank of 1 or more, not {rank}")
        self.model, self.rank = model.requires_grad_(False), rank
        linear = [path for path, module in model.named_modules() if isinstance(module, nn.Linear)]
        self.maps: dict[str, LowRank] = {}
        for path in linear:
            parent, _, last = path.rpartition(".")
            self.maps[path] = LowRank(model.get_submodule(path), names, rank, generator)  # type: ignore[arg-type]
            setattr(model.get_submodule(parent), last, self.maps[path])

    def forward(self, *inputs: Tensor, adapter: str | None = None) -> tuple[Tensor, ...]:
        """The model's own forward pass on its `inputs` (of any shape), with one adapter, or as it came."""
        for linear in self.maps.values():
            linear.active = adapter
        return self.model(*inputs)

    def pace(self, name: str) -> float:
        """Factor on the learning rate of the parameter `name`."""
        return self.paces.get(name.rpartition(".")[2], 1.0)

    def shard_units(self) -> list[nn.Module]:
        """Those of the model."""
        return self.model.shard_units()  # type: ignore[operator]

    def lighten(self) -> None:
        """Keep only the input of each layer for the backward pass and compute the layer again there, as it was: large
        networks fit no device otherwise.
        """
        for unit in self.shard_units():
            maps = [module for module in unit.modules() if isinstance(module, LowRank)]
            unit.forward = partial(_again, unit.forward, maps)

    def adapter(self, name: str) -> dict[str, Tensor]:
        """The tensors of an adapter, D [E r, in] and U [E out, r] for each map, under "PATH.down" and "PATH.up"."""
        both = ((f"{path}.{DOWN}", f"{path}.{UP}", linear) for path, linear in self.maps.items())
        return {
            key: tensor
            for down, up, linear in both
            for key, tensor in ((down, linear.down[name]), (up, linear.up[name]))
        }

    @torch.no_grad()
    def load_adapter(self, name: str, weights: Mapping[str, Tensor], source: str = "these weights") -> None:
        """Copy the tensors that `adapter` gave, each [E r, in] or [E out, r], into the adapter `name`.

        Raises ValueError where they are those of another rank or network; `source` says in it where they are from.
        """
        own = self.adapter(name)
        check_fit(shapes(own), shapes(weights), source)
        for key, tensor in own.items():
            tensor.copy_(weights[key])


def _again(forward: Callable[..., Tensor], maps: Sequence[LowRank], *inputs: Any) -> Tensor:
    """A layer whose inside is forgotten; computed again it uses the adapter of now, whatever was in use since."""
    if not torch.is_grad_enabled():
        return forward(*inputs)
    name = maps[0].active

    def run(*inputs: Any) -> Tensor:
        for linear in maps:
            linear.active = name
        return forward(*inputs)

    return checkpoint(run, *inputs, use_reentrant=False)  # type: ignore[return-value]


def names_of(state: Mapping[str, Tensor], adapter: str) -> dict[str, Tensor]:
    """The tensors, [E r, in] and [E out, r], of one adapter in a state dict of `Adapted`, keyed as there."""
    kept = {}
    for key, tensor in state.items():
        path, _, name = key.rpartition(".")
        if name == adapter and path.endswith((f".{DOWN}", f".{UP}")):
            kept[path.removeprefix("model.")] = tensor
    return kept


def merge(weights: Mapping[str, Tensor], adapter: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights [E out, in] by key, with U D added to those that the adapter changes, computed in float32.

    Raises ValueError where the adapter does not fit the weights.
    """
    merged = dict(weights)
    for path in [key.removesuffix(f".{DOWN}") for key in adapter if key.endswith(f".{DOWN}")]:
        key, down, up = f"{path}.weight", adapter[f"{path}.{DOWN}"], adapter.get(f"{path}.{UP}")
        if key not in weights or up is None:
            raise ValueError(
                f"the adapter changes {path}, which these weights do not have; give the weights it was made from"
            )
        rank = up.shape[1]
        blocks = zip(
            up.float().split(up.shape[0] * rank // down.shape[0]), down.float().split(rank), strict=True
        )
        change = torch.cat([u @ d for u, d in blocks])
        if change.shape != weights[key].shape:
            raise ValueError(
                f"the adapter changes {path} of {list(change.shape)}, and these weights have "
                f"{list(weights[key].shape)} there; give the weights it was made from"
            )
        merged[key] = (weights[key].float() + change).to(weights[key].dtype)
    return merged
