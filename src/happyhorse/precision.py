"""In which precision products of matrices are computed: bfloat16 where the processor multiplies it natively."""

from contextlib import AbstractContextManager, nullcontext
from functools import cache
from typing import Any

import torch


@cache
def has_bfloat16(device: str) -> bool:
    """Whether bfloat16 is the fast way on a type of device ("cpu", "cuda").

    A processor without instructions for it (AVX512-BF16 or AMX) takes four times as long as with float32, so this is
    looked up and not assumed; accelerators all have it.
    """
    if device != "cpu":
        return True
    return bool(torch.cpu.get_capabilities().get("avx512_bf16", False))


def mixed(device: str = "cpu", wanted: bool = True) -> AbstractContextManager[Any]:
    """Products of matrices in bfloat16 where that is `wanted` and fast; else float32 throughout."""
    return torch.autocast(device, torch.bfloat16) if wanted and has_bfloat16(device) else nullcontext()
