"""Objective of the base model: the velocity of joint video and audio latents, at every mixture of noise levels."""

from collections import Counter
from collections.abc import Collection
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from happyhorse import checkpoint
from happyhorse.codec import Codec
from happyhorse.codec.audio import SAMPLES
from happyhorse.codec.mel import RATE
from happyhorse.codec.text import Phone, TextConfig, familiar, split_spoken, tokenize, words
from happyhorse.config import Factor, Positive, Share
from happyhorse.data.batches import step_generator
from happyhorse.data.sets import Mixed
from happyhorse.data.shards import Shards
from happyhorse.flow import path
from happyhorse.generate.condition import Conditions
from happyhorse.generate.decode import decode_audio, decode_video
from happyhorse.generate.denoise import denoise
from happyhorse.generate.denoiser import Beside, Denoiser, pad_tokens
from happyhorse.generate.pony import Pony, Tokens
from happyhorse.model.compiling import compile_layers
from happyhorse.model.presets import HorseConfig
from happyhorse.precision import mixed
from happyhorse.train.beside import cut_source, stand_beside
from happyhorse.train.conditions import ConditionConfig, draw_given
from happyhorse.train.emphasis import SEEN, deviations, motion, still_and_moving, weights
from happyhorse.train.loop import LoopConfig
from happyhorse.train.parallel import moved, where
from happyhorse.train.preview import save_clips
from happyhorse.train.windows import Sets, WindowConfig, cut, has_sound, read
from happyhorse.train.wording import parted, reworded, wordings
from happyhorse.values import AudioShape, Clip, ClipShape, VideoShape

LATENT_FPS = 25 / 4
SHARED_STREAM = 63  # random draws that all parts of a step must agree on
PREVIEWS = 8  # clips of a preview
COMPILED_TEXT = 40  # text is padded to a multiple of it where lengths are compiled; most windows have less


@dataclass(frozen=True)
class FlowConfig(WindowConfig):
    """Shifts of the noise levels, shares of dropped text and lines, of captions told anew and reworded, and conditions.

    A share `length_shares[i]` of the steps trains on windows of `lengths[i]` latent frames, anywhere in the clip, and
    on `length_batches[i]` times as many clips; the rest on whole clips. Short windows teach how things look and move
    at a fraction of the cost: attention alone costs the square of the length.

    The shifts are large because a clip repeats itself: where 95 % is noise the rest still tells the whole scene, so
    that what a prompt decides is decided above that level (see docs/log.md).

    A squared error of the picture counts by the deviation of its channel to the power `channel_power`, and what of it
    changes over time up to 1 + `motion` times as much where the clip moves: see `emphasis`. That of the sound counts
    `sound` times.
    """

    shift_video: Positive = 3.0
    shift_audio: Positive = 1.5
    channel_power: Factor = 0.0
    motion: Factor = 0.0
    sound: Factor = 1.0
    drop_text: Share = 0.1
    drop_speech: Share = 0.05
    retell: Share = 0.0
    reword: Share = 0.0
    conditions: ConditionConfig = ConditionConfig()
    mixture: path.Mixture = path.Mixture(0.07, 0.07, 0.06)

    @property
    def shifts(self) -> dict[str, float]:
        """Shift by modality, as the schedules take it."""
        return {"video": self.shift_video, "audio": self.shift_audio}


Words = tuple[Int[Tensor, "n G"], Float[Tensor, " n"]]


class Windows(NamedTuple):
    """Video and audio latents of some windows, texts, records, what stands beside, and the generator for the rest."""

    video: Float[Tensor, "B C t Y X"]
    audio: Float[Tensor, "B s Ca"]
    texts: list[Words]
    records: list[dict[str, Any]]
    beside: Beside | None
    generator: torch.Generator


def draw_windows(
    sets: Sets, flow: FlowConfig, settings: TextConfig, loop: LoopConfig, step: int, part: int, parts: int
) -> Windows:
    """What a part of the batch of a step learns from. All parts of a step have windows of the same length.

    Of the clips that edits start from it is the same window.
    """
    draw = float(torch.rand((), generator=step_generator(loop.seed, step, SHARED_STREAM)))
    length, more = flow.window(draw)
    data, clips, pictures = sets.batch(flow.conditions, more * loop.batch, parts, loop.seed, step)
    generator = step_generator(loop.seed, step, part)
    video, audio, records = read(data, clips[part::parts])
    video, audio, starts = cut(video, audio, length, generator)
    records = [
        cut_source(record, start, video.shape[2]) for record, start in zip(records, starts, strict=True)
    ]
    texts = [
        draw_text(record, start, video.shape[2], flow, settings, generator)
        for record, start in zip(records, starts, strict=True)
    ]
    return Windows(video, audio, texts, records, stand_beside(records, pictures), generator)


def draw_text(
    record: dict[str, Any],
    start: int,
    frames: int,
    flow: FlowConfig,
    settings: TextConfig,
    generator: torch.Generator,
) -> tuple[Int[Tensor, "n G"], Float[Tensor, " n"]]:
    """One of the captions, or nothing, and what is spoken within `frames` latent frames from `start`, as tokens.

    Times are counted from the start of the window; that the caption stands before the clip tells where the window is.
    """
    draws = torch.rand(3, generator=generator).tolist()
    caption = record["captions"][int(draws[0] * len(record["captions"]))]
    # what an edit is told is what to do, not what there is to see
    anew = flow.retell > 0 and float(torch.rand((), generator=generator)) < flow.retell
    if anew and "before" not in record:
        caption = wordings().tell(record["family"], record["attributes"], generator) or caption
    caption = split_spoken(caption)[0]
    begin, end = start / LATENT_FPS, (start + frames) / LATENT_FPS
    phones = [Phone(*phone) for phone in record["phones"] if phone[2] > begin and phone[1] < end]
    if draws[1] < flow.drop_text:
        caption, phones = "", []
    if draws[2] < flow.drop_speech:
        phones = []
    noisy = flow.reword > 0 and float(torch.rand((), generator=generator)) < flow.reword
    if noisy:
        caption = reworded(caption, generator)
    ids, times = tokenize(caption, phones, settings, LATENT_FPS)
    if noisy:
        ids = parted(ids, len(ids) - len(phones), generator)
    return ids, times - start


def heldout_text(
    record: dict[str, Any], settings: TextConfig, vocabulary: Collection[str] = ()
) -> tuple[Int[Tensor, "n G"], Float[Tensor, " n"]]:
    """The record's first held-out wording, as prompts are read, and all that is spoken, as tokens."""
    spoken = [Phone(*phone) for phone in record["phones"]]
    caption, _ = familiar(split_spoken(record["heldout"][0])[0], vocabulary)
    return tokenize(caption, spoken, settings, LATENT_FPS)


class FlowObjective:
    """Trains a denoiser on latent shards; judged by its held-out velocity error at fixed levels and noise."""

    def __init__(
        self,
        horse: HorseConfig,
        text: TextConfig,
        flow: FlowConfig,
        loop: LoopConfig,
        train: Sets,
        heldout: Shards | Mixed,
        codec: Codec | None,
        start: Path | None = None,
    ) -> None:
        """A new model, or with the weights of the checkpoint `start`; `codec` is for previews (None: none).

        Raises ValueError where `train` has no clips for what `flow.conditions` asks for.
        """
        train.check(flow.conditions)
        self.module = Denoiser(horse, text, loop.seed)
        known: set[str] = set()
        if start is not None:
            part = checkpoint.load(start, "denoiser")
            checkpoint.load_into(self.module, part.weights, str(start))
            known = set(part.facts.get("vocabulary", ()))
        if loop.compile:
            compile_layers(self.module.horse, dynamic=False)
        self.flow, self.loop, self.train, self.heldout, self.codec = flow, loop, train, heldout, codec
        self.deviations = deviations(train.clips)
        self.vocabulary = frozenset(
            known
            | (wordings().vocabulary(train.clips.records) if flow.retell else set())
            | {
                word
                for clips in (train.clips, *train.beside.values())
                for record in clips.records
                for caption in record["captions"]
                for word in words(split_spoken(caption)[0])
            }
        )

    def loss(self, step: int, part: int, parts: int) -> tuple[Tensor, dict[str, float]]:
        """Sum of mean squared velocity errors of video and audio over noised tokens, weighted by `flow`; scalar."""
        drawn = draw_windows(self.train, self.flow, self.module.text.config, self.loop, step, part, parts)
        video, audio, texts, records, beside, generator = drawn
        levels = path.draw_levels(len(video), self.flow.shifts, generator, self.flow.mixture)
        given: dict[str, Tensor] = dict(
            zip(
                ("video", "audio"),
                draw_given(len(video), video.shape[2], self.flow.conditions, generator),
                strict=True,
            )
        )
        error, per_clip, noised = self._error(
            video, audio, texts, levels, given, generator, has_sound(records), beside
        )
        values = {name: float(value.detach()) for name, value in error.items()}
        for name, errors in moved(per_clip, "cpu").items():
            whole = noised[name].flatten(1).float().mean(1) > 0.5  # mostly given clips would blur the picture
            quarter = (levels[name] * 4).long().clamp(max=3)
            for q in range(4):
                chosen = errors[(quarter == q) & whole]
                if len(chosen):
                    values[f"{name}_q{q + 1}"] = float(chosen.mean().detach())
        return error["video_weighted"] + self.flow.sound * error["audio"], values

    def _error(
        self,
        video: Tensor,
        audio: Tensor,
        texts: list,
        levels: dict[str, Tensor],
        given: dict[str, Tensor],
        generator: torch.Generator,
        sound: Tensor,
        beside: Beside | None = None,
    ) -> tuple[dict[str, Tensor], dict[str, Tensor], dict[str, Tensor]]:
        """Mean error a modality and errors [B] a clip, and on the CPU masks of learnt frames [B, T] and steps [B, S].

        "video_weighted" is the picture's with channels and motion weighted as the loss has them, "video_seen" with
        channels as pixels have them.

        Where there is no `sound` [B], its latents are noise throughout: nothing of them is given, shown or learnt.
        """
        levels = levels | {"audio": levels["audio"].masked_fill(~sound, 1.0)}
        given = given | {"audio": given["audio"] & sound[:, None]}
        clean = {"video": video.transpose(1, 2), "audio": audio}  # [B, T, C, Y, X], [B, S, C]
        noise = {name: torch.randn(x.shape, generator=generator) for name, x in clean.items()}
        given = {name: mask | (levels[name] == 0)[:, None] for name, mask in given.items()}
        noised = {"video": ~given["video"], "audio": ~given["audio"] & sound[:, None]}
        multiple = COMPILED_TEXT if self.loop.compile else 1
        words = pad_tokens(texts, self.module.text.config.features, multiple)
        here = where(self.module)
        clean, noise, levels, given, learnt = moved((clean, noise, levels, given, noised), here)
        ids, times = moved(words, here)
        token = {name: path.token_levels(levels[name], given[name]) for name in clean}
        stands = None if beside is None else beside.to(here)
        noisy = {name: path.interpolate(clean[name], noise[name], token[name]) for name in clean}
        # with something beside it a clip has one of a dozen more lengths: not worth the wait for code of their own
        eager = nullcontext() if beside is None else torch.compiler.set_stance("force_eager")
        with mixed(here.type, self.loop.autocast), eager:
            out_video, out_audio = self.module(
                noisy["video"].transpose(1, 2),
                noisy["audio"],
                ids,
                times,
                given["video"],
                given["audio"],
                stands,
            )
        predicted = {"video": out_video.transpose(1, 2), "audio": out_audio}
        target = {name: path.velocity(clean[name], noise[name]) for name in clean}
        per_clip = path.losses(predicted, target, learnt)
        count = {name: learnt[name].any(1).sum().clamp_min(1) for name in learnt}
        mean = {name: errors.sum() / count[name] for name, errors in per_clip.items()}
        seen = self.deviations.to(here)
        wrong = (predicted["video"] - target["video"]).float()
        root = weights(seen, SEEN)[:, None, None].sqrt()
        mean["video_seen"] = (
            path.loss(wrong * root, torch.zeros_like(wrong), learnt["video"]).sum() / count["video"]
        )
        root = weights(seen, self.flow.channel_power)[:, None, None].sqrt()
        place = motion(clean["video"], levels["video"], seen, self.flow.motion)
        parts = still_and_moving(wrong * root, learnt["video"])
        parts = parts[0], parts[1] * place.sqrt()
        errors = sum(
            (path.loss(part, torch.zeros_like(part), learnt["video"]) for part in parts), torch.zeros(())
        )
        mean["video_weighted"] = errors.sum() / count["video"]
        return mean, per_clip, noised

    @torch.no_grad()
    def evaluate(self) -> dict[str, float]:
        """Held-out error a modality over eight levels, nothing given, held-out wordings; noise is always the same."""
        generator = torch.Generator().manual_seed(1)
        totals, counts = {"video": 0.0, "video_seen": 0.0, "audio": 0.0}, Counter[str]()
        for clips in self.heldout.groups(8, 64):
            video, audio, records = read(self.heldout, clips)
            texts = [heldout_text(record, self.module.text.config, self.vocabulary) for record in records]
            sigma = (torch.arange(len(clips)) + 0.5) / len(clips)
            levels = {
                "video": sigma,
                "audio": path.shift(sigma, self.flow.shift_audio / self.flow.shift_video),
            }
            given = {
                "video": torch.zeros(len(clips), video.shape[2]).bool(),
                "audio": torch.zeros(len(clips), audio.shape[1]).bool(),
            }
            error, _, noised = self._error(video, audio, texts, levels, given, generator, has_sound(records))
            for name in totals:
                learnt = int(noised[name.removesuffix("_seen")].any(1).sum())
                totals[name] += float(error[name]) * learnt
                counts[name] += learnt
        return {f"{name}_heldout": totals[name] / counts[name] for name in totals if counts[name]}

    def preview(self, folder: Path | None, step: int) -> None:
        """A clip with sound for a held-out caption of each of up to eight families, made as `generate` makes it."""
        if self.codec is None:
            return
        for half in self.codec:
            half.to(where(self.module))
        model = Pony("preview", self.module, self.codec, {"shifts": self.flow.shifts})
        chosen: dict[str, int] = {}
        for i, record in enumerate(self.heldout.records):
            if len(chosen) < PREVIEWS:
                chosen.setdefault(record["family"], i)
        clips = {family: self._sample(model, i) for family, i in sorted(chosen.items())}
        if folder is not None:
            save_clips(folder, step, clips)

    def _sample(self, model: Pony, index: int) -> Clip:
        """A clip for the held-out wording of clip `index`, as long and as large as that one: seed 2, 16 steps."""
        video, audio, record = self.heldout[index]
        steps, (rows, columns) = len(audio), video.shape[2:]
        shape = ClipShape(
            VideoShape(steps, 16 * rows, 16 * columns), AudioShape(steps, steps * SAMPLES, RATE), 25
        )
        request = model.request(record["heldout"][0], seed=2, steps=16)
        settings = self.module.text.config
        texts = [heldout_text(record, settings, self.vocabulary), tokenize("", [], settings, LATENT_FPS)]
        told = Conditions(Tokens(*moved(pad_tokens(texts, settings.features), model.device)))
        latents = denoise(request, model, shape, told)
        frames = np.concatenate(list(decode_video(latents, model, shape)))
        return Clip(video=frames, audio=decode_audio(latents, model, shape), request=request)

    def release(self, folder: Path, weights: dict[str, Tensor], facts: dict[str, Any]) -> Path:
        """Write `denoiser.safetensors` of kind "denoiser" in bfloat16, with vocabulary, shifts and what was learnt."""
        learnt = self.flow.conditions.learnt
        facts = facts | {"vocabulary": sorted(self.vocabulary), "shifts": self.flow.shifts, "learnt": learnt}
        part = checkpoint.Checkpoint("denoiser", self.module.plain(), weights, facts)
        return checkpoint.save(folder / "denoiser.safetensors", part, torch.bfloat16)[0]
