"""Pixels <-> latents: a causal codec of geometry 4x16x16 with 48 channels, the 15B's own.

Latent frame 0 holds pixel frame 0 alone, latent frame t >= 1 holds pixel frames 4t-3 .. 4t. Both directions are a
closed-form linear codec (see `linear`) plus a learnt residual whose last layer starts at zero: the codec is never
worse than linear and improves from there. The encoder's residual sees what the linear code misses, the decoder's sees
the picture that the linear code gives: most of what there is to learn is mending that picture. Nothing looks ahead
in time, so decoding in pieces equals decoding whole.

Inside, time is folded into the batch and convolutions are two-dimensional; time is mixed by pointwise layers over
the present and the two past steps. There is no normalisation over space or time: it would break streaming.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from happyhorse.codec.linear import LinearCodec
from happyhorse.config import Count, Number

STRIDE_T, STRIDE = 4, 16
ENDS = ("encode_out", "decode_out")  # the last layers of both residuals start at zero


@dataclass(frozen=True)
class VideoCodecConfig:
    """Sizes of the residual networks; `channels` C latents, widths at 1/16, 1/8 and 1/4 resolution.

    With `encoder_blocks` 0 the encoder stays linear: then the decoder can go on learning without a new set of latents.
    """

    channels: Count = 48
    width: Count = 192
    encoder_blocks: Number = 3
    decoder_blocks: Number = 2
    mid_width: Count = 96
    mid_blocks: Number = 1
    fine_width: Count = 64
    fine_blocks: Number = 2


class Block(nn.Module):
    """Residual block: 3x3 convolution, causal mix of three time steps, 3x3 convolution that starts at zero."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.mix = nn.Conv2d(3 * width, width, 1)
        self.second = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Tensor, batch: int, past: Tensor | None) -> tuple[Tensor, Tensor]:
        """x [B*T, W, h, w], the two hidden steps [B, 2, W, h, w] before it (None: zeros) -> same, new past."""
        hidden = F.silu(self.first(F.silu(x)))
        steps = rearrange(hidden, "(b t) c h w -> b t c h w", b=batch)
        before = (
            torch.zeros_like(steps[:, :1]).expand(-1, 2, -1, -1, -1) if past is None else past.to(steps.dtype)
        )
        steps = torch.cat([before, steps], 1)
        taps = torch.cat([steps[:, 2:], steps[:, 1:-1], steps[:, :-2]], 2).flatten(0, 1)
        mixed = F.silu(self.mix(taps.contiguous(memory_format=torch.channels_last)))
        return x + self.second(mixed), steps[:, -2:]


class VideoCodec(nn.Module):
    """Video [B, 3, F, H, W] in [-1, 1] <-> latents [B, C, T, H/16, W/16] of mean square about 1."""

    def __init__(self, config: VideoCodecConfig, generator: torch.Generator | None = None) -> None:
        """Weights drawn from `generator` (None: always the same), the ends zero; `linear` must be fitted or loaded."""
        super().__init__()
        c, w, m, f = config.channels, config.width, config.mid_width, config.fine_width
        self.config = config
        patch = 3 * STRIDE_T * STRIDE * STRIDE
        self.linear = LinearCodec(patch, c)
        if config.encoder_blocks:
            self.encode_in = nn.Conv2d(patch, w, 1)
            self.encode_linear = nn.Conv2d(c, w, 1)
            self.encode_blocks = nn.ModuleList(Block(w) for _ in range(config.encoder_blocks))
            self.encode_out = nn.Conv2d(w, c, 1)
        self.decode_in = nn.Conv2d(c, w, 3, padding=1)
        self.coarse = nn.ModuleList(Block(w) for _ in range(config.decoder_blocks))
        self.to_mid = nn.Conv2d(w, STRIDE_T * 4 * m, 1)
        self.mid = nn.ModuleList(Block(m) for _ in range(config.mid_blocks))
        self.to_fine = nn.Conv2d(m, 4 * f, 1)
        self.fine_in = nn.Conv2d(3 * 16, f, 3, padding=1)
        self.fine = nn.ModuleList(Block(f) for _ in range(config.fine_blocks))
        self.decode_out = nn.Conv2d(f, 3 * 16, 3, padding=1)
        self._draw(generator or torch.Generator().manual_seed(0))

    @torch.no_grad()
    def _draw(self, generator: torch.Generator) -> None:
        """Weights that keep unit variance behind a SiLU; what must start at zero does."""
        for name, parameter in self.named_parameters():
            zero = parameter.dim() < 2 or name.endswith("second.weight") or name.split(".")[0] in ENDS
            deviation = 1.7 * parameter[0].numel() ** -0.5
            parameter.zero_() if zero else parameter.normal_(std=deviation, generator=generator)

    def encode(self, video: Float[Tensor, "B 3 F H W"]) -> Float[Tensor, "B C T Y X"]:
        """Video in [-1, 1] -> latents; F must be 4(T-1)+1 and H, W multiples of 16, else ValueError."""
        patches = patchify(video)
        linear = self.linear.encode(patches)
        if not self.config.encoder_blocks:
            return rearrange(linear, "b t y x c -> b c t y x")
        missed = patches - self.linear.decode(linear)
        flat = rearrange(missed, "b t y x p -> (b t) p y x").contiguous(memory_format=torch.channels_last)
        coarse = rearrange(linear, "b t y x c -> (b t) c y x").contiguous(memory_format=torch.channels_last)
        x = self.encode_in(flat) + self.encode_linear(coarse)
        for block in self.encode_blocks:
            x, _ = block(x, video.shape[0], None)
        residual = rearrange(self.encode_out(F.silu(x)), "(b t) c y x -> b c t y x", b=video.shape[0])
        return rearrange(linear, "b t y x c -> b c t y x") + residual.float()

    def decode(self, latents: Float[Tensor, "B C T Y X"]) -> Float[Tensor, "B 3 F H W"]:
        """Latents -> video in about [-1, 1] (not clamped) with F = 4(T-1)+1 frames."""
        return next(self.stream(latents, latents.shape[2]))

    def stream(
        self, latents: Float[Tensor, "B C T Y X"], step: int = 4
    ) -> Iterator[Float[Tensor, "B 3 f H W"]]:
        """Decode `step` latent frames at a time; the pieces joined equal `decode` of the whole."""
        past: dict[str, Tensor] = {}
        for start in range(0, latents.shape[2], step):
            piece = self._decode_piece(latents[:, :, start : start + step], past)
            yield piece[:, :, STRIDE_T - 1 :] if start == 0 else piece

    def _decode_piece(self, latents: Tensor, past: dict[str, Tensor]) -> Tensor:
        """[B, C, t, Y, X] -> [B, 3, 4t, H, W]; `past` holds each block's last two steps and is updated."""
        batch = latents.shape[0]

        def run(name: str, x: Tensor) -> Tensor:
            for i, block in enumerate(getattr(self, name)):
                x, past[f"{name}{i}"] = block(x, batch, past.get(f"{name}{i}"))
            return F.silu(x)

        z = rearrange(latents, "b c t y x -> (b t) c y x").contiguous(memory_format=torch.channels_last)
        x = run("coarse", self.decode_in(z))  # [B*t, W, Y, X]
        x = self.to_mid(x)
        x = rearrange(x, "(b t) (f i j c) y x -> (b t f) c (y i) (x j)", b=batch, f=STRIDE_T, i=2, j=2)
        x = run("mid", x.contiguous(memory_format=torch.channels_last))  # [B*4t, M, 2Y, 2X]
        # [B, 3, 4t, H, W]
        linear = unpatchify(self.linear.decode(rearrange(latents, "b c t y x -> b t y x c")))
        seen = F.pixel_unshuffle(rearrange(linear, "b c t h w -> (b t) c h w"), 4)
        x = F.pixel_shuffle(self.to_fine(x), 2) + self.fine_in(
            seen.contiguous(memory_format=torch.channels_last)
        )
        x = run("fine", x.contiguous(memory_format=torch.channels_last))  # [B*4t, Fi, 4Y, 4X]
        x = F.pixel_shuffle(self.decode_out(x), 4)  # [B*4t, 3, 16Y, 16X]
        return linear + rearrange(x, "(b t) c h w -> b c t h w", b=batch).float()


def patchify(video: Float[Tensor, "B 3 F H W"]) -> Float[Tensor, "B T Y X P"]:
    """Cut video into 4x16x16 patches after repeating frame 0 three times in front. ValueError on a wrong size."""
    frames, height, width = video.shape[2:]
    if frames % STRIDE_T != 1 or height % STRIDE or width % STRIDE:
        raise ValueError(
            f"video of {frames} frames, {width}x{height}: needs 4k+1 frames and multiples of 16 pixels"
        )
    padded = torch.cat([video[:, :, :1].expand(-1, -1, STRIDE_T - 1, -1, -1), video], 2)
    pattern = "b c (t f) (y i) (x j) -> b t y x (c f i j)"
    return rearrange(padded, pattern, f=STRIDE_T, i=STRIDE, j=STRIDE)


def unpatchify(patches: Float[Tensor, "B T Y X P"]) -> Float[Tensor, "B 3 F H W"]:
    """The inverse of cutting, without dropping the three repeated frames: F = 4T."""
    pattern = "b t y x (c f i j) -> b c (t f) (y i) (x j)"
    return rearrange(patches, pattern, c=3, f=STRIDE_T, i=STRIDE, j=STRIDE)
