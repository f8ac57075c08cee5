"""Objective of the base model: the velocity of joint video and audio latents, at every mixture of noise levels."""

import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from happyhorse import checkpoint
from happyhorse.codec import Codec
from happyhorse.codec.audio import SAMPLES
from happyhorse.codec.mel import RATE
from happyhorse.codec.text import Phone, TextConfig, split_spoken, tokenize, words
from happyhorse.data.batches import indices, step_generator
from happyhorse.data.shards import Shards
from happyhorse.flow import path
from happyhorse.generate.condition import Conditions
from happyhorse.generate.decode import decode_audio, decode_video
from happyhorse.generate.denoise import denoise
from happyhorse.generate.denoiser import Denoiser, pad_tokens
from happyhorse.generate.load import Model
from happyhorse.model.presets import HorseConfig
from happyhorse.train.conditions import ConditionConfig, draw_given
from happyhorse.train.loop import LoopConfig
from happyhorse.train.preview import save_clips
from happyhorse.values import AudioShape, Clip, ClipShape, VideoShape

LATENT_FPS = 25 / 4
SHARED_STREAM = 63  # random draws that all parts of a step must agree on
PREVIEWS = 8  # clips of a preview


@dataclass(frozen=True)
class FlowConfig:
    """Shifts of the noise levels, shares of dropped text and of dropped spoken lines, and conditions.

    A share `length_shares[i]` of the steps trains on the first `lengths[i]` latent frames only, the rest on whole
    clips: attention costs the square of the length, and most of what a clip teaches is in its beginning too.
    """

    shift_video: float = 3.0
    shift_audio: float = 1.5
    drop_text: float = 0.1
    drop_speech: float = 0.05
    lengths: tuple[int, ...] = ()
    length_shares: tuple[float, ...] = ()
    conditions: ConditionConfig = ConditionConfig()
    mixture: path.Mixture = path.Mixture(0.07, 0.07, 0.06)

    def __post_init__(self) -> None:
        if (
            len(self.lengths) != len(self.length_shares)
            or sum(self.length_shares) > 1
            or min(self.lengths, default=2) < 2
        ):
            raise ValueError(
                "lengths (2 or more latent frames) and length_shares (summing to at most 1) go in pairs"
            )

    def frames(self, whole: int, draw: float) -> int:
        """Latent frames of a step, given those of whole clips and a uniform `draw` in [0, 1)."""
        for length, edge in zip(self.lengths, itertools.accumulate(self.length_shares), strict=True):
            if draw < edge:
                return min(length, whole)
        return whole

    @property
    def shifts(self) -> dict[str, float]:
        """Shift by modality, as the schedules take it."""
        return {"video": self.shift_video, "audio": self.shift_audio}


class FlowObjective:
    """Trains a denoiser on latent shards; judged by its held-out velocity error at fixed levels and noise."""

    def __init__(
        self,
        horse: HorseConfig,
        text: TextConfig,
        flow: FlowConfig,
        loop: LoopConfig,
        train: Shards,
        heldout: Shards,
        codec: Codec | None,
        start: Path | None = None,
    ) -> None:
        """A new model, or with the weights of the checkpoint `start`; `codec` is for previews (None: none)."""
        self.module = Denoiser(horse, text, loop.seed)
        if start is not None:
            checkpoint.load_into(self.module, checkpoint.load(start, "denoiser").weights, str(start))
        self.flow, self.loop, self.train, self.heldout, self.codec = flow, loop, train, heldout, codec
        self.vocabulary = sorted(
            {
                word
                for record in train.records
                for caption in record["captions"]
                for word in words(split_spoken(caption)[0])
            }
        )

    def loss(self, step: int, part: int, parts: int) -> tuple[Tensor, dict[str, float]]:
        """Sum of the mean squared velocity errors of video and audio over their noised tokens; scalar."""
        clips = indices(len(self.train), self.loop.batch, self.loop.seed, step)[part::parts]
        generator = step_generator(self.loop.seed, step, part)
        video, audio, records = self._read(self.train, clips)
        draw = float(torch.rand((), generator=step_generator(self.loop.seed, step, SHARED_STREAM)))
        video = video[:, :, : self.flow.frames(video.shape[2], draw)]
        audio = audio[:, : 4 * (video.shape[2] - 1) + 1]
        texts = [self._text(record, video.shape[2], generator) for record in records]
        levels = path.draw_levels(len(clips), self.flow.shifts, generator, self.flow.mixture)
        given: dict[str, Tensor] = dict(
            zip(
                ("video", "audio"),
                draw_given(len(clips), video.shape[2], self.flow.conditions, generator),
                strict=True,
            )
        )
        error, per_clip, noised = self._error(video, audio, texts, levels, given, generator)
        values = {name: float(value.detach()) for name, value in error.items()}
        for name, errors in per_clip.items():
            whole = noised[name].flatten(1).float().mean(1) > 0.5  # mostly given clips would blur the picture
            quarter = (levels[name] * 4).long().clamp(max=3)
            for q in range(4):
                chosen = errors[(quarter == q) & whole]
                if len(chosen):
                    values[f"{name}_q{q + 1}"] = float(chosen.mean().detach())
        return error["video"] + error["audio"], values

    def _error(
        self,
        video: Tensor,
        audio: Tensor,
        texts: list,
        levels: dict[str, Tensor],
        given: dict[str, Tensor],
        generator: torch.Generator,
    ) -> tuple[dict[str, Tensor], dict[str, Tensor], dict[str, Tensor]]:
        """Mean error a modality, errors [B] a clip, and masks of noised frames [B, T] and steps [B, S]."""
        clean = {"video": video.transpose(1, 2), "audio": audio}  # [B, T, C, Y, X], [B, S, C]
        noise = {name: torch.randn(x.shape, generator=generator) for name, x in clean.items()}
        given = {name: mask | (levels[name] == 0)[:, None] for name, mask in given.items()}
        token = {name: path.token_levels(levels[name], given[name]) for name in clean}
        noisy = {name: path.interpolate(clean[name], noise[name], token[name]) for name in clean}
        ids, times = pad_tokens(texts, self.module.text.config.features)
        with torch.autocast("cpu", torch.bfloat16, enabled=self.loop.autocast):
            out_video, out_audio = self.module(
                noisy["video"].transpose(1, 2), noisy["audio"], ids, times, given["video"], given["audio"]
            )
        predicted = {"video": out_video.transpose(1, 2), "audio": out_audio}
        target = {name: path.velocity(clean[name], noise[name]) for name in clean}
        noised = {name: ~mask for name, mask in given.items()}
        per_clip = path.losses(predicted, target, noised)
        mean = {
            name: errors.sum() / noised[name].any(1).sum().clamp_min(1) for name, errors in per_clip.items()
        }
        return mean, per_clip, noised

    def _read(self, shards: Shards, clips: list[int]) -> tuple[Tensor, Tensor, list[dict[str, Any]]]:
        rows = [shards[i] for i in clips]
        video, audio = (
            torch.stack([row[0] for row in rows]).float(),
            torch.stack([row[1] for row in rows]).float(),
        )
        return video, audio, [row[2] for row in rows]

    def _text(self, record: dict[str, Any], frames: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """One of the record's captions, or nothing, and what is spoken within `frames` latent frames, as tokens."""
        draws = torch.rand(3, generator=generator).tolist()
        caption = split_spoken(record["captions"][int(draws[0] * len(record["captions"]))])[0]
        phones = [Phone(*phone) for phone in record["phones"] if phone[1] * LATENT_FPS < frames]
        if draws[1] < self.flow.drop_text:
            caption, phones = "", []
        if draws[2] < self.flow.drop_speech:
            phones = []
        return tokenize(caption, phones, self.module.text.config, LATENT_FPS)

    @torch.no_grad()
    def evaluate(self) -> dict[str, float]:
        """Held-out error a modality over eight levels, nothing given, held-out wordings; noise is always the same."""
        generator = torch.Generator().manual_seed(1)
        totals: dict[str, float] = {"video_heldout": 0.0, "audio_heldout": 0.0}
        count = min(64, len(self.heldout) // 8 * 8) or len(self.heldout)
        for first in range(0, count, 8):
            clips = list(range(first, min(first + 8, count)))
            video, audio, records = self._read(self.heldout, clips)
            texts = [
                tokenize(
                    split_spoken(r["heldout"][0])[0],
                    [Phone(*p) for p in r["phones"]],
                    self.module.text.config,
                    LATENT_FPS,
                )
                for r in records
            ]
            sigma = (torch.arange(len(clips)) + 0.5) / len(clips)
            levels = {
                "video": sigma,
                "audio": path.shift(sigma, self.flow.shift_audio / self.flow.shift_video),
            }
            given = {
                "video": torch.zeros(len(clips), video.shape[2]).bool(),
                "audio": torch.zeros(len(clips), audio.shape[1]).bool(),
            }
            error, _, _ = self._error(video, audio, texts, levels, given, generator)
            for name, value in error.items():
                totals[f"{name}_heldout"] += float(value) * len(clips) / count
        return totals

    def preview(self, folder: Path | None, step: int) -> None:
        """A clip with sound for a held-out caption of each of up to eight families, made as `generate` makes it."""
        if self.codec is None:
            return
        model = Model("preview", self.module, self.codec, {"shifts": self.flow.shifts})
        chosen: dict[str, int] = {}
        for i, record in enumerate(self.heldout.records):
            if len(chosen) < PREVIEWS:
                chosen.setdefault(record["family"], i)
        clips = {family: self._sample(model, i) for family, i in sorted(chosen.items())}
        if folder is not None:
            save_clips(folder, step, clips)

    def _sample(self, model: Model, index: int) -> Clip:
        """A clip for the held-out wording of clip `index`, as long and as large as that one: seed 2, 16 steps."""
        video, audio, record = self.heldout[index]
        steps, (rows, columns) = len(audio), video.shape[2:]
        shape = ClipShape(
            VideoShape(steps, 16 * rows, 16 * columns), AudioShape(steps, steps * SAMPLES, RATE), 25
        )
        request = model.request(record["heldout"][0], seed=2, steps=16)
        spoken = [Phone(*phone) for phone in record["phones"]]
        text = tokenize(split_spoken(request.prompt)[0], spoken, self.module.text.config, LATENT_FPS)
        nothing = tokenize("", [], self.module.text.config, LATENT_FPS)
        told = Conditions(
            *pad_tokens([text, nothing], self.module.text.config.features), first=None, notes=()
        )
        latents = denoise(request, model, shape, told)
        frames = np.concatenate(list(decode_video(latents, model, shape)))
        return Clip(video=frames, audio=decode_audio(latents, model, shape), request=request)

    def release(self, folder: Path, weights: dict[str, Tensor], facts: dict[str, Any]) -> Path:
        """Write `denoiser.safetensors` of kind "denoiser" in bfloat16, with the vocabulary and the shifts."""
        facts = facts | {"vocabulary": self.vocabulary, "shifts": self.flow.shifts}
        part = checkpoint.Checkpoint("denoiser", self.module.plain(), weights, facts)
        return checkpoint.save(folder / "denoiser.safetensors", part, torch.bfloat16)[0]
