"""Objective of super-resolution: from the corrupted guess to the latents of the sharp picture, on a straight path.

``x_s = (1 - s) x0 + s c`` with ``c = a guess + sqrt(1 - a^2) n`` (15B spec section 5): both ends of the path belong to
the same clip, so there is less to learn than from noise, and few steps suffice. What the guess is made from are renders
with faults, and renders that the base model has made anew from noise on them, so that its own faults are known too.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from happyhorse import checkpoint
from happyhorse.codec import Codec
from happyhorse.codec.pixels import as_video
from happyhorse.config import Count, Factor, Number, Positive, Share
from happyhorse.data.batches import step_generator
from happyhorse.data.shards import Shards
from happyhorse.flow import path, samplers, schedules
from happyhorse.generate.upscaler import Upscaler, UpscalerConfig
from happyhorse.precision import mixed
from happyhorse.train import emphasis
from happyhorse.train.codec import edges
from happyhorse.train.loop import LoopConfig
from happyhorse.train.parallel import moved, where
from happyhorse.train.preview import save_frames

FITTED = 64  # clips from which the guess is fitted
LOWER = 0.8  # of the lowest level that the sampler meets; below it nothing is trained
SHOWN = 4  # held-out clips that are enlarged and decoded to be judged


@dataclass(frozen=True)
class UpscaleConfig:
    """How super-resolution learns and samples.

    `corruption` is an entry of the corruption table; `steps` and `shift` of the sampler, the shift also of training
    levels. Crops are `frames` latent frames of `rows` x `columns` latents, even numbers; the first frame of a share
    `first` of those that begin with the clip is given; a share `own` of the clips are of the base model's making.
    An error counts by the deviation of its channel to the power `channel_power`: see `emphasis`. To it are added `seen`
    times the squared error of the pixels that the codec decodes, and `edges` times the size of that of steps between
    neighbouring ones.
    """

    corruption: Number = 100
    steps: Count = 4
    shift: Positive = 3.0
    frames: Count = 5
    rows: Count = 12
    columns: Count = 14
    first: Share = 0.2
    own: Share = 0.25
    channel_power: Factor = 0.0
    seen: Factor = 0.0
    edges: Factor = 0.0

    def __post_init__(self) -> None:
        if self.rows % 2 or self.columns % 2:
            raise ValueError(
                f"crops of {self.rows} x {self.columns} latents cannot be cut into tokens: give even sides"
            )

    @property
    def keep(self) -> float:
        """Share a of the guess that is kept."""
        return float(schedules.corruption_table()[self.corruption])


Pixels = UInt8[np.ndarray, "F H W 3"]


class Pairs(NamedTuple):
    """Latents of sharp clips, and of the same clips small and enlarged; clip i of both is the same scene."""

    sharp: Shards
    enlarged: Shards


class UpscaleObjective:
    """Trains an `Upscaler`; judged by pictures, beside those that are merely enlarged."""

    def __init__(
        self,
        network: UpscalerConfig,
        settings: UpscaleConfig,
        loop: LoopConfig,
        train: Pairs,
        own: Shards | None,
        heldout: Pairs,
        pixels: Sequence[tuple[Pixels, Pixels]],
        codec: Codec,
    ) -> None:
        """`own` are enlarged clips of the base model's making, the first of those of `train`; `pixels` are pairs of
        pictures, sharp and enlarged, of the first clips of `heldout`. Raises ValueError where latents of a pair differ
        in size.
        """
        self.module = Upscaler(network, loop.seed)
        self.settings, self.loop, self.codec = settings, loop, codec
        codec.video.requires_grad_(False)
        self.train, self.own, self.heldout, self.pixels = train, own, heldout, pixels
        sharp, enlarged = (list(half[0][0].shape) for half in train)
        if sharp != enlarged:
            raise ValueError(
                f"latents of {sharp} and {enlarged} are no pair: give the same clips, the small ones enlarged to the "
                "size of the others"
            )
        self.channels = emphasis.weights(emphasis.deviations(train.sharp), settings.channel_power)
        self.explained = self.module.fit(self._pairs(min(FITTED, len(train.sharp))))
        self._compared: dict[str, Tensor] = {}

    def _pairs(self, count: int) -> Iterator[tuple[Tensor, Tensor]]:
        for i in range(count):
            yield self.train.enlarged[i][0][None].float(), self.train.sharp[i][0][None].float()

    def loss(self, step: int, part: int, parts: int) -> tuple[Tensor, dict[str, float]]:
        """Squared error of the velocity over crops that are not given, and of what the codec shows of it; scalar."""
        generator = step_generator(self.loop.seed, step, part)
        clips = self.train.sharp.batch(self.loop.batch, self.loop.seed, step)[part::parts]
        crops = [self._crop(clip, generator) for clip in clips]
        sharp, guess = torch.stack([crop[0] for crop in crops]), torch.stack([crop[1] for crop in crops])
        first = torch.tensor([crop[2] for crop in crops])
        given = torch.zeros(len(crops), sharp.shape[2]).bool()
        given[:, 0] = first & (torch.rand(len(crops), generator=generator) < self.settings.first)
        levels = self._met(path.draw_sigma(len(crops), self.settings.shift, generator))
        wrong = self._wrong(sharp, guess, given, levels, generator)
        error = self._weighed(wrong, given).mean()
        values = {"video": float(error.detach())}
        if not (self.settings.seen or self.settings.edges):
            return error, values
        seen, frayed = self._seen(sharp, wrong, given, levels)
        values |= {"seen": float(seen.detach()), "edges": float(frayed.detach())}
        return error + self.settings.seen * seen + self.settings.edges * frayed, values

    def _seen(
        self, sharp: Tensor, wrong: Tensor, given: Tensor, levels: Tensor
    ) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
        """What a `wrong` velocity [B, C, T, Y, X] costs in pixels: squared error, and size of the error of steps.

        The estimate of the sharp latents is off by the level times that error. It is decoded as the sharp ones are.
        """
        here = where(self.module)
        decode = self.codec.video.to(here).decode
        sharp, given, levels = moved((sharp, given, levels), here)
        off = (levels[:, None, None, None, None] * wrong).masked_fill(given[:, None, :, None, None], 0)
        with mixed(here.type, self.loop.autocast):
            with torch.no_grad():
                right = decode(sharp)
            apart = decode(sharp - off) - right
        return apart.square().mean(), edges(apart)

    def _weighed(self, wrong: Tensor, given: Tensor) -> Float[Tensor, " B"]:
        """Errors of a `wrong` velocity [B, C, T, Y, X] where nothing is given, channels weighted by `channel_power`."""
        wrong = wrong.transpose(1, 2) * self.channels.to(wrong.device).sqrt()[:, None, None]
        return path.loss(wrong, torch.zeros_like(wrong), ~given.to(wrong.device))

    def _wrong(
        self, sharp: Tensor, guess: Tensor, given: Tensor, levels: Tensor, generator: torch.Generator
    ) -> Float[Tensor, "B C T Y X"]:
        """How far the velocity is from the right one, at one level [B] a clip."""
        noise, here = torch.randn(sharp.shape, generator=generator), where(self.module)
        sharp, guess, given, levels, noise = moved((sharp, guess, given, levels, noise), here)
        source = path.corrupt(guess, noise, self.settings.keep)
        x = path.interpolate(sharp, source, levels)
        x = torch.where(given[:, None, :, None, None], sharp, x)
        with mixed(here.type, self.loop.autocast):
            predicted = self.module(x, guess, given)
        return predicted - path.velocity(sharp, source)

    def _met(self, levels: Tensor) -> Tensor:
        """Levels in [0, 1] brought to those that the sampler meets, from its last one up.

        A sampler of one step meets one. Below it the state already tells a little of the sharp latents, the more
        clearly the less the guess is corrupted: what has learnt to read that takes noise for it where there is nothing.
        """
        last = float(schedules.shifted(self.settings.steps, self.settings.shift)[-2])
        if self.settings.steps == 1:
            return torch.full_like(levels, last)
        return LOWER * last + (1 - LOWER * last) * levels

    def _crop(self, clip: int, generator: torch.Generator) -> tuple[Tensor, Tensor, bool]:
        """A random crop [C, t, Y, X] of sharp latents and of the guess at them, and whether it begins with the clip."""
        sharp = self.train.sharp[clip][0].float()
        mine = float(torch.rand((), generator=generator)) < self.settings.own
        own = self.own if mine and self.own is not None and clip < len(self.own) else None
        with torch.no_grad():
            guess = self._guess((own or self.train.enlarged)[clip][0][None])[0]
        settings = self.settings
        sizes, starts = (settings.frames, settings.rows, settings.columns), []
        for size, whole, grid in zip(sizes, sharp.shape[1:], (1, 2, 2), strict=True):
            places = max(0, whole - size) // grid + 1
            starts.append(grid * int(torch.randint(places, (), generator=generator)))
        t, y, x = (slice(start, start + size) for start, size in zip(starts, sizes, strict=True))
        return sharp[:, t, y, x], guess[:, t, y, x], starts[0] == 0

    def _guess(self, enlarged: Tensor) -> Tensor:
        """The guess at stored latents [B, C, T, Y, X], where the module computes."""
        return self.module.guess(enlarged.float().to(where(self.module)))

    def _decode(self, latents: Tensor) -> Float[Tensor, "n 3 F H W"]:
        """Pictures of latents [n, C, T, Y, X]; decoded where the module computes, and brought to the CPU."""
        here = where(self.module)
        with mixed(here.type, self.loop.autocast):
            return self.codec.video.to(here).decode(latents.float().to(here)).float().clamp(-1, 1).cpu()

    @torch.no_grad()
    def evaluate(self) -> dict[str, float]:
        """Held-out error of the velocity over eight levels, and of pictures: PSNR in dB, sharpness, flicker.

        Sharpness is the energy of differences between neighbouring pixels over that of the renders. Flicker is how much
        the stillest half of the pixels changes from frame to frame, in levels of 255, beyond what it does in the
        renders, where it is often nothing. `_bicubic` stands for small clips through
        the codec, enlarged; `_guess` for the guess without what the denoiser makes of it; `_codec` for the renders
        through the codec at their size, the best that can be.
        """
        generator = torch.Generator().manual_seed(1)
        count, errors = min(16, len(self.heldout.sharp)), []
        for first in range(0, count, 4):
            clips = range(first, min(first + 4, count))
            sharp, enlarged = (torch.stack([half[i][0].float() for i in clips]) for half in self.heldout)
            given = torch.zeros(len(sharp), sharp.shape[2]).bool()
            levels = self._met((torch.arange(first, first + len(sharp)) % 8 + 0.5) / 8)
            wrong = self._wrong(sharp, self._guess(enlarged), given, levels, generator)
            errors.append(self._weighed(wrong, given))
        found = {"video_heldout": float(torch.cat(errors).mean())}
        shown = self._references()
        for name, pictures in ({"": self._enlarged()} | shown).items():
            if name != "_render":
                found |= {
                    f"{key}{name}": value for key, value in _compare(pictures, shown["_render"]).items()
                }
        return found

    def _enlarged(self) -> Float[Tensor, "n 3 F H W"]:
        """Held-out clips as this model enlarges them, decoded."""
        pictures, here = [], where(self.module)
        for i in range(len(self.pixels)):
            guess = self._guess(self.heldout.enlarged[i][0][None])
            noise = torch.randn(guess.shape, generator=torch.Generator().manual_seed(i)).to(here)
            given = torch.zeros(1, guess.shape[2], device=here).bool()
            with mixed(here.type, self.loop.autocast):
                made = samplers.unipc(
                    lambda state, sigma, guess=guess, given=given: {
                        "video": self.module(state["video"], guess, given)
                    },
                    {"video": path.corrupt(guess, noise, self.settings.keep)},
                    {"video": schedules.shifted(self.settings.steps, self.settings.shift)},
                )["video"]
            pictures.append(self._decode(made))
        return torch.cat(pictures)

    def _references(self) -> dict[str, Tensor]:
        """Pictures to compare with; they do not change."""
        if not self._compared:
            clips = range(len(self.pixels))
            for half, name in enumerate(("_render", "_bicubic")):
                frames = torch.stack([torch.from_numpy(pair[half]) for pair in self.pixels])
                self._compared[name] = as_video(frames)
            latents = {
                "_guess": [self._guess(self.heldout.enlarged[i][0][None]) for i in clips],
                "_codec": [self.heldout.sharp[i][0][None] for i in clips],
            }
            for name, every in latents.items():
                self._compared[name] = torch.cat([self._decode(one) for one in every])
        return self._compared

    @torch.no_grad()
    def preview(self, folder: Path | None, step: int) -> None:
        """Rows of frames of held-out clips: enlarged, as this model makes them, and as they are rendered."""
        shown, made = self._references(), self._enlarged()
        rows = [row for rows in zip(shown["_bicubic"], made, shown["_render"], strict=True) for row in rows]
        if folder is not None:
            save_frames(folder / f"{step:06d}.png", rows)

    def release(self, folder: Path, weights: dict[str, Tensor], facts: dict[str, Any]) -> Path:
        """Write `upscaler.safetensors` of kind "upscaler" in bfloat16, with what its sampler needs."""
        sampler = {"steps": self.settings.steps, "shift": self.settings.shift}
        facts = facts | {"explained": self.explained, "keep": self.settings.keep, "sampler": sampler}
        part = checkpoint.Checkpoint("upscaler", self.module.plain(), weights, facts)
        return checkpoint.save(folder / "upscaler.safetensors", part, torch.bfloat16)[0]


def _compare(pictures: Float[Tensor, "n 3 F H W"], reference: Float[Tensor, "n 3 F H W"]) -> dict[str, float]:
    """Figures of pictures in [-1, 1] beside their reference."""
    error = ((pictures - reference) / 2).square().mean()
    return {
        "psnr_picture": float(-10 * error.log10()),
        "sharpness": _sharpness(pictures) / _sharpness(reference),
        "flicker": 127.5 * (_flicker(pictures) - _flicker(reference)),
    }


def _sharpness(pictures: Tensor) -> float:
    """Mean square of differences between neighbouring pixels."""
    return float(pictures.diff(dim=-1).square().mean() + pictures.diff(dim=-2).square().mean())


def _flicker(pictures: Tensor) -> float:
    """Mean change from frame to frame of the stillest half of the pixels of pictures [n, 3, F, H, W]."""
    typical = pictures.diff(dim=2).abs().mean((1, 2)).flatten(1).sort(1).values
    return float(typical[:, : typical.shape[1] // 2].mean())
