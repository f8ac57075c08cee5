"""Latents of a clip, enlarged as a picture is: decoded, interpolated, encoded at the large size."""

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from happyhorse.codec.video import VideoCodec

FACTOR = 2  # in each direction


def enlarge_pixels(video: Float[Tensor, "B 3 F H W"]) -> Float[Tensor, "B 3 F h w"]:
    """Pictures in [-1, 1], `FACTOR` times as wide and high, by bicubic interpolation."""
    frames = rearrange(video, "b c f h w -> (b f) c h w")
    large = F.interpolate(frames, scale_factor=FACTOR, mode="bicubic").clamp(-1, 1)
    return rearrange(large, "(b f) c h w -> b c f h w", b=len(video))


@torch.no_grad()
def enlarge(codec: VideoCodec, latents: Float[Tensor, "B C T y x"]) -> Float[Tensor, "B C T Y X"]:
    """Latents of the enlarged pictures that `latents` decode to."""
    return codec.encode(enlarge_pixels(codec.decode(latents).float().clamp(-1, 1))).float()
