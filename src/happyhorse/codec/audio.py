"""Sound <-> latents: 25 latents a second with 64 channels, one per video frame; waveform out at 16 kHz mono.

Encoder: log-mel frames (200 Hz, 80 bands) in groups of eight through the closed-form linear codec plus a learnt
residual that starts at zero. Decoder: the linear inverse plus a residual gives the log-mel back, and a vocoder of
ConvNeXt blocks with an inverse-STFT head (the design of Vocos, arXiv 2306.00814) turns it into samples: each
frame's magnitudes and phases are predicted and overlap-added, without any upsampling layer to ring.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from happyhorse.codec.linear import LinearCodec
from happyhorse.codec.mel import BANDS, HOP, RATE, log_mel
from happyhorse.config import Count, Number
from happyhorse.values import PONY

SAMPLES = RATE // PONY.fps  # 640 samples a latent step: one step for each frame
GROUP = SAMPLES // HOP  # mel frames a latent step
ENDS = ("encode_out", "decode_out")  # the last layers of both residuals start at zero


@dataclass(frozen=True)
class AudioCodecConfig:
    """`channels` C latents; widths and depths of the residuals and of the vocoder; `window` of its inverse STFT."""

    channels: Count = 64
    width: Count = 256
    vocoder_width: Count = 256
    vocoder_blocks: Number = 6
    window: Count = 320


class ConvNext(nn.Module):
    """Depthwise convolution over 7 steps, then a pointwise two-layer perceptron, on a residual path."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv1d(width, width, 7, padding=3, groups=width)
        self.norm = nn.LayerNorm(width)
        self.up = nn.Linear(width, 2 * width)
        self.down = nn.Linear(2 * width, width)

    def forward(self, x: Float[Tensor, "B n W"]) -> Float[Tensor, "B n W"]:
        """[B, n, W] -> [B, n, W]."""
        # as a channels-last image one row high: CPUs have no fast one-dimensional grouped convolution
        row = x.transpose(1, 2).unsqueeze(2)  # [B, W, 1, n]
        weight, bias = self.depthwise.weight.unsqueeze(2), self.depthwise.bias
        mixed = F.conv2d(row, weight, bias, padding=(0, 3), groups=x.shape[2])
        hidden = self.norm(mixed.squeeze(2).transpose(1, 2))
        return x + self.down(F.gelu(self.up(hidden)))


class AudioCodec(nn.Module):
    """Waveform [B, N] in [-1, 1] at 16 kHz <-> latents [B, S, C] with S = N / 640."""

    def __init__(self, config: AudioCodecConfig, generator: torch.Generator | None = None) -> None:
        """Weights drawn from `generator` (None: always the same), the ends zero; `linear` must be fitted or loaded."""
        super().__init__()
        self.config = config
        c, w, v = config.channels, config.width, config.vocoder_width
        self.linear = LinearCodec(GROUP * BANDS, c)
        self.encode_in = nn.Conv1d(GROUP * BANDS, w, 3, padding=1)
        self.encode_out = nn.Conv1d(w, c, 3, padding=1)
        self.decode_in = nn.Conv1d(c, w, 3, padding=1)
        self.decode_out = nn.Conv1d(w, GROUP * BANDS, 3, padding=1)
        self.vocoder_in = nn.Conv1d(BANDS, v, 7, padding=3)
        self.vocoder = nn.ModuleList(ConvNext(v) for _ in range(config.vocoder_blocks))
        self.vocoder_norm = nn.LayerNorm(v)
        self.vocoder_out = nn.Linear(v, config.window + 2)
        self.register_buffer("window", torch.hann_window(config.window), persistent=False)
        self._draw(generator or torch.Generator().manual_seed(0))

    window: Tensor

    @torch.no_grad()
    def _draw(self, generator: torch.Generator) -> None:
        """Uniform in +-1/sqrt(inputs), PyTorch's own range for these layers; what must start at zero does."""
        for name, module in self.named_modules():
            if isinstance(module, nn.Conv1d | nn.Linear):
                zero = name.endswith("down") or name in ENDS
                bound = 0.0 if zero else module.weight[0].numel() ** -0.5
                for parameter in module.parameters():
                    parameter.uniform_(-bound, bound, generator=generator)

    def encode(self, wave: Float[Tensor, "B N"]) -> Float[Tensor, "B S C"]:
        """Waveform -> latents of mean square about 1. Raises ValueError unless N is a positive multiple of 640."""
        if wave.shape[1] == 0 or wave.shape[1] % SAMPLES:
            raise ValueError(
                f"{wave.shape[1]} samples: the audio codec takes a positive multiple of {SAMPLES}"
            )
        return self.encode_mel(log_mel(wave))

    def encode_mel(self, mel: Float[Tensor, "B frames bands"]) -> Float[Tensor, "B S C"]:
        """Log-mel frames [B, 8 S, 80] -> latents [B, S, C]."""
        groups = rearrange(mel, "b (s g) m -> b s (g m)", g=GROUP)
        hidden = F.silu(self.encode_in((groups - self.linear.mean).transpose(1, 2)))
        return self.linear.encode(groups) + self.encode_out(hidden).transpose(1, 2).float()

    def decode_mel(self, latents: Float[Tensor, "B S C"]) -> Float[Tensor, "B frames bands"]:
        """Latents [B, S, C] -> log-mel frames [B, 8 S, 80]."""
        hidden = F.silu(self.decode_in(latents.transpose(1, 2)))
        groups = self.linear.decode(latents) + self.decode_out(hidden).transpose(1, 2).float()
        return rearrange(groups, "b s (g m) -> b (s g) m", g=GROUP)

    def vocode(self, mel: Float[Tensor, "B frames bands"]) -> Float[Tensor, "B N"]:
        """Log-mel frames [B, n, 80] -> waveform [B, 80 n], frame j centred on sample 80 j + 40."""
        x = self.vocoder_in((mel / 4 + 1).transpose(1, 2)).transpose(1, 2)
        for block in self.vocoder:
            x = block(x)
        head = self.vocoder_out(self.vocoder_norm(x)).float()
        bins = self.config.window // 2 + 1
        magnitude = head[..., :bins].clamp(max=6).exp()
        spectrum = torch.polar(magnitude, head[..., bins:])  # [B, n, bins]
        frames = torch.fft.irfft(spectrum, n=self.config.window) * self.window
        total = HOP * (mel.shape[1] - 1) + self.config.window
        overlap = F.fold(frames.transpose(1, 2), (1, total), (1, self.config.window), stride=(1, HOP))[
            :, 0, 0
        ]
        envelope = self.window.square()[None, :, None].expand(1, -1, mel.shape[1])
        weight = F.fold(envelope, (1, total), (1, self.config.window), stride=(1, HOP))[:, 0, 0]
        left = (self.config.window - HOP) // 2
        inside = slice(left, left + HOP * mel.shape[1])
        return overlap[:, inside] / weight[:, inside].clamp_min(1e-3)

    def decode(self, latents: Float[Tensor, "B S C"]) -> Float[Tensor, "B N"]:
        """Latents [B, S, C] -> waveform [B, 640 S] at 16 kHz, clamped to [-1, 1]."""
        return self.vocode(self.decode_mel(latents)).clamp(-1, 1)
