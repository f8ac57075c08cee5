"""A device that is not the CPU, written in Python: what a GPU refuses it refuses, too, so that any machine can tell.

Its tensors hold real values in memory of the CPU, and every operation is that of the CPU. But an operation on tensors
of both devices raises, except where a GPU takes it as well (a single value), and none of them becomes an array or goes
into a file unless it is brought back first. `begin` is for a process of its own: torch takes it for the machine's GPU.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils._python_dispatch import return_and_correct_aliasing
from torch.utils._pytree import tree_flatten, tree_map
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

NAME = "elsewhere"
DEVICE = f"{NAME}:0"
aten = torch.ops.aten
MADE = ("arange", "arange.start", "arange.start_step", "linspace", "eye", "hann_window")
"""Operations that make tensors and set their size last, which no tensor in Python can follow."""
BRIDGES = (aten.copy_.default, aten._to_copy.default)  # what may take tensors of both devices
_library = torch.library.Library("aten", "IMPL")


class Away(Tensor):
    """A tensor of the device; `inner` is what it holds."""

    inner: Tensor

    @staticmethod
    def __new__(cls, inner: Tensor) -> "Away":
        return Tensor._make_wrapper_subclass(
            cls, inner.size(), strides=inner.stride(), storage_offset=inner.storage_offset(), dtype=inner.dtype,
            device=DEVICE,
        )  # fmt: skip

    def __init__(self, inner: Tensor) -> None:
        self.inner = inner

    def __repr__(self) -> str:  # type: ignore[override]
        return f"Away{tuple(self.shape)}"

    def __reduce_ex__(self, protocol: object) -> Any:
        raise RuntimeError("a tensor of another device went into a file: bring it to the CPU")

    @classmethod
    def __torch_function__(cls, func: Callable, types: Sequence, args: Any = (), kwargs: Any = None) -> Any:
        with torch._C.DisableTorchFunctionSubclass():
            if func is F.scaled_dot_product_attention:  # it has kernels for the devices that torch knows
                return _attention(*args, **(kwargs or {}))
            return func(*args, **(kwargs or {}))

    @classmethod
    def __torch_dispatch__(cls, func: Callable, types: Sequence, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        tensors = [x for x in tree_flatten((args, kwargs))[0] if isinstance(x, Tensor)]
        if func not in BRIDGES and any(not isinstance(x, Away) and x.dim() for x in tensors):
            given = [(type(x).__name__, *x.shape) for x in tensors]
            raise RuntimeError(f"{func} got tensors of two devices: {given}")
        target = torch.device(kwargs.pop("device", None) or DEVICE)
        held_args, held_kwargs = tree_map(lambda x: x.inner if isinstance(x, Away) else x, (args, kwargs))
        out = func(*held_args, **held_kwargs)
        if target.type == "cpu":
            return out.clone() if out is held_args[0] else out
        if func is aten.copy_.default and not isinstance(args[0], Away):
            return args[0]
        if func is aten._conj.default:
            # torch marks a tensor as conjugate, and no tensor in Python can be marked
            return Away(out.resolve_conj())
        out = tree_map(lambda x: Away(x) if isinstance(x, Tensor) else x, out)
        return return_and_correct_aliasing(func, args, kwargs, out)


def _attention(q: Tensor, k: Tensor, v: Tensor, attn_mask: Tensor | None = None) -> Tensor:
    scores = q @ k.mT * q.shape[-1] ** -0.5
    if attn_mask is not None:
        scores = scores.masked_fill(~attn_mask, float("-inf"))
    return scores.softmax(-1) @ v


class Backend:
    """What torch asks of a kind of device: there is one of it, and it draws nothing."""

    def __getattr__(self, name: str) -> Callable[..., Any]:
        answers = {
            "device_count": 1, "current_device": 0, "is_available": True, "is_initialized": True,
            "_is_in_bad_fork": False, "get_amp_supported_dtype": [torch.bfloat16], "get_rng_state": torch.zeros(1),
            "set_rng_state": None, "manual_seed_all": None,
        }  # fmt: skip
        if name not in answers:
            raise AttributeError(name)
        return lambda *args: answers[name]


def begin() -> torch.device:
    """Make the device known to torch, in this process and for good."""
    _setup_privateuseone_for_python_backend(NAME, Backend())
    torch.inference_mode = torch.no_grad  # which no tensor in Python can take part in

    def empty(size: Sequence[int], *, dtype: Any = None, memory_format: Any = None, **_: Any) -> Tensor:
        return Away(torch.empty(size, dtype=dtype, memory_format=memory_format or torch.contiguous_format))

    def empty_strided(size: Sequence[int], stride: Sequence[int], *, dtype: Any = None, **_: Any) -> Tensor:
        return Away(torch.empty_strided(size, stride, dtype=dtype))

    def made(name: str) -> Callable[..., Tensor]:
        packet, _, overload = name.partition(".")
        operation = getattr(getattr(aten, packet), overload or "default")
        return lambda *args, device=None, **options: Away(operation(*args, device="cpu", **options))

    def copy_from(source: Tensor, target: Tensor, non_blocking: bool = False) -> Tensor:
        held = [x.inner if isinstance(x, Away) else x for x in (source, target)]
        held[1].copy_(held[0])
        return target

    _library.impl("_copy_from", copy_from, "PrivateUse1")
    for name in MADE:
        _library.impl(name, made(name), "PrivateUse1")
    _library.impl("empty.memory_format", empty, "PrivateUse1")
    _library.impl("empty_strided", empty_strided, "PrivateUse1")
    return torch.device(DEVICE)
