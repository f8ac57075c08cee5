"""What errors of the picture's latents are worth, by channel and by place.

Latents of our codec are divided by the square root of what a component is worth in pixels (`codec.linear`): with all
channels alike most of the loss goes into details that nobody sees. A weight by channel moves no minimum of the flow's
loss, only what training spends itself on.

What moves is a small part of a picture: lips, a ball, the hand of a clock. With all places alike a model learns walls
first, and lips hardly at all: what phonemes can tell of a talking face is lost in the error of the rest (docs/log.md).
So an error is parted in two, its mean over the clip and what changes over time, and the second counts more where the
clip itself moves. The parting moves no minimum; the weight by place does where one cannot tell yet where the motion
will be, so it fades out towards pure noise.
"""

from typing import Any, Protocol

import torch
from jaxtyping import Bool, Float
from torch import Tensor

MEASURED = 64  # clips by which channels are measured
STILL = 0.05  # change from frame to frame, as a share of the variance of pixels, that half counts as motion
SURE = 0.1  # 1 - level at which motion counts half of what it counts in a clean clip
SEEN = 2.0  # power of the deviation at which an error of latents is that of pixels, up to a factor


class Clips(Protocol):
    """Latents of clips with their sound and records, as shards have them."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> tuple[Float[Tensor, "C T Y X"], Any, Any]: ...


@torch.no_grad()
def deviations(clips: Clips) -> Float[Tensor, " C"]:
    """Standard deviation of each channel of the picture over the first `MEASURED` clips, of any sizes."""
    some = (clips[i][0] for i in range(min(MEASURED, len(clips))))
    return torch.cat([video.float().flatten(1) for video in some], 1).std(1)


def weights(deviations: Float[Tensor, " C"], power: float) -> Float[Tensor, " C"]:
    """Weights of squared errors by channel, with mean 1: `deviations` to a power, 0 for all alike."""
    found = deviations.pow(power)
    return found / found.mean()


@torch.no_grad()
def motion(
    clean: Float[Tensor, "B T C Y X"],
    levels: Float[Tensor, " B"],
    deviations: Float[Tensor, " C"],
    strength: float,
) -> Float[Tensor, "B T 1 Y X"]:
    """Weights of what changes over time in an error, with mean 1 in each clip: up to 1 + `strength` where it moves.

    A place moves by how its latents, as pixels have them, differ from those of the latent frames before and behind.
    """
    step = (clean.diff(dim=1) * deviations[:, None, None]).square().sum(2, keepdim=True)
    nothing = torch.zeros_like(clean[:, :1, :1])
    change = torch.cat([nothing, step], 1) + torch.cat([step, nothing], 1)
    share = change / (change + STILL * deviations.pow(2 * SEEN).sum())
    sure = (1 - levels) / (1 - levels + SURE)
    found = 1 + strength * sure[:, None, None, None, None] * share
    return found / found.mean((1, 2, 3, 4), keepdim=True)


def still_and_moving(
    error: Float[Tensor, "B T C Y X"], learnt: Bool[Tensor, "B T"]
) -> tuple[Float[Tensor, "B T C Y X"], Float[Tensor, "B T C Y X"]]:
    """The mean of an error over the `learnt` latent frames, and the rest; there their squares add up to its own."""
    counted = learnt[:, :, None, None, None].to(error)
    still = (error * counted).sum(1, keepdim=True) / counted.sum(1, keepdim=True).clamp_min(1)
    return still.expand_as(error), error - still
