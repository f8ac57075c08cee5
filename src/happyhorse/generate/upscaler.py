"""The small model's super-resolution: clips twice as wide and high.

The decoded clip, enlarged by interpolation and encoded at the large size, is a blurred version of what is wanted. A
least-squares linear map of each of its latents and their neighbours makes the *guess*; it is corrupted, and a small
denoiser with windows in space and time takes it from there along the straight path to the latents of the sharp picture.
Latents that are interpolated themselves would be a poor start: a latent is a code of 16 x 16 pixels, and what was
detail within one becomes differences between four (see docs/adr).

The denoiser is shown the guess beside the state, and adds to a multiple of their difference: on the path from the
corrupted guess the velocity is ``(x - x0) / s``, so a network that says how noisy a frame is and what the guess lacks
need not carry the noise itself through its layers.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Bool, Float
from torch import Tensor, nn

from happyhorse import checkpoint, config
from happyhorse.config import Count, Number
from happyhorse.model.horse import Horse, initialise
from happyhorse.model.layers import Layer
from happyhorse.model.presets import HorseConfig
from happyhorse.model.tiles import Tiles, attend_tiles
from happyhorse.model.tokens import Grid, coordinates, patchify, unpatchify

UNUSED = 8  # width of the inputs for sound and text, which get no tokens


@dataclass(frozen=True)
class UpscalerConfig:
    """Width and layers of the denoiser, and its windows: `radius` latent frames, tiles of `tile` tokens and `reach`."""

    width: Count = 256
    layers: Count = 6
    head_dim: Count = 64
    groups: Count = 2
    channels: Count = 48
    radius: Number = 1
    tile: Count = 4
    reach: Count = 3

    def horse(self) -> HorseConfig:
        """The denoiser: one modality, every layer local."""
        return HorseConfig(
            num_layers=self.layers,
            hidden_size=self.width,
            head_dim=self.head_dim,
            num_query_groups=self.groups,
            video_in_channels=2 * 4 * self.channels,
            audio_in_channels=UNUSED,
            text_in_channels=UNUSED,
            mm_layers=(),
            local_attn_layers=tuple(range(self.layers)),
            gelu7_layers=(),
            given_embedding=True,
            param_dtype="fp32",
        )


class Upscaler(nn.Module):
    """The map of the guess, with its `basis` [C, 9 C] and `mean` [C], and the denoiser."""

    adam_parameters = ("embedder", "final_linear", "given", "norm")
    basis: Tensor
    mean: Tensor

    def __init__(self, settings: UpscalerConfig, seed: int = 0) -> None:
        """Starting weights drawn from `seed`; the guess must be fitted or loaded."""
        super().__init__()
        self.config, c = settings, settings.channels
        self.register_buffer("basis", torch.zeros(c, 9 * c))
        self.register_buffer("mean", torch.zeros(c))
        self.horse = initialise(Horse(settings.horse()), torch.Generator().manual_seed(seed))
        for layer in self.horse.block.layers:
            layer.attention.attend = attend_tiles  # type: ignore[union-attr]

    def guess(self, enlarged: Float[Tensor, "B C T Y X"]) -> Float[Tensor, "B C T Y X"]:
        """The linear estimate of the latents of the sharp picture from those of the enlarged one (`codec.enlarge`)."""
        around = _neighbours(enlarged)  # [B T, 9 C, Y, X]
        estimate = F.conv2d(around, self.basis[:, :, None, None], self.mean)
        return rearrange(estimate, "(b t) c y x -> b c t y x", b=len(enlarged))

    def forward(
        self,
        video: Float[Tensor, "B C T Y X"],
        guess: Float[Tensor, "B C T Y X"],
        given: Bool[Tensor, "B T"],
    ) -> Float[Tensor, "B C T Y X"]:
        """Velocity from the large latents to the corrupted guess; `given` latent frames are clean. fp32."""
        grid, settings = Grid.of(*video.shape[2:]), self.config
        places = coordinates(grid, 0, video.new_zeros(0), "clock", device=video.device)
        nothing = video.new_zeros(len(video), 0, UNUSED)
        velocity, _ = self.horse(
            patchify(torch.cat([video, guess], 1)),
            nothing,
            nothing,
            places,
            given=given.repeat_interleave(grid.frame_tokens, 1),
            window=Tiles.over(grid, settings.radius, settings.tile, settings.reach),
        )
        detail, level = unpatchify(velocity, grid).chunk(2, 1)
        return (1 + level.mean((1, 3, 4), keepdim=True)) * (video - guess) + detail

    @torch.no_grad()
    def fit(
        self,
        pairs: Iterable[tuple[Float[Tensor, "B C T Y X"], Float[Tensor, "B C T Y X"]]],
        ridge: float = 1e-3,
    ) -> float:
        """Set the guess from pairs of enlarged and sharp latents; returns the share of variance it explains.

        `ridge` is added to the mean square of the inputs: neighbours are nearly the same.
        """
        c = self.config.channels
        square, cross = (torch.zeros(9 * c + 1, n).double() for n in (9 * c + 1, c))
        energy, total, count = torch.zeros(()).double(), torch.zeros(c).double(), 0
        for enlarged, sharp in pairs:
            x = rearrange(_neighbours(enlarged.float()), "n k y x -> (n y x) k")
            x = torch.cat([x, torch.ones(len(x), 1)], 1)
            y = rearrange(sharp.float(), "b c t y x -> (b t y x) c")
            square += (x.T @ x).double()
            cross += (x.T @ y).double()
            energy += y.double().square().sum()
            total += y.double().sum(0)
            count += len(x)
        if not count:
            raise ValueError("the guess of super-resolution needs clips: give it some")
        penalty = torch.full((9 * c + 1,), ridge * float(square.diagonal()[:-1].mean())).double()
        penalty[-1] = 0  # the mean is free
        solved = torch.linalg.solve(square + penalty.diag(), cross)
        self.basis.copy_(solved[:-1].T)
        self.mean.copy_(solved[-1])
        left = energy - 2 * (solved * cross).sum() + (solved * (square @ solved)).sum()
        return float(1 - left / (energy - total.square().sum() / count))

    def row_blocks(self, name: str, parameter: Float[Tensor, "out in"]) -> tuple[int, ...]:
        """How the rows of a fused matrix [out, in] of a layer divide: q, k, v and gate."""
        layer = self.horse.block.layers[int(name.split("layers.")[1].split(".")[0])]
        assert isinstance(layer, Layer)
        columns = layer.attention.columns if "linear_qkv" in name else (parameter.shape[0],)
        return tuple(rows for rows in columns if rows)

    def shard_units(self) -> list[nn.Module]:
        """The layers, each a unit of sharded training."""
        return list(self.horse.block.layers)  # type: ignore[arg-type]

    def plain(self) -> dict[str, Any]:
        """The configuration as JSON-ready values."""
        return config.plain(self.config)


def _neighbours(latents: Float[Tensor, "B C T Y X"]) -> Float[Tensor, "n C9 Y X"]:
    """Each latent with the eight around it (at the border: itself again), frames as a batch: [B T, 9 C, Y, X]."""
    frames = rearrange(latents, "b c t y x -> (b t) c y x")
    padded = F.pad(frames, (1, 1, 1, 1), mode="replicate")
    return F.unfold(padded, 3).unflatten(2, frames.shape[2:])


def load_upscaler(path: str | Path) -> tuple[Upscaler, dict[str, Any]]:
    """The model of a checkpoint of kind "upscaler", in evaluation mode, and the checkpoint's facts."""
    part = checkpoint.load(path, "upscaler")
    model = Upscaler(config.build(UpscalerConfig, part.config))
    checkpoint.load_into(model, part.weights, str(path))
    return model.eval().requires_grad_(False), part.facts
