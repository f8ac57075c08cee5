"""Where training computes, and what it needs in several processes: joining them, sharding a module, sums and states."""

import os
from collections.abc import Sequence
from typing import Any, Literal, TypeVar

import torch
import torch.distributed as dist
from jaxtyping import Float
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor

SMALL = 1_000_000_000  # bytes of a module below which every process has all of it
LARGE = 4_000_000_000  # bytes of a module of which little is kept from the forward to the backward pass
Device = Literal["auto", "cpu", "cuda"]
State = TypeVar("State")
Row = TypeVar("Row")


def device(asked: Device = "auto") -> torch.device:
    """Where this process computes: "auto" is its GPU where there is one, else the CPU.

    Of several processes of a machine each has the GPU with its own number. Raises ValueError where "cuda" is asked for
    and there is no GPU, and where there are fewer of them than processes.
    """
    if asked == "cpu" or (asked == "auto" and not torch.cuda.is_available()):
        return torch.device("cpu")
    number, count = int(os.environ.get("LOCAL_RANK", "0")), torch.cuda.device_count()
    if number >= count:
        raise ValueError(
            f"process {number + 1} of this machine finds {count} GPUs that torch can use: start as many processes as "
            'there are GPUs, or train on the CPU with loop.device = "cpu"'
        )
    return torch.device("cuda", number)


def place(module: nn.Module, asked: Device = "auto") -> None:
    """Move a module to the `device` of this process; one that is sharded is there already."""
    chosen = device(asked)
    if chosen.type == "cuda":
        torch.cuda.set_device(chosen)  # what a library makes without being told where belongs there, too
    if not isinstance(module, FSDPModule):
        module.to(chosen)


def where(module: nn.Module) -> torch.device:
    """The device that a module computes on."""
    return next(module.parameters()).device


def moved(state: State, to: torch.device | str) -> State:
    """The state (a tensor of any shape, or dicts, lists and tuples of them) with every tensor on a device."""
    if isinstance(state, Tensor):
        return state.to(to)  # type: ignore[return-value]
    if isinstance(state, dict):
        return {key: moved(value, to) for key, value in state.items()}  # type: ignore[return-value]
    if isinstance(state, list | tuple):
        return type(state)(moved(value, to) for value in state)  # type: ignore[return-value]
    return state


def join() -> tuple[int, int]:
    """Rank and number of ranks; joins the process group if torchrun started us.

    Where there are GPUs the group has two backends: tensors of a GPU go over NCCL, plain values and those of the CPU
    over Gloo.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return 0, 1
    if not dist.is_initialized():
        dist.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo")
    return dist.get_rank(), dist.get_world_size()


def shard(module: nn.Module) -> None:
    """Shard a module that names its `shard_units` over the ranks, if there are several; `lighten` a large one.

    A small one is left whole in every process: gradients are then averaged once a step, where shards are exchanged
    layer by layer. It stays on its device. One that is sharded already, and may have been used since, has its
    parameters sharded again.
    """
    if isinstance(module, FSDPModule):
        for unit in module.modules():
            if isinstance(unit, FSDPModule):
                unit.reshard()  # after a forward pass they are whole, and an optimiser would be given the copies
        return
    size = sum(p.numel() * p.element_size() for p in module.parameters())
    large = size > LARGE
    if large and hasattr(module, "lighten"):
        module.lighten()  # type: ignore[operator]
    ranks = join()[1]
    if ranks == 1 or size < SMALL or not hasattr(module, "shard_units"):
        return
    mesh = init_device_mesh(where(module).type, (ranks,))
    for layer in module.shard_units():  # type: ignore[operator]
        fully_shard(layer, mesh=mesh, reshard_after_forward=large)
    fully_shard(module, mesh=mesh, reshard_after_forward=False)


def exchange(module: nn.Module, ranks: int) -> None:
    """Average the gradients over the ranks; those of sharded parameters were averaged in the backward pass."""
    if ranks > 1:
        copied = [p.grad for p in module.parameters() if p.grad is not None and not isinstance(p, DTensor)]
        total(copied)
        for gradient in copied:
            gradient /= ranks


def total(tensors: list[Tensor]) -> None:
    """Replace each tensor, of any shape, by its sum over the ranks, all in one exchange."""
    if not tensors:
        return
    flat = torch.cat([tensor.flatten() for tensor in tensors])
    dist.all_reduce(flat)
    for tensor, piece in zip(tensors, flat.split([tensor.numel() for tensor in tensors]), strict=True):
        tensor.copy_(piece.view_as(tensor))


def share(rows: Sequence[Row]) -> list[Row]:
    """This rank's part of some rows: as many in every rank, so that all make the same passes; the last may be twice."""
    rank, ranks = join()
    each = -(-len(rows) // ranks)
    return [rows[min(i * ranks + rank, len(rows) - 1)] for i in range(each)]


def united(part: Float[Tensor, " n *shape"], count: int) -> Float[Tensor, " count *shape"]:
    """What the ranks made of their parts of `count` rows (see `share`), on the CPU, in the order of the rows."""
    ranks = join()[1]
    if ranks == 1:
        return part[:count]
    every = [torch.empty_like(part) for _ in range(ranks)]
    dist.all_gather(every, part.contiguous())
    return torch.stack(every, 1).flatten(0, 1)[:count]


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
    flag = torch.tensor(float(asked))
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
