"""What training in several processes needs: joining them, sharding a module, and sums and states over all ranks."""

import os
from typing import Any

import torch
import torch.distributed as dist
from jaxtyping import Float
from torch import Tensor, nn
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor

LARGE = 4_000_000_000  # bytes of a module of which little is kept from the forward to the backward pass


def join() -> tuple[int, int]:
    """Rank and number of ranks; joins the process group if torchrun started us."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return 0, 1
    if not dist.is_initialized():
        dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    return dist.get_rank(), dist.get_world_size()


def shard(module: nn.Module) -> None:
    """Shard a module that names its `shard_units` over the ranks, if there are several; `lighten` a large one.

    One that is sharded already, and may have been used since, has its parameters sharded again.
    """
    if isinstance(module, FSDPModule):
        for unit in module.modules():
            if isinstance(unit, FSDPModule):
                unit.reshard()  # after a forward pass they are whole, and an optimiser would be given the copies
        return
    large = sum(p.numel() * p.element_size() for p in module.parameters()) > LARGE
    if large and hasattr(module, "lighten"):
        module.lighten()  # type: ignore[operator]
    if join()[1] == 1 or not hasattr(module, "shard_units"):
        return
    for layer in module.shard_units():  # type: ignore[operator]
        fully_shard(layer, reshard_after_forward=large)
    fully_shard(module, reshard_after_forward=False)


def exchange(module: nn.Module, ranks: int) -> None:
    """Average the gradients over the ranks; those of sharded parameters were averaged in the backward pass."""
    for parameter in module.parameters() if ranks > 1 else ():
        if parameter.grad is not None and not isinstance(parameter, DTensor):
            dist.all_reduce(parameter.grad)
            parameter.grad /= ranks


def gathered(values: list[dict[str, float]], ranks: int) -> list[dict[str, float]]:
    """The values of the parts of all ranks, in order."""
    if ranks == 1:
        return values
    every: list[Any] = [None] * ranks
    dist.all_gather_object(every, values)
    return [part for group in every for part in group]


def agreed(asked: bool, ranks: int) -> bool:
    """Whether any rank was asked to stop: all have to end after the same step, or the rest wait for ever."""
    if ranks == 1:
        return asked
    flag = torch.tensor(float(asked), device="cuda" if dist.get_backend() == "nccl" else "cpu")
    dist.all_reduce(flag, dist.ReduceOp.MAX)
    return bool(flag)


def local(state: Any) -> Any:
    """The state with every sharded tensor replaced by this rank's part."""
    if isinstance(state, DTensor):
        return state.to_local()
    if isinstance(state, dict):
        return {key: local(value) for key, value in state.items()}
    return [local(value) for value in state] if isinstance(state, list) else state


def whole(tensor: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """The tensor, gathered from all ranks if it is sharded."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor
