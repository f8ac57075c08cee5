"""The closed-form part of both codecs: principal components of flattened patches.

A patch vector p is coded as `z = B (p - m) / g` with orthonormal rows B (the leading eigenvectors of the patch
covariance), mean m and gains g. The gains are proportional to the square root of each component's standard
deviation, not to the deviation itself: unit variance would make a flow spend its effort on tiny components, raw
scale would let the largest drown the rest. They are normalised so that the latent has mean square 1.
"""

from collections.abc import Iterable

import torch
from jaxtyping import Float
from torch import Tensor, nn


class LinearCodec(nn.Module):
    """Principal components as buffers: `[..., P]` patch vectors to `[..., C]` latents and back."""

    basis: Tensor
    mean: Tensor
    gain: Tensor

    def __init__(self, features: int, channels: int) -> None:
        """`features` P values a patch, `channels` C latents; call `fit` or load weights before use."""
        super().__init__()
        self.register_buffer("basis", torch.zeros(channels, features))
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("gain", torch.ones(channels))

    def encode(self, patches: Float[Tensor, "... P"]) -> Float[Tensor, "... C"]:
        """Project patch vectors [..., P] to latents [..., C] of mean square about 1."""
        return (patches - self.mean) @ (self.basis / self.gain[:, None]).T

    def decode(self, latents: Float[Tensor, "... C"]) -> Float[Tensor, "... P"]:
        """The least-squares patch vectors [..., P] of latents [..., C]."""
        return latents @ (self.basis * self.gain[:, None]) + self.mean

    @torch.no_grad()
    def fit(self, batches: Iterable[Float[Tensor, "n P"]]) -> float:
        """Set the buffers from patch vectors [n, P]; returns the share of variance kept, in [0, 1]."""
        features = self.mean.numel()
        total, outer, count = torch.zeros(features).double(), torch.zeros(features, features).double(), 0
        for batch in batches:
            total += batch.double().sum(0)
            outer += (batch.T @ batch).double()
            count += batch.shape[0]
        if count < 2:
            raise ValueError("the linear codec needs at least two patches: give it more clips")
        mean = total / count
        values, vectors = torch.linalg.eigh((outer / count - torch.outer(mean, mean)).float())
        kept = values.flip(0)[: self.gain.numel()].clamp_min(1e-8)
        gain = kept.sqrt().sqrt()  # z = c / sqrt(sd)
        gain = gain * (kept / gain.square()).mean().sqrt()
        self.basis.copy_(vectors.flip(1)[:, : self.gain.numel()].T)
        self.mean.copy_(mean.float())
        self.gain.copy_(gain)
        return float(kept.sum() / values.clamp_min(0).sum())
