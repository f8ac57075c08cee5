"""What the channels of the picture's latents are worth.

Latents of our codec are divided by the square root of what a component is worth in pixels (`codec.linear`): with all
channels alike most of the loss goes into details that nobody sees. A weight by channel moves no minimum of the flow's
loss, only what training spends itself on.
"""

from collections.abc import Iterable

import torch
from jaxtyping import Float
from torch import Tensor

MEASURED = 64  # clips by which channels are measured
SEEN = 2.0  # power of the deviation at which an error of latents is that of pixels, up to a factor


@torch.no_grad()
def deviations(clips: Iterable[Float[Tensor, "C T Y X"]]) -> Float[Tensor, " C"]:
    """Standard deviation of each channel over some clips of any sizes."""
    return torch.cat([clip.float().flatten(1) for clip in clips], 1).std(1)


def weights(deviations: Float[Tensor, " C"], power: float) -> Float[Tensor, " C"]:
    """Weights of squared errors by channel, with mean 1: `deviations` to a power, 0 for all alike."""
    found = deviations.pow(power)
    return found / found.mean()
