"""Objective of the decoder alone: what the model makes is shown as the scene would have looked.

The codec learns from latents of renders, and no sample of a flow is one: its finest components are guessed, and a
decoder that takes them at their word draws every guess. Here the encoder and the linear part stay as they are, so the
latents keep their meaning, and the decoder sees renders that the model has made anew (`resample`) beside exact ones.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from happyhorse import checkpoint
from happyhorse.codec import load_codec
from happyhorse.codec.pixels import as_video
from happyhorse.codec.video import STRIDE, STRIDE_T
from happyhorse.config import Count, Factor, Share
from happyhorse.data.batches import indices, step_generator
from happyhorse.data.shards import Shards
from happyhorse.precision import mixed
from happyhorse.train.codec import edges, moving, psnr
from happyhorse.train.loop import LoopConfig
from happyhorse.train.parallel import where
from happyhorse.train.preview import save_frames
from happyhorse.train.windows import begin

WARM = 2  # latent frames that a block of the decoder looks back


@dataclass(frozen=True)
class DecoderConfig:
    """Crops of `frames` latents of `side` x `side` places, of which the `own` share is of the model's making.

    The others are exact but for `noise`, a standard deviation. To the square of an error its size is added, times
    `absolute`: squares alone leave a little of every guess in plain walls, sizes alone leave out rain. Pixels that move
    count `moving` times more, and steps between neighbouring pixels `edges` times.
    """

    frames: Count = 6
    side: Count = 6
    own: Share = 0.6
    noise: Factor = 0.05
    absolute: Factor = 0.15
    moving: Factor = 4.0
    edges: Factor = 0.05


@dataclass(frozen=True)
class Known:
    """Clips as pixels, as latents, and as latents that the model made anew: three shards of the same clips in order."""

    pixels: Shards
    exact: Shards
    own: Shards

    def __len__(self) -> int:
        return min(len(self.pixels), len(self.exact), len(self.own))


class DecoderObjective:
    """Trains the decoder of the codec at `codec`; judged by PSNR on whole held-out clips, exact and made anew."""

    def __init__(
        self, codec: Path, settings: DecoderConfig, loop: LoopConfig, train: Known, heldout: Known
    ) -> None:
        self.module = load_codec(str(codec)).video
        self.module.adam_parameters = ("decode_out",)  # type: ignore[assignment]
        for name, parameter in self.module.named_parameters():
            parameter.requires_grad_(not name.startswith("encode"))
        self.part = checkpoint.load(codec, "codec")
        self.settings, self.loop, self.known, self.heldout = settings, loop, train, heldout

    def loss(self, step: int, part: int, parts: int) -> tuple[Tensor, dict[str, float]]:
        """Error of pixels, squared and not, and of the steps between neighbours; scalar."""
        generator = step_generator(self.loop.seed, step, part)
        clips = indices(len(self.known), self.loop.batch, self.loop.seed, step)[part::parts]
        crops = [self._crop(clip, generator) for clip in clips]
        here = where(self.module)
        video, latents, counts = (torch.stack(some).to(here) for some in zip(*crops, strict=True))
        with mixed(here.type, self.loop.autocast):
            error = self.module.decode(latents) - video
        weight = counts * (1 + self.settings.moving * moving(video))
        size = error.abs()
        pixels = ((size.square() + self.settings.absolute * size) * weight).sum() / weight.expand_as(
            error
        ).sum()
        return pixels + self.settings.edges * edges(error * counts), {"pixels": float(pixels.detach())}

    def _crop(self, clip: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Pixels [3, F, H, W] in [-1, 1], latents [C, t, y, x], and 1 for frames [1, F, 1, 1] that count, else 0.

        Those do not count that follow on frames which the crop does not have.
        """
        draws = torch.rand(4, generator=generator).tolist()
        own = draws[3] < self.settings.own
        latents = (self.known.own if own else self.known.exact)[clip][0].float()
        limits = (self.settings.frames, self.settings.side, self.settings.side)
        sizes = [min(limit, size) for limit, size in zip(limits, latents.shape[1:], strict=True)]
        room = [whole - size for whole, size in zip(latents.shape[1:], sizes, strict=True)]
        t = begin(draws[0], room[0])
        y, x = (min(free, int(draw * (free + 1))) for free, draw in zip(room[1:], draws[1:3], strict=True))
        (n, rows, columns), s = sizes, STRIDE
        latents = latents[:, t : t + n, y : y + rows, x : x + columns]
        if not own:
            latents = latents + self.settings.noise * torch.randn(latents.shape, generator=generator)
        view, row = self.known.pixels.slice("video", clip)
        first, frames = STRIDE_T * t, STRIDE_T * (n - 1) + 1
        pixels = view[row, first : first + frames, s * y : s * (y + rows), s * x : s * (x + columns)]
        counts = torch.ones(1, frames, 1, 1)
        counts[:, : STRIDE_T * WARM * (t > 0)] = 0
        return as_video(pixels), latents, counts

    @torch.no_grad()
    def evaluate(self) -> dict[str, float]:
        """PSNR in dB over held-out clips: `psnr_exact` of the renders' latents, `psnr_own` of those made anew."""
        found: dict[str, list[float]] = {"psnr_exact": [], "psnr_own": []}
        for i in range(len(self.heldout)):
            pixels = self._pixels(i)
            for name, shards in (("psnr_exact", self.heldout.exact), ("psnr_own", self.heldout.own)):
                found[name].append(psnr(self._shown(shards, i), pixels))
        return {name: sum(values) / len(values) for name, values in found.items()}

    @torch.no_grad()
    def preview(self, folder: Path | None, step: int) -> None:
        """PNG of held-out frames: renders, their latents, and those made anew, below each other."""
        rows = []
        for i in range(min(8, len(self.heldout))):
            rows += [self._pixels(i)[0]]
            rows += [self._shown(shards, i)[0] for shards in (self.heldout.exact, self.heldout.own)]
        if folder is not None:
            save_frames(folder / f"{step:06d}.png", rows)

    def _pixels(self, clip: int) -> Float[Tensor, "1 3 F H W"]:
        return as_video(self.heldout.pixels[clip][0][None])

    def _shown(self, shards: Shards, clip: int) -> Float[Tensor, "1 3 F H W"]:
        here = where(self.module)
        with mixed(here.type, self.loop.autocast):
            return self.module.decode(shards[clip][0][None].float().to(here)).clamp(-1, 1).cpu()

    def release(self, folder: Path, weights: dict[str, Tensor], facts: dict[str, Any]) -> Path:
        """Write `codec.safetensors`: the codec it began with, with this decoder."""
        trained = {f"video.{key}": tensor for key, tensor in weights.items()}
        part = checkpoint.Checkpoint(
            "codec", self.part.config, self.part.weights | trained, self.part.facts | {"decoder": facts}
        )
        return checkpoint.save(folder / "codec.safetensors", part, torch.bfloat16)[0]
