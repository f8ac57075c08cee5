"""Which kernel computes attention: a choice for speed, made for one network and not for the process.

Names of kernels: "cudnn", "flash", "efficient", "math" are those behind `scaled_dot_product_attention`; "flex" is
FlexAttention, compiled, with the window as a block mask; "fa3" is FlashAttention 3 for Hopper from the Hub's
kernels-community, if the package `kernels` is installed and the kernel can be had. "auto" is what is known to be
fastest on the device.
"""

from collections.abc import Callable
from functools import cache, partial
from typing import Any, cast

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from happyhorse.errors import did_you_mean
from happyhorse.model.attention import Window, attend, grouped
from happyhorse.model.horse import Horse
from happyhorse.model.layers import Layer

_SDPA = {
    "auto": [
        SDPBackend.CUDNN_ATTENTION,
        SDPBackend.FLASH_ATTENTION,
        SDPBackend.EFFICIENT_ATTENTION,
        SDPBackend.MATH,
    ],
    "cudnn": [SDPBackend.CUDNN_ATTENTION],
    "flash": [SDPBackend.FLASH_ATTENTION],
    "efficient": [SDPBackend.EFFICIENT_ATTENTION],
    "math": [SDPBackend.MATH],
}
KERNELS = (*_SDPA, "flex", "fa3")
FA3 = ("kernels-community/flash-attn3", "main")
"""Repository and revision of FlashAttention 3; no commit of it was known when this was written."""

Attend = Callable[..., Tensor]


def use(horse: Horse, kernel: str = "auto") -> Horse:
    """Let `horse` attend with `kernel`, in place. Raises `ValueError` for one that is unknown or cannot be had
    here.
    """
    chosen = choose(kernel)
    for layer in cast("list[Layer]", list(horse.block.layers)):
        layer.attention.attend = chosen
    return horse


def choose(kernel: str) -> Attend:
    """A function with the arguments of `model.attention.attend` that uses `kernel`; raises as `use` does."""
    if kernel in _SDPA:
        return partial(attend, softmax=_sdpa(tuple(_SDPA[kernel])))
    if kernel == "flex":
        return _flex
    if kernel == "fa3":
        return partial(attend, softmax=_fa3())
    raise ValueError(f"no attention kernel called {kernel!r}{did_you_mean(kernel, KERNELS)}")


@cache
def _sdpa(backends: tuple[SDPBackend, ...]) -> Attend:
    def softmax(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
        with sdpa_kernel(list(backends), set_priority=True):
            return grouped(q, k, v, mask)

    return softmax


@cache
def _fa3() -> Attend:
    try:
        from kernels import get_kernel  # pyright: ignore[reportMissingImports]

        flash: Any = get_kernel(FA3[0], revision=FA3[1])
    except Exception as error:
        why = " ".join(str(error).split())[:200]
        raise ValueError(f"FlashAttention 3 cannot be had here ({why}); leave the kernel to auto") from None

    def softmax(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
        if mask is not None:
            return grouped(q, k, v, mask)
        out = flash.flash_attn_func(q, k, v)
        return out[0] if isinstance(out, tuple) else out

    return softmax


def _flex(
    q: Float[Tensor, "B L H K"],
    k: Float[Tensor, "B L G K"],
    v: Float[Tensor, "B L G K"],
    mask: Tensor | None,
    video_tokens: int,
    window: Window | None,
) -> Float[Tensor, "B L H K"]:
    """FlexAttention with heads that share keys, the window being a mask of blocks."""
    if mask is not None:
        return attend(q, k, v, mask, video_tokens, window)
    block_mask = None if window is None else _blocks(q.shape[1], video_tokens, window, q.device)
    run = _compiled("flex_attention") if q.is_cuda else _plain("flex_attention")
    out = run(*(t.transpose(1, 2) for t in (q, k, v)), block_mask=block_mask, enable_gqa=True)
    return out.transpose(1, 2)


@cache
def _blocks(length: int, video_tokens: int, window: Window, device: torch.device) -> Any:
    """Which blocks of keys a block of queries sees, for a sequence [video | audio | text]."""

    def seen(batch: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        near = (query // window.frame_tokens - key // window.frame_tokens).abs() <= window.radius
        return near | (query >= video_tokens) | (key >= video_tokens)

    make = _compiled("create_block_mask") if device.type == "cuda" else _plain("create_block_mask")
    return make(seen, None, None, length, length, device=str(device))


def _plain(name: str) -> Callable[..., Any]:
    from torch.nn.attention import flex_attention

    return getattr(flex_attention, name)


@cache
def _compiled(name: str) -> Callable[..., Any]:
    return torch.compile(_plain(name))
