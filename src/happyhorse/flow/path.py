"""The straight path between data and noise, the levels that training draws on it, and the loss.

``x_s = (1 - s) x0 + s n``, velocity ``v = n - x0`` (rectified flow: Liu et al. 2022, arXiv 2209.03003; Lipman
et al. 2022, arXiv 2210.02747; 15B spec section 4). A level ``s`` is a number, or a tensor over the leading
axes of ``x``: ``[B]`` gives every sample its own level, ``[B, L]`` every token; a token at level 0 is clean
and thereby a condition.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

EARLY = (
    0.93  # video level above which the prompt decides what there is to see: the noise does not show it yet
)
CLAMP = 1e-3  # training levels stay inside [CLAMP, 1 - CLAMP]: at the ends the target is one of the inputs


Level = float | Float[Tensor, "..."]
"""A noise level in [0, 1]: a number, or a tensor over the leading axes ([B], [B, L]) of its subject."""


def _spread(sigma: Level, like: Tensor) -> Level:
    """Append axes of size 1 until a level over leading axes broadcasts against `like`."""
    if not isinstance(sigma, Tensor):
        return sigma
    assert sigma.ndim <= like.ndim, f"level {tuple(sigma.shape)} on {tuple(like.shape)}"
    return sigma.to(like.dtype).reshape(sigma.shape + (1,) * (like.ndim - sigma.ndim))


def interpolate(
    clean: Float[Tensor, "*shape"], noise: Float[Tensor, "*shape"], sigma: Level
) -> Float[Tensor, "*shape"]:
    """The point ``(1 - sigma) clean + sigma noise``; at a level of exactly 0 it is `clean` bit for bit."""
    level = _spread(sigma, clean)
    return (1 - level) * clean + level * noise


def velocity(clean: Float[Tensor, "*shape"], noise: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """What the denoiser predicts: ``noise - clean``, the derivative of the path by sigma."""
    return noise - clean


def clean_from(
    noisy: Float[Tensor, "*shape"], velocity: Float[Tensor, "*shape"], sigma: Level
) -> Float[Tensor, "*shape"]:
    """The data end of the path through `noisy`: ``x0 = x_s - s v``."""
    return noisy - _spread(sigma, noisy) * velocity


def noise_from(
    noisy: Float[Tensor, "*shape"], velocity: Float[Tensor, "*shape"], sigma: Level
) -> Float[Tensor, "*shape"]:
    """The noise end of the path through `noisy`: ``n = x_s + (1 - s) v``."""
    return noisy + (1 - _spread(sigma, noisy)) * velocity


def renoise(
    noisy: Float[Tensor, "*shape"],
    velocity: Float[Tensor, "*shape"],
    noise: Float[Tensor, "*shape"],
    sigma: Level,
    target: Level,
) -> Float[Tensor, "*shape"]:
    """One step of the distilled sampler: to the data end, then back out to level `target` on a fresh path.

    `noise` must be fresh and Gaussian; with ``target = 0`` the step returns the data end (15B spec section
    4.3).
    """
    return interpolate(clean_from(noisy, velocity, sigma), noise, target)


def corrupt(
    latent: Float[Tensor, "*shape"], noise: Float[Tensor, "*shape"], keep: float
) -> Float[Tensor, "*shape"]:
    """Variance-preserving corruption ``keep latent + sqrt(1 - keep^2) noise`` that opens super-resolution.

    `keep` in [0, 1] comes from `schedules.corruption_table` (15B spec section 5). This is not the flow path:
    a latent of unit variance keeps unit variance.
    """
    if not 0 <= keep <= 1:
        raise ValueError(f"keep = {keep} is outside [0, 1]; take it from schedules.corruption_table()")
    return keep * latent + math.sqrt(1 - keep * keep) * noise


def shift(sigma: Float[Tensor, "*shape"], amount: float) -> Float[Tensor, "*shape"]:
    """Move levels towards noise: ``a s / (1 + (a - 1) s)``, which adds ``ln a`` to the logit.

    Shifts compose: a after b is ab.
    """
    if amount <= 0:
        raise ValueError(f"a shift of {amount} is not positive; 1 leaves the levels where they are")
    return amount * sigma / (1 + (amount - 1) * sigma)


def draw_sigma(
    count: int, amount: float, generator: torch.Generator, uniform: float = 0.1
) -> Float[Tensor, " B"]:
    """Training levels: ``sigmoid(n + ln amount)`` with n standard normal, and for a share `uniform` of
    samples U(0, 1).

    The logit-normal density of SD3 (arXiv 2403.03206) with a shift. The quantiles are stratified over the
    batch, one per interval of width 1/B in random order, which removes most of the variance between batches
    and none of the randomness. Float32 on the generator's device, inside [CLAMP, 1 - CLAMP].
    """
    on = {"generator": generator, "device": generator.device}
    strata = torch.randperm(count, **on)
    quantile = (strata + torch.rand(count, dtype=torch.float64, **on)) / count
    flat = torch.rand(count, **on) < uniform
    # a quantile of exactly 0 is minus infinity, which the sigmoid and the clamp take care of
    bell = torch.sigmoid(torch.special.ndtri(quantile) + math.log(amount))
    return torch.where(flat, quantile, bell).clamp(CLAMP, 1 - CLAMP).float()


@dataclass(frozen=True)
class Mixture:
    """Shares of samples by how the two noise levels relate; in what remains to 1 both share one level."""

    clean_video: float = 0.1  # sound for a given picture
    clean_audio: float = 0.1  # picture for a given sound
    independent: float = 0.1  # any pair of levels
    early: float = 0.0  # one shared level, that of the video evenly from EARLY to 1

    def __post_init__(self) -> None:
        shares = (self.clean_video, self.clean_audio, self.independent, self.early)
        if min(shares) < 0 or sum(shares) > 1:
            raise ValueError(f"shares of a mixture must be >= 0 and sum to at most 1, got {shares}")


def draw_levels(
    count: int,
    amounts: Mapping[str, float],
    generator: torch.Generator,
    mixture: Mixture | None = None,
    uniform: float = 0.1,
) -> dict[str, Float[Tensor, " B"]]:
    """Noise levels of video and audio for a batch; a modality that is given has level exactly 0.

    `amounts` maps "video" and "audio" to their shifts. Shared levels lie on the curve that sampling follows:
    the audio level is the video level shifted by ``amounts["audio"] / amounts["video"]``, that is one common
    u under both shifts.
    """
    mixture = mixture or Mixture()
    ratio = amounts["audio"] / amounts["video"]
    video = draw_sigma(count, amounts["video"], generator, uniform)
    own = draw_sigma(count, amounts["audio"], generator, uniform)
    kind = torch.rand(count, generator=generator, device=generator.device)
    if mixture.early:
        top = EARLY + (1 - EARLY) * torch.rand(count, generator=generator, device=generator.device)
        video = torch.where(kind >= 1 - mixture.early, top.clamp(max=1 - CLAMP), video)
    first, second = mixture.clean_video, mixture.clean_video + mixture.clean_audio
    independent = (kind >= second) & (kind < second + mixture.independent)
    audio = torch.where(independent, own, shift(video, ratio).clamp(CLAMP, 1 - CLAMP))
    return {
        "video": video.masked_fill(kind < first, 0.0),
        "audio": audio.masked_fill((kind >= first) & (kind < second), 0.0),
    }


def token_levels(sigma: Float[Tensor, " B"], given: Bool[Tensor, "B L"]) -> Float[Tensor, "B L"]:
    """Levels per token: the sample's level, and 0 where a token is given (first frame, driving sound)."""
    return sigma[:, None].expand_as(given).masked_fill(given, 0.0)


def loss(
    predicted: Float[Tensor, " B *rest"],
    target: Float[Tensor, " B *rest"],
    noised: Bool[Tensor, "B ..."] | None = None,
) -> Float[Tensor, " B"]:
    """Mean squared error of a velocity per sample, in float32, over the tokens that carried noise.

    `noised` spans the leading axes ([B], [B, L]); clean tokens have nothing to predict and are left out. A
    sample in which everything is clean has loss 0, so divide the batch's sum by the number of samples with
    noise to get its mean.
    """
    squared = (predicted.float() - target.float()).square()
    if noised is None:
        return squared.flatten(1).mean(1)
    weight = (
        noised.to(squared.dtype)
        .reshape(noised.shape + (1,) * (squared.ndim - noised.ndim))
        .expand_as(squared)
    )
    return (squared * weight).flatten(1).sum(1) / weight.flatten(1).sum(1).clamp_min(1.0)


def losses(
    predicted: Mapping[str, Tensor], target: Mapping[str, Tensor], noised: Mapping[str, Tensor]
) -> dict[str, Float[Tensor, " B"]]:
    """`loss` [B] for each modality; the objective is the sum of their batch means, with weight 1 each."""
    return {name: loss(predicted[name], target[name], noised[name]) for name in predicted}
