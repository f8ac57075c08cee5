"""Which noise levels a sampler visits, and the corruption that opens super-resolution.

A schedule is a float32 tensor [N+1] that falls from near 1 to exactly 0; step k goes from entry k to entry
k+1.
"""

from collections.abc import Mapping

import torch
from jaxtyping import Float, Int
from torch import Tensor

from happyhorse.flow import path

START = torch.tensor(0.999, dtype=torch.float32).item()  # the published start is a float32, 0.9990000129


def shifted(steps: int, shift: float = 5.0, start: float = START) -> Float[Tensor, " levels"]:
    """The shifted grid: ``u = linspace(start, 0, N+1)``, ``s = shift u / (1 + (shift - 1) u)``; the last
    entry is 0.

    With the defaults this is the 15B's schedule (15B spec section 4.1). `start` is below 1 because the
    log-ratio of signal to noise, in which UniPC steps, is infinite at 1.
    """
    if steps < 1:
        raise ValueError(f"a schedule needs at least 1 step, got {steps}")
    if not 0 < start <= 1:
        raise ValueError(f"a schedule starts in (0, 1], got {start}; 0.999 is usual")
    u = torch.linspace(start, 0.0, steps + 1, dtype=torch.float64)
    return path.shift(u, shift).float()


def paired(
    steps: int, shifts: Mapping[str, float], start: float = START
) -> dict[str, Float[Tensor, " levels"]]:
    """One shifted grid per modality over a common u: the level pairs that `path.draw_levels` draws."""
    return {name: shifted(steps, amount, start) for name, amount in shifts.items()}


def timesteps(sigmas: Float[Tensor, " levels"]) -> Int[Tensor, " steps"]:
    """Integer timesteps ``int(1000 s)``, truncated, of every step's start (15B spec section 4.1)."""
    return (sigmas[:-1] * 1000).to(torch.int64)


def corruption_table() -> Float[Tensor, " 1000"]:
    """How much of a latent each of 1000 corruption strengths keeps, 0.9996 at index 0 (clean) to exactly 0 at
    999.

    The scaled-linear schedule of Stable Diffusion, ``beta = linspace(sqrt(.00085), sqrt(.012), 1000)^2``, its
    ``sqrt(cumprod(1 - beta))`` stretched to a terminal signal of zero (Lin et al. 2023, arXiv 2305.08891; 15B
    spec section 5). The super-resolution stage uses entry 220 with `path.corrupt`.
    """
    beta = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64).square()
    keep = torch.cumprod(1 - beta, 0).sqrt().float()
    return (keep - keep[-1]) * keep[0] / (keep[0] - keep[-1])
