"""Guidance: velocities of several passes become one, and the weights by noise level.

``v = v_c + sum_i (w_i - 1)(v_c - v_i)`` over perturbed passes i: without the text (classifier-free guidance,
Ho and Salimans 2022, arXiv 2207.12598), or with the attention between picture and sound cut (modality
guidance). A weight of 1 adds nothing, so its pass need not be run. Note the convention: some papers write ``c
+ g (c - u)``, where g = w - 1.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

Weight = Callable[[float], float]  # noise level -> weight


def constant(weight: float) -> Weight:
    """The same weight at every level."""
    return lambda sigma: weight


def interval(weight: float, low: float = 0.15, high: float = 0.95) -> Weight:
    """`weight` for levels in (low, high), else 1: guidance near the ends costs diversity and buys nothing.

    Kynkäänniemi et al. 2024, arXiv 2404.07724.
    """
    if not 0 <= low < high <= 1:
        raise ValueError(f"an interval of levels needs 0 <= low < high <= 1, got ({low}, {high})")
    return lambda sigma: weight if low < sigma < high else 1.0


def two_stage(early: float = 5.0, late: float = 2.0, timestep: int = 500) -> Weight:
    """`early` while the integer timestep ``int(1000 s)`` is above `timestep`, else `late`.

    The defaults are those of the picture; the sound keeps 5 throughout (15B spec section 4.2).
    """
    return lambda sigma: early if int(1000 * sigma) > timestep else late


def frame_weights(
    frames: int, early: float = 2.0, late: float = 3.5, switch: int = 13
) -> Float[Tensor, " T"]:
    """Weights per latent frame of guided super-resolution (15B spec section 5): `late` from `switch` on."""
    return torch.where(torch.arange(frames) < switch, early, late)


def guide(
    conditional: Float[Tensor, "*shape"],
    *deltas: tuple[float | Tensor, Float[Tensor, "*shape"] | None],
    rescale: float = 0.0,
) -> Float[Tensor, "*shape"]:
    """Add ``(weight - 1)(conditional - perturbed)`` for every pair ``(weight, perturbed)``.

    A pair of weight 1 is left out, and its velocity may be None. A weight may be a tensor that broadcasts
    against the velocity. `rescale` in [0, 1] moves the result that share of the way to the standard deviation
    that `conditional` has per sample (axis 0), against over-saturation (Lin et al. 2023, arXiv 2305.08891).
    """
    guided = conditional
    for weight, perturbed in deltas:
        if not isinstance(weight, Tensor) and weight == 1:
            continue
        if perturbed is None:
            raise ValueError(
                f"guidance with weight {weight} needs its perturbed pass; run it or set the weight to 1"
            )
        guided = guided + (weight - 1) * (conditional - perturbed)
    if rescale == 0 or guided is conditional:
        return guided
    axes = tuple(range(1, conditional.ndim))
    ratio = conditional.std(axes, keepdim=True) / guided.std(axes, keepdim=True).clamp_min(1e-8)
    return guided * (1 + rescale * (ratio - 1))
