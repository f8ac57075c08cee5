"""The video codec of the 15B, Wan2.2 TI2V-5B VAE: pixels <-> normalised latents, by the module of diffusers.

Geometry 4x16x16 with 48 channels, causal in time: a picture is a video of one frame, and decoding frame by frame equals
decoding whole. diffusers returns latents as the network makes them; the denoiser wants them with mean 0 and deviation 1
per channel, which is done here (15B spec section 6.3).
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from happyhorse.codec.published import extra

# Mean and standard deviation of each latent channel (15B spec section 6.3).
MEAN = (
    -0.2289, -0.0052, -0.1323, -0.2339, -0.2799, 0.0174, 0.1838, 0.1557, -0.1382, 0.0542, 0.2813, 0.0891,
    0.1570, -0.0098, 0.0375, -0.1825, -0.2246, -0.1207, -0.0698, 0.5109, 0.2665, -0.2108, -0.2158, 0.2502,
    -0.2055, -0.0322, 0.1109, 0.1567, -0.0729, 0.0899, -0.2799, -0.1230, -0.0313, -0.1649, 0.0117, 0.0723,
    -0.2839, -0.2083, -0.0520, 0.3748, 0.0152, 0.1957, 0.1433, -0.2944, 0.3573, -0.0548, -0.1681, -0.0667,
)  # fmt: skip
DEVIATION = (
    0.4765, 1.0364, 0.4514, 1.1677, 0.5313, 0.4990, 0.4818, 0.5013, 0.8158, 1.0344, 0.5894, 1.0901,
    0.6885, 0.6165, 0.8454, 0.4978, 0.5759, 0.3523, 0.7135, 0.6804, 0.5833, 1.4146, 0.8986, 0.5659,
    0.7069, 0.5338, 0.4889, 0.4917, 0.4069, 0.4999, 0.6866, 0.4093, 0.5709, 0.6065, 0.6415, 0.4944,
    0.5726, 1.2042, 0.5458, 1.6887, 0.3971, 1.0600, 0.3943, 0.5537, 0.5444, 0.4089, 0.7468, 0.7744,
)  # fmt: skip
PATCH = 2  # pixels across the last step of the decoder


def statistics(like: Tensor) -> tuple[Float[Tensor, "1 C 1 1 1"], Float[Tensor, "1 C 1 1 1"]]:
    """Mean and *reciprocal* deviation [1, C, 1, 1, 1], of the dtype and on the device of a tensor of any shape.

    The reciprocal is rounded before it is used, as in the original: dividing by it and multiplying by the deviation
    differ in the last bits.
    """
    mean, deviation = (torch.tensor(v).to(like).view(1, -1, 1, 1, 1) for v in (MEAN, DEVIATION))
    return mean, 1.0 / deviation


def denormalise(latents: Float[Tensor, "B C T Y X"]) -> Float[Tensor, "B C T Y X"]:
    """Latents of the denoiser [B, C, T, Y, X] as the decoders take them, computed in their own dtype."""
    mean, scale = statistics(latents)
    return latents / scale + mean


def unpatchify(pixels: Float[Tensor, "B P f h w"]) -> Float[Tensor, "B 3 f H W"]:
    """Channels (colour, column, row) of the last layer to pixels, P = 12, H = 2 h: the *second* factor goes to rows."""
    return rearrange(pixels, "b (c q p) f h w -> b c f (h p) (w q)", p=PATCH, q=PATCH)


class WanCodec(nn.Module):
    """Video [B, 3, F, H, W] in [-1, 1] <-> latents [B, 48, T, H/16, W/16] of mean 0 and deviation 1."""

    def __init__(self, vae: Any) -> None:
        """`vae` is diffusers' `AutoencoderKLWan`, which computes in the dtype of its weights."""
        super().__init__()
        self.vae = vae

    @torch.inference_mode()
    def encode(self, video: Float[Tensor, "B 3 F H W"]) -> Float[Tensor, "B C T Y X"]:
        """Video in [-1, 1], F = 4(T-1)+1 frames, to latents in float32: the mean of the posterior."""
        mean, scale = statistics(next(self.vae.parameters()))
        raw = self.vae.encode(video.to(mean)).latent_dist.mode()
        return ((raw - mean) * scale).float()

    @torch.inference_mode()
    def stream(self, latents: Float[Tensor, "B C T Y X"]) -> Iterator[Float[Tensor, "B 3 f H W"]]:
        """Decode one latent frame after the other: 1 pixel frame, then 4 each time, float32 in [-1, 1]."""
        hidden = self.vae.post_quant_conv(denormalise(latents.to(next(self.vae.parameters()))))
        convolutions = sum(
            type(module).__name__ == "WanCausalConv3d" for module in self.vae.decoder.modules()
        )
        past: list[Tensor | None] = [
            None
        ] * convolutions  # what each convolution has seen; the decoder updates it
        for t in range(latents.shape[2]):
            piece = self.vae.decoder(
                hidden[:, :, t : t + 1], feat_cache=past, feat_idx=[0], first_chunk=t == 0
            )
            yield unpatchify(piece).clamp(-1, 1).float()


def load_wan(folder: str | Path, device: torch.device | str, dtype: torch.dtype = torch.bfloat16) -> WanCodec:
    """The codec in a folder of diffusers (config.json, diffusion_pytorch_model.safetensors), without gradients.

    `dtype` bfloat16 is what the original runs. Raises ValueError where the folder or diffusers is missing or damaged.
    """
    with extra("the video codec", folder):
        from diffusers import AutoencoderKLWan  # pyright: ignore[reportPrivateImportUsage]

        vae: Any = AutoencoderKLWan.from_pretrained(
            folder, torch_dtype=dtype, local_files_only=True, low_cpu_mem_usage=False
        )
    if vae.config.patch_size != PATCH or vae.config.z_dim != len(MEAN):
        raise ValueError(f"{folder} holds another video codec than that of Wan2.2 TI2V-5B; pull it again")
    return WanCodec(vae.to(device).eval().requires_grad_(False))
