"""Matrices of the layers in one byte per number, by torchao: half the memory, nearly the same clip.

Only the four families of block matrices change, and only how they are *stored*: each row keeps one scale, and
products still run in bf16. Adapters, heads, norms and rotary bands stay fp32 (15B spec section 2.1).
"""

from typing import Literal, TypeVar, get_args

from torch import nn

from happyhorse.codec.published import hushed
from happyhorse.model.layers import ModalLinear

Weights = Literal["bf16", "fp8", "int8"]
"""How block matrices are stored; bf16 is as published."""

WEIGHT_BYTES: dict[Weights, int] = {"bf16": 2, "fp8": 1, "int8": 1}
"""Bytes per number of a block matrix; the scales of the rows add less than a thousandth."""

Part = TypeVar("Part", bound=nn.Module)


def quantise(part: Part, weights: Weights) -> Part:
    """Store the block matrices of `part` (a network, or one layer) as `weights`, in place, where they are.

    "fp8" is e4m3 and keeps the published values to about 2.5 % each, "int8" to 0.5 %; "bf16" leaves them. Without
    gradients only. Raises `ValueError` for another kind, and where torchao is not installed.
    """
    if weights not in get_args(Weights):
        raise ValueError(f"weights cannot be stored as {weights!r}; use bf16, fp8 or int8")
    if weights == "bf16":
        return part
    try:
        with hushed():
            from torchao.quantization import Float8WeightOnlyConfig, Int8WeightOnlyConfig, quantize_
    except ImportError:
        raise ValueError(f'{weights} weights need torchao; run: pip install "happyhorse[quant]"') from None
    kind = Int8WeightOnlyConfig() if weights == "int8" else Float8WeightOnlyConfig()
    quantize_(part, kind, filter_fn=lambda module, name: isinstance(module, ModalLinear))
    return part
