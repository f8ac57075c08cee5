"""Layers that wait in host memory and visit the device one after the other, copied while others compute.

A transform of the plain network that changes no number: the weights of a streamed layer are views of one of two
buffers on the device, and the buffer of a layer is filled by a copy stream as soon as the streamed layer two places
before it is done. Host copies are page-locked, so that copying does not wait. On a CPU the same code copies and
waits.
"""

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, cast
from weakref import finalize

import torch
from jaxtyping import UInt8
from torch import Tensor, nn
from torch.utils._python_dispatch import is_traceable_wrapper_subclass

from happyhorse.engine.quantise import Weights, quantise
from happyhorse.model.horse import Horse
from happyhorse.model.layers import Layer

ALIGNMENT = 256  # bytes; kernels read aligned rows
SLOTS = 2


def place(horse: Horse, device: torch.device, *, streamed: int = 0, weights: Weights = "bf16") -> Horse:
    """Put a network on `device`, `streamed` of its layers as visitors only, matrices stored as `weights`; in place.

    `streamed` is 0, or 2 up to all layers; they are spread evenly, so that the residents between them give copies
    time. Afterwards the network can only compute: its state dict is of no use where layers are streamed.
    """
    layers = cast("list[Layer]", list(horse.block.layers))
    assert streamed == 0 or SLOTS <= streamed <= len(layers), streamed
    away = visitors(len(layers), streamed)
    for part in horse.children():
        if part is not horse.block:
            part.to(device)
    waiting = []
    for index, layer in enumerate(layers):
        if index not in away or weights != "bf16":
            quantise(layer.to(device), weights)
        if index in away:
            waiting.append(_take(layer, device))
    if waiting:
        visits = _Visits(waiting, device)
        for position, index in enumerate(away):
            layers[index].register_forward_pre_hook(visits.before(position))
            layers[index].register_forward_hook(visits.after(position))
    return horse


def visitors(layers: int, streamed: int) -> list[int]:
    """Which of `layers` are the `streamed` ones."""
    return [i * layers // streamed for i in range(streamed)]


@dataclass(frozen=True, eq=False)
class _Waiting:
    """The weights of one layer, back to back in host memory, and how to make them again of other such bytes."""

    host: UInt8[Tensor, " bytes"]
    # where each weight belongs: a module's parameters or buffers, a name
    owners: list[tuple[dict[str, Any], str]]
    rebuild: list[Callable[[Iterator[Tensor]], Tensor]]  # each from its parts
    places: list[tuple[int, torch.Size, torch.dtype]]  # start, shape, dtype of each part

    def live_in(self, buffer: UInt8[Tensor, " bytes"]) -> None:
        """Make the weights of the layer views of `buffer`."""
        parts = iter([_view(buffer, *place) for place in self.places])
        for (table, name), rebuild in zip(self.owners, self.rebuild, strict=True):
            table[name] = nn.Parameter(rebuild(parts), requires_grad=False)


def _take(layer: nn.Module, device: torch.device) -> _Waiting:
    """Move the weights of `layer` into host memory; it has none until they `live_in` a buffer."""
    owners, builders, parts, places, size = [], [], [], [], 0
    for module in layer.modules():
        assert not module._buffers, "layers hold parameters only"
        for name, weight in module._parameters.items():
            if weight is None:
                continue
            found, rebuild = _apart(weight.detach())
            for part in found:
                parts.append(part)
                places.append((size, part.shape, part.dtype))
                size += -(-part.nbytes // ALIGNMENT) * ALIGNMENT
            owners.append((module._parameters, name))
            builders.append(rebuild)
            module._parameters[name] = None
    host = torch.empty(size, dtype=torch.uint8)
    if device.type == "cuda":
        _lock(host)
    for part, place in zip(parts, places, strict=True):
        _view(host, *place).copy_(part)
    return _Waiting(host, owners, builders, places)


class _Visits:
    """The two buffers on the device, and which layer is in each."""

    def __init__(self, waiting: list[_Waiting], device: torch.device) -> None:
        size = max(layer.host.numel() for layer in waiting)
        self.waiting, self.buffers = (
            waiting,
            [torch.empty(size, dtype=torch.uint8, device=device) for _ in range(SLOTS)],
        )
        self.inside: list[int | None] = [None] * SLOTS
        self.stream = torch.cuda.Stream(device) if device.type == "cuda" else None
        self.copied: list[Any] = [torch.cuda.Event() if self.stream else None for _ in range(SLOTS)]
        for position, layer in enumerate(waiting):
            layer.live_in(self.buffers[position % SLOTS])

    def before(self, position: int) -> Callable[..., None]:
        """A hook that waits until streamed layer number `position` is on the device."""

        def hook(module: nn.Module, args: Any) -> None:
            slot = position % SLOTS
            if self.inside[slot] != position:  # the first pass, or one after a pass that was broken off
                self._fetch(position)
            if self.stream:
                torch.cuda.current_stream(self.stream.device).wait_event(self.copied[slot])

        return hook

    def after(self, position: int) -> Callable[..., None]:
        """A hook that fetches, once layer number `position` is done, the next one that needs its buffer."""

        def hook(module: nn.Module, args: Any, output: Any) -> None:
            following = position + SLOTS
            following = following if following < len(self.waiting) else position % SLOTS  # of the next pass
            if self.inside[position % SLOTS] != following:
                self._fetch(following)

        return hook

    def _fetch(self, position: int) -> None:
        slot, host = position % SLOTS, self.waiting[position].host
        target = self.buffers[slot][: host.numel()]
        self.inside[slot] = None  # until the copy is on its way: it may be broken off
        if self.stream is None:
            target.copy_(host)
        else:
            self.stream.wait_stream(torch.cuda.current_stream(self.stream.device))  # the last user is done
            with torch.cuda.stream(self.stream):
                target.copy_(host, non_blocking=True)
                self.copied[slot].record()
        self.inside[slot] = position


def _apart(tensor: Tensor) -> tuple[list[Tensor], Callable[[Iterator[Tensor]], Tensor]]:
    """The plain tensors of any shape inside `tensor`, and a function that makes its like of others."""
    if not is_traceable_wrapper_subclass(tensor):
        return [tensor], next
    names, context = tensor.__tensor_flatten__()
    inner = [_apart(getattr(tensor, name)) for name in names]
    kind, size, stride, builders = type(tensor), tensor.size(), tensor.stride(), [build for _, build in inner]

    def rebuild(parts: Iterator[Tensor]) -> Tensor:
        made = {name: build(parts) for name, build in zip(names, builders, strict=True)}
        return kind.__tensor_unflatten__(made, context, size, stride)

    return [part for parts, _ in inner for part in parts], rebuild


def _view(buffer: UInt8[Tensor, " bytes"], start: int, shape: torch.Size, dtype: torch.dtype) -> Tensor:
    """Part of `buffer` as a tensor of `shape` and `dtype`."""
    return buffer[start : start + shape.numel() * dtype.itemsize].view(dtype).view(shape)


def _lock(host: UInt8[Tensor, " bytes"]) -> None:
    """Page-lock memory for as long as it lives. (torch's own `pin_memory` rounds sizes up to a power of two.)

    Where the system refuses, the memory stays as it is: copies are right, only slower.
    """
    runtime = cast(Any, torch.cuda.cudart())
    if int(runtime.cudaHostRegister(host.data_ptr(), host.numel(), 0)) == 0:
        finalize(host.untyped_storage(), runtime.cudaHostUnregister, host.data_ptr())
        return
    with suppress(RuntimeError):  # the refusal is remembered: the next kernel, whichever it is, reports it
        torch.ones(1, device="cuda")
