"""Softmax attention with grouped queries: over the whole sequence, or over nearby frames for video queries."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Bool, Float
from torch import Tensor

LOCAL_RADIUS = 11
"""Frames a local layer sees on either side, in the published 1080p super-resolution model."""

SCORES = 4_000_000
"""Scores that are held at once where they are written out; a sample with more of them a head takes the fused kernel."""


@dataclass(frozen=True)
class Window:
    """Reach of the local layers: a video token in frame i sees video frames i - radius .. i + radius."""

    frame_tokens: int
    """Video tokens per latent frame."""
    radius: int = LOCAL_RADIUS


def attend(
    q: Float[Tensor, "B L H K"],
    k: Float[Tensor, "B L G K"],
    v: Float[Tensor, "B L G K"],
    mask: Bool[Tensor, "B 1 1 L"] | None,
    video_tokens: int,
    window: Window | None,
    softmax: Callable[..., Tensor] | None = None,
) -> Float[Tensor, "B L H K"]:
    """Attention of a whole sequence `[video | audio | text]`, scale 1 / sqrt(K); head j reads key head j G // H.

    Without `window` every token sees every token for which `mask` is true. With it a video token sees the video
    frames within the radius and all audio and text; audio and text tokens see everything, in one softmax each
    (15B spec section 3.5). Frames are contiguous, so the window is a slice of the keys for each frame: exact,
    and no L x L mask ever exists. `softmax` is another kernel for `grouped`.
    """
    softmax = softmax or grouped
    if window is None or video_tokens <= (window.radius + 1) * window.frame_tokens:
        return softmax(q, k, v, mask)
    step, reach = window.frame_tokens, window.radius * window.frame_tokens
    assert video_tokens % step == 0, "video tokens must be whole frames"
    outputs = []
    for start in range(0, video_tokens, step):
        near = slice(max(0, start - reach), min(video_tokens, start + step + reach))
        seen = [torch.cat([t[:, near], t[:, video_tokens:]], 1) for t in (k, v)]
        allowed = None if mask is None else torch.cat([mask[..., near], mask[..., video_tokens:]], -1)
        outputs.append(softmax(q[:, start : start + step], seen[0], seen[1], allowed))
    outputs.append(softmax(q[:, video_tokens:], k, v, mask))
    return torch.cat(outputs, 1)


def grouped(
    q: Float[Tensor, "B Q H K"],
    k: Float[Tensor, "B L G K"],
    v: Float[Tensor, "B L G K"],
    mask: Bool[Tensor, "B 1 1 L"] | None,
) -> Float[Tensor, "B Q H K"]:
    """Softmax attention where the H / G query heads of one key head become extra rows of queries.

    No key is repeated, so every backend of `scaled_dot_product_attention` takes it, with and without mask; on a
    CPU forward and backward are a quarter faster than with `enable_gqa` or repeated keys. Training there is faster
    still with the scores written out, a few samples at a time.
    """
    groups = k.shape[2]
    rows = rearrange(q, "b l (g r) d -> b g (l r) d", g=groups)
    k, v = k.transpose(1, 2), v.transpose(1, 2)
    narrow = q.dtype == torch.bfloat16  # in float32 the fused kernel is as fast, and holds no scores
    if q.device.type == "cpu" and narrow and q.requires_grad and rows.shape[2] * k.shape[2] <= SCORES:
        out = _products(rows, k, v, mask)
    else:
        out = F.scaled_dot_product_attention(rows, k, v, attn_mask=mask)
    return rearrange(out, "b g (l r) d -> b l (g r) d", r=q.shape[2] // groups)


def _products(
    q: Float[Tensor, "B G R K"],
    k: Float[Tensor, "B G L K"],
    v: Float[Tensor, "B G L K"],
    mask: Bool[Tensor, "B 1 1 L"] | None,
) -> Float[Tensor, "B G R K"]:
    """Attention by two matrix products, over as many samples at once as keep their scores within the cache."""
    many = max(1, SCORES // (q.shape[1] * q.shape[2] * k.shape[2]))
    outputs = []
    for first in range(0, len(q), many):
        some = slice(first, first + many)
        scores = torch.matmul(q[some] * q.shape[-1] ** -0.5, k[some].mT)  # [b, G, R, L]
        if mask is not None:
            scores = scores.masked_fill(~mask[some], float("-inf"))
        outputs.append(torch.matmul(scores.softmax(-1), v[some]))
    return torch.cat(outputs)
