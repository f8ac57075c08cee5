"""The audio codec of the 15B, the autoencoder of Stable Audio Open 1.0, run on another clock.

The codec was made for 44.1 kHz and has one latent per 2048 samples. The 15B wants one latent per video frame, 25 a
second, so it was trained on sound at 25 * 2048 = 51.2 kHz that the codec takes for 44.1 kHz. What is decoded is
therefore resampled by 441 / 512 to real 44.1 kHz, 1764 samples a latent; without that it would be slow and low (15B
spec section 6.5). Latents are used as they are, without mean or deviation.
"""

from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from happyhorse.codec.published import extra

RATE = 44_100  # Hz of what is decoded
INNER_RATE = 51_200  # Hz of what is encoded
HOP = 2048  # samples a latent at the inner rate
SAMPLES = HOP * RATE // INNER_RATE  # 1764 a latent of what is decoded


class StableAudioCodec(nn.Module):
    """Mono sound [B, N] at 51.2 kHz -> latents [B, S, 64], S = N / 2048 -> stereo sound [B, 2, 1764 S] at 44.1 kHz."""

    def __init__(self, vae: Any) -> None:
        """`vae` is diffusers' `AutoencoderOobleck`."""
        super().__init__()
        self.vae = vae

    @torch.inference_mode()
    def encode(self, wave: Float[Tensor, "B N"], noise: Float[Tensor, "B S C"]) -> Float[Tensor, "B S C"]:
        """A sample of the posterior: mean + deviation * `noise`, float32.

        `noise` is standard normal. Raises ValueError unless N is a positive multiple of 2048.
        """
        if wave.shape[1] == 0 or wave.shape[1] % HOP:
            raise ValueError(f"{wave.shape[1]} samples: this audio codec takes a positive multiple of {HOP}")
        posterior = self.vae.encode(wave.float().unsqueeze(1).expand(-1, 2, -1)).latent_dist
        return (posterior.mean + posterior.std * noise.transpose(1, 2)).transpose(1, 2)

    @torch.inference_mode()
    def decode(self, latents: Float[Tensor, "B S C"]) -> Float[Tensor, "B 2 N"]:
        """Latents [B, S, C] -> stereo [B, 2, 1764 S] at 44.1 kHz, of about [-1, 1], not clamped."""
        wave = self.vae.decode(latents.float().transpose(1, 2)).sample
        return resample(wave, SAMPLES * latents.shape[1])


def resample(wave: Float[Tensor, "*B N"], count: int) -> Float[Tensor, "*B M"]:
    """Resample the whole of `wave` [..., N] to `count` M samples by cutting or padding its spectrum.

    The sound is taken to be periodic, as Fourier's method does; the bin at half the lower rate is shared between both
    of its ends.
    """
    spectrum = torch.fft.rfft(wave)
    bins, shorter = count // 2 + 1, min(count, wave.shape[-1])
    kept = torch.zeros(*wave.shape[:-1], bins, dtype=spectrum.dtype, device=wave.device)
    kept[..., : shorter // 2 + 1] = spectrum[..., : shorter // 2 + 1]
    if shorter % 2 == 0 and count != wave.shape[-1]:
        kept[..., shorter // 2] *= 2.0 if count < wave.shape[-1] else 0.5
    return torch.fft.irfft(kept, n=count) * (count / wave.shape[-1])


def load_stable_audio(folder: str | Path, device: torch.device | str) -> StableAudioCodec:
    """The codec in a folder of diffusers (config.json, diffusion_pytorch_model.safetensors), fp32, without gradients.

    Raises ValueError where the folder or diffusers is missing or damaged.
    """
    with extra("the audio codec", folder):
        from diffusers import AutoencoderOobleck  # pyright: ignore[reportPrivateImportUsage]

        vae: Any = AutoencoderOobleck.from_pretrained(
            folder, torch_dtype=torch.float32, local_files_only=True, low_cpu_mem_usage=False
        )
    if vae.hop_length != HOP or vae.config.audio_channels != 2:
        raise ValueError(
            f"{folder} holds another audio codec than that of Stable Audio Open 1.0; pull it again"
        )
    return StableAudioCodec(vae.to(device).eval().requires_grad_(False))
