"""Objective of super-resolution: from the corrupted guess at large latents to the large latents, on a straight path.

``x_s = (1 - s) x0 + s c`` with ``c = a guess + sqrt(1 - a^2) n`` (15B spec section 5): both ends of the path belong to
the same clip, so there is less to learn than from noise, and few steps suffice. The small latents are those of renders
with faults, and of renders that the base model has half forgotten and made anew, so that its own faults are known too.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from happyhorse import checkpoint
from happyhorse.codec import Codec
from happyhorse.data.batches import step_generator
from happyhorse.data.shards import Shards
from happyhorse.flow import path, samplers, schedules
from happyhorse.generate.upscaler import FACTOR, Upscaler, UpscalerConfig
from happyhorse.train.loop import LoopConfig
from happyhorse.train.preview import save_frames

FITTED = 64  # clips from which the guess is fitted
LOWER = 0.8  # of the lowest level that the sampler meets; below it nothing is trained
SHOWN = 6  # held-out clips that are enlarged and decoded to be judged


@dataclass(frozen=True)
class UpscaleConfig:
    """How super-resolution learns and samples.

    `corruption` is an entry of the corruption table; `steps` and `shift` of the sampler, the shift also of training
    levels. Crops are `frames` latent frames of `rows` x `columns` small latents; the first frame of a share `first` of
    those that begin with the clip is given; a share `own` of the small clips are of the base model's making.
    """

    corruption: int = 220
    steps: int = 4
    shift: float = 3.0
    frames: int = 5
    rows: int = 6
    columns: int = 7
    first: float = 0.2
    own: float = 0.25

    @property
    def keep(self) -> float:
        """Share a of the guess that is kept."""
        return float(schedules.corruption_table()[self.corruption])


class UpscaleObjective:
    """Trains an `Upscaler` on pairs of small and large latents; judged by pictures, beside bicubic enlargement."""

    def __init__(
        self,
        network: UpscalerConfig,
        settings: UpscaleConfig,
        loop: LoopConfig,
        train: tuple[Shards, Shards, Shards | None],
        heldout: tuple[Shards, Shards],
        codec: Codec,
    ) -> None:
        """`train` are large latents, small ones, and small ones of the base model's making; `heldout` large and small.

        Clip i of each is the same scene. Raises ValueError where sizes differ by another factor than 2.
        """
        self.module = Upscaler(network, loop.seed)
        self.settings, self.loop, self.codec = settings, loop, codec
        self.large, self.small, self.own = train
        self.heldout = heldout
        wide, narrow = self.large[0][0].shape, self.small[0][0].shape
        if wide[2:] != tuple(FACTOR * side for side in narrow[2:]):
            raise ValueError(
                f"latents of {list(wide)} are not twice as large as those of {list(narrow)}: give the same clips, "
                "rendered twice as wide and high"
            )
        self.explained = self.module.fit(self._pairs(min(FITTED, len(self.large))))
        self._compared: tuple[Tensor, Tensor, Tensor] | None = None

    def _pairs(self, count: int) -> Iterator[tuple[Tensor, Tensor]]:
        for i in range(count):
            yield self.small[i][0][None].float(), self.large[i][0][None].float()

    def loss(self, step: int, part: int, parts: int) -> tuple[Tensor, dict[str, float]]:
        """Squared error of the velocity over crops that are not given; scalar."""
        generator = step_generator(self.loop.seed, step, part)
        clips = self.large.batch(self.loop.batch, self.loop.seed, step)[part::parts]
        crops = [self._crop(clip, generator) for clip in clips]
        large, guess = torch.stack([crop[0] for crop in crops]), torch.stack([crop[1] for crop in crops])
        first = torch.tensor([crop[2] for crop in crops])
        given = torch.zeros(len(crops), large.shape[2]).bool()
        given[:, 0] = first & (torch.rand(len(crops), generator=generator) < self.settings.first)
        levels = self._met(path.draw_sigma(len(crops), self.settings.shift, generator))
        error = self._error(large, guess, given, levels, generator)
        return error.mean(), {"video": float(error.mean().detach())}

    def _error(
        self, large: Tensor, guess: Tensor, given: Tensor, levels: Tensor, generator: torch.Generator
    ) -> Tensor:
        """Errors [B] of the velocity at one level [B] a clip."""
        noise = torch.randn(large.shape, generator=generator)
        source = path.corrupt(guess, noise, self.settings.keep)
        x = path.interpolate(large, source, levels)
        x = torch.where(given[:, None, :, None, None], large, x)
        with torch.autocast("cpu", torch.bfloat16, enabled=self.loop.autocast):
            predicted = self.module(x, guess, given)
        target = path.velocity(large, source)
        return path.loss(predicted.transpose(1, 2), target.transpose(1, 2), ~given)

    def _met(self, levels: Tensor) -> Tensor:
        """Levels in [0, 1] brought to those that the sampler meets, from its last one up."""
        last = float(schedules.shifted(self.settings.steps, self.settings.shift)[-2])
        return LOWER * last + (1 - LOWER * last) * levels

    def _crop(self, clip: int, generator: torch.Generator) -> tuple[Tensor, Tensor, bool]:
        """A random crop [C, t, Y, X] of large latents and of the guess at them, and whether it begins with the clip."""
        large = self.large[clip][0].float()
        own = self.own is not None and clip < len(self.own)
        mine = float(torch.rand((), generator=generator)) < self.settings.own
        source = self.own if own and mine else self.small
        assert source is not None
        with torch.no_grad():
            guess = self.module.guess(source[clip][0][None].float())[0]
        settings = self.settings
        sizes = (settings.frames, FACTOR * settings.rows, FACTOR * settings.columns)
        starts = []
        for size, whole, grid in zip(sizes, large.shape[1:], (1, FACTOR, FACTOR), strict=True):
            places = max(0, whole - size) // grid + 1
            starts.append(grid * int(torch.randint(places, (), generator=generator)))
        t, y, x = (slice(start, start + size) for start, size in zip(starts, sizes, strict=True))
        return large[:, t, y, x], guess[:, t, y, x], starts[0] == 0

    @torch.no_grad()
    def evaluate(self) -> dict[str, float]:
        """Held-out error of the velocity over eight levels, and of decoded pictures: PSNR in dB and sharpness.

        The reference are the decoded latents of the large renders; sharpness is the energy of differences between
        neighbouring pixels over the reference's, flicker the same of how much the stillest half of the pixels changes
        from frame to frame; `_bicubic` stands for the decoded small clip, enlarged, and `_guess`
        for the guess without what the denoiser makes of it.
        """
        generator = torch.Generator().manual_seed(1)
        large, small = self.heldout
        count, errors = min(16, len(large)), []
        for first in range(0, count, 4):
            clips = range(first, min(first + 4, count))
            pair = [torch.stack([half[i][0].float() for i in clips]) for half in (large, small)]
            given = torch.zeros(len(pair[0]), pair[0].shape[2]).bool()
            levels = self._met((torch.arange(first, first + len(pair[0])) % 8 + 0.5) / 8)
            errors.append(self._error(pair[0], self.module.guess(pair[1]), given, levels, generator))
        reference, bicubic, guess = self._references()
        made = self._enlarged()
        found = {"video_heldout": float(torch.cat(errors).mean())}
        for name, pictures in (("", made), ("_bicubic", bicubic), ("_guess", guess)):
            found[f"psnr_picture{name}"] = _psnr(pictures, reference)
            found[f"sharpness{name}"] = _sharpness(pictures) / _sharpness(reference)
            found[f"flicker{name}"] = _flicker(pictures) / max(_flicker(reference), 1e-6)
        return found

    def _enlarged(self) -> Float[Tensor, "n 3 F H W"]:
        """Held-out clips as this model enlarges them, decoded."""
        small = self.heldout[1]
        pictures = []
        for i in range(min(SHOWN, len(small))):
            guess = self.module.guess(small[i][0][None].float())
            noise = torch.randn(guess.shape, generator=torch.Generator().manual_seed(i))
            start = path.corrupt(guess, noise, self.settings.keep)
            given = torch.zeros(1, guess.shape[2]).bool()
            with torch.autocast("cpu", torch.bfloat16, enabled=self.loop.autocast):
                made = samplers.unipc(
                    lambda state, sigma, guess=guess, given=given: {
                        "video": self.module(state["video"], guess, given)
                    },
                    {"video": start},
                    {"video": schedules.shifted(self.settings.steps, self.settings.shift)},
                )["video"]
            pictures.append(self.codec.video.decode(made.float()).clamp(-1, 1))
        return torch.cat(pictures)

    def _references(self) -> tuple[Tensor, Tensor, Tensor]:
        """Decoded large latents, decoded small ones enlarged, and decoded guesses; they do not change."""
        if self._compared is None:
            large, small = self.heldout
            clips = range(min(SHOWN, len(large)))
            truth = torch.cat([self.codec.video.decode(large[i][0][None].float()) for i in clips])
            shown = torch.cat([self.codec.video.decode(small[i][0][None].float()) for i in clips])
            frames = rearrange(shown, "b c f h w -> (b f) c h w")
            bicubic = F.interpolate(frames, scale_factor=FACTOR, mode="bicubic")
            enlarged = rearrange(bicubic, "(b f) c h w -> b c f h w", b=len(shown))
            guesses = (self.module.guess(small[i][0][None].float()) for i in clips)
            guess = torch.cat([self.codec.video.decode(latents) for latents in guesses])
            self._compared = truth.clamp(-1, 1), enlarged.clamp(-1, 1), guess.clamp(-1, 1)
        return self._compared

    @torch.no_grad()
    def preview(self, folder: Path | None, step: int) -> None:
        """Rows of frames of held-out clips: bicubic, this model, the render through the codec."""
        reference, bicubic, _ = self._references()
        rows = [row for rows in zip(bicubic, self._enlarged(), reference, strict=True) for row in rows]
        if folder is not None:
            save_frames(folder / f"{step:06d}.png", rows[:9])

    def release(self, folder: Path, weights: dict[str, Tensor], facts: dict[str, Any]) -> Path:
        """Write `upscaler.safetensors` of kind "upscaler" in bfloat16, with what its sampler needs."""
        sampler = {"steps": self.settings.steps, "shift": self.settings.shift}
        facts = facts | {"explained": self.explained, "keep": self.settings.keep, "sampler": sampler}
        part = checkpoint.Checkpoint("upscaler", self.module.plain(), weights, facts)
        return checkpoint.save(folder / "upscaler.safetensors", part, torch.bfloat16)[0]


def _psnr(pictures: Tensor, reference: Tensor) -> float:
    """Peak signal-to-noise ratio in dB of pictures in [-1, 1]."""
    return float(-10 * ((pictures - reference) / 2).square().mean().log10())


def _flicker(pictures: Tensor) -> float:
    """Mean change from frame to frame of the stillest half of the pixels of pictures [n, 3, F, H, W]."""
    typical = pictures.diff(dim=2).abs().mean((1, 2)).flatten(1).sort(1).values
    return float(typical[:, : typical.shape[1] // 2].mean())


def _sharpness(pictures: Tensor) -> float:
    """Mean square of differences between neighbouring pixels."""
    return float(pictures.diff(dim=-1).square().mean() + pictures.diff(dim=-2).square().mean())
