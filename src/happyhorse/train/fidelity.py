"""How near generated latents are to real ones: Fréchet distances in a fixed random feature space of sound and picture.

No trained network and no decoder is needed, so it can be measured every few steps of training. Random convolutions see
textures, layout, motion, spectra, their course in time, and which parts of the picture move when which sounds are
loud. With a description of the prompts beside the features the distance is Fréchet's joint distance (DeVries et al.
2019, arXiv 1907.08175): a clip that is good but not what was asked for counts as a bad one.
"""

import math
import zlib
from collections.abc import Sequence
from functools import cache

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from happyhorse.codec.text import split_spoken, words

FILTERS = 16  # random convolutions of each kind
AXES = 32  # of the feature space
PROMPT_AXES = 12  # of the space of prompts


@cache
def _filters(seed: int, *shape: int) -> Tensor:
    """Fixed random weights of unit gain."""
    drawn = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
    return drawn / math.sqrt(math.prod(shape[1:]))


def features(
    video: Float[Tensor, "B C T Y X"], audio: Float[Tensor, "B S Ca"]
) -> Float[Tensor, "B features"]:
    """Statistics of clips of latents, S = 4(T-1)+1 audio steps and T >= 2; the same for any number of clips at once."""
    clips = len(video)
    frames = rearrange(video.float(), "b c t y x -> (b t) c y x")
    seen = F.conv2d(frames, _filters(1, FILTERS, video.shape[1], 3, 3), padding=1).relu()
    seen = rearrange(seen, "(b t) k y x -> b t k y x", b=clips)
    cells = F.adaptive_avg_pool2d(seen.mean(1), 2).flatten(1)
    change = (seen[:, 1:] - seen[:, :-1]).abs().mean((3, 4))  # [B, T-1, k]
    wave = audio.float().transpose(1, 2)
    heard = F.conv1d(wave, _filters(2, FILTERS, audio.shape[2], 5), padding=2).relu()  # [B, k, S]
    course = F.adaptive_avg_pool1d(heard, 4).flatten(1)
    loud = heard[:, :, 1:].unflatten(2, (-1, 4)).mean(3).transpose(1, 2)  # [B, T-1, k]
    loud, moved = ((x - x.mean(1, keepdim=True)) for x in (loud, change))
    together = torch.einsum("btk,btk->bk", loud, moved) / change.shape[1]
    parts = (seen.mean((1, 3, 4)), seen.std((3, 4)).mean(1), seen.mean((3, 4)).std(1), cells, change.mean(1))
    return torch.cat([*parts, heard.mean(2), heard.std(2), course, together], 1)


def describe(captions: Sequence[str]) -> Float[Tensor, "B axes"]:
    """Prompts as points: the sum of a fixed random vector of each different word, spoken lines left out."""
    points = torch.zeros(len(captions), PROMPT_AXES)
    for row, caption in enumerate(captions):
        for word in sorted(set(words(split_spoken(caption)[0]))):
            points[row] += _filters(zlib.crc32(word.encode()), PROMPT_AXES, 1)[:, 0]
    return points


class Yardstick:
    """Distances to a set of real clips, given once as `features` and `describe` [B, features] and [B, axes]."""

    def __init__(self, real: Float[Tensor, "B features"], prompts: Float[Tensor, "B axes"]) -> None:
        self.mean, self.scale = real.mean(0), real.std(0).clamp_min(1e-3)
        self.axes = _filters(3, AXES, real.shape[1]).T
        self.real = self.place(real)
        centred = prompts - prompts.mean(0)
        # as much variance as the features have, so that the prompt and the picture count alike
        self.prompts = centred * (self.real.var(0).sum() / centred.var(0).sum().clamp_min(1e-6)).sqrt()

    def place(self, seen: Float[Tensor, "B features"]) -> Float[Tensor, "B axes"]:
        """Features in units of their spread over the real clips, projected onto few axes."""
        return (seen - self.mean) / self.scale @ self.axes

    def distances(self, seen: Float[Tensor, "B features"]) -> dict[str, float]:
        """`fd` of clips to the real ones, and `fjd` with their prompts: clip i belongs to prompt i."""
        mine = self.place(seen)
        joint = [torch.cat([x, self.prompts], 1) for x in (mine, self.real)]
        return {"fd": frechet(mine, self.real), "fjd": frechet(*joint)}


def frechet(a: Float[Tensor, "m d"], b: Float[Tensor, "n d"]) -> float:
    """Fréchet distance of the Gaussians of two sets of points: |m_a - m_b|^2 + tr(A + B - 2 (A B)^(1/2)).

    The trace of the root is the sum of the roots of the eigenvalues of A^(1/2) B A^(1/2) (Dowson and Landau 1982).
    """
    means = (a.double().mean(0) - b.double().mean(0)).square().sum()
    first, second = torch.cov(a.double().T), torch.cov(b.double().T)
    values, vectors = torch.linalg.eigh(first)
    root = vectors * values.clamp_min(0).sqrt() @ vectors.T
    middle = torch.linalg.eigvalsh(root @ second @ root).clamp_min(0).sqrt().sum()
    return float(means + first.trace() + second.trace() - 2 * middle)


def variety(seen: Float[Tensor, "prompts seeds features"]) -> float:
    """Mean distance between the features of clips of one prompt, over prompts."""
    return float(torch.stack([F.pdist(clips).mean() for clips in seen.float()]).mean())
