"""The rungs of the distillation ladder as objectives of the loop; each starts where the best one below it ended.

A rung trains an adapter of the frozen teacher, and is judged by held-out figures of the clips that it samples.
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from happyhorse import checkpoint
from happyhorse.codec import Codec
from happyhorse.codec.text import TextConfig, tokenize
from happyhorse.config import Count, Factor, Number, Positive, Share
from happyhorse.data.batches import indices, step_generator
from happyhorse.flow import path, schedules
from happyhorse.generate.denoiser import pad_tokens
from happyhorse.model.lowrank import Adapted, names_of
from happyhorse.precision import mixed
from happyhorse.train import distill
from happyhorse.train.conditions import draw_given
from happyhorse.train.distill import CRITIC, MODALITIES, STUDENT, State, Told, Weights
from happyhorse.train.flow import LATENT_FPS, SHARED_STREAM, FlowConfig, draw_windows
from happyhorse.train.heldout import Heldout
from happyhorse.train.loop import LoopConfig
from happyhorse.train.parallel import moved, where
from happyhorse.train.preview import save_clips
from happyhorse.train.trajectories import Trajectories
from happyhorse.train.windows import Sets

STEADY = (0.9, 1.1)  # spread of a student's clips over that of the teacher's, within which it may be kept
SOUND = (0.6, 1.25)  # beyond this it is saturating or collapsing, and more training makes it worse


@dataclass(frozen=True)
class GuidedConfig:
    """Guidance distillation: how it is trained, and the sampler of its student."""

    loop: LoopConfig
    sampler: str = "unipc"


@dataclass(frozen=True)
class TrajectoryConfig:
    """Regression on `count` solutions of the guided teacher.

    For a share `ahead` of the clips the student first makes the step before itself, so that it learns to come back to
    the solution from where it really goes.
    """

    loop: LoopConfig
    count: Count = 512
    ahead: Share = 0.5


@dataclass(frozen=True)
class MatchingConfig:
    """Distribution matching: `critic_steps` of the critic to one of the student, the first `critic_first` without it.

    The critic learns `critic_pace` times as fast. `renoise` is the student's sampler, else Euler. `consistency` is the
    weight of a forward term against loss of variety: the estimates of the student at two neighbouring levels of noised
    real clips should agree.
    """

    loop: LoopConfig
    critic_steps: Count = 5
    critic_first: Number = 25
    critic_pace: Positive = 4.0
    renoise: bool = False
    consistency: Factor = 0.0


@dataclass(frozen=True, eq=False)
class Setting:
    """What all rungs share: settings of flow training and text, guidance weights, steps of the student, clips.

    `channels` [C] are weights of the picture's channels, None for all alike.
    """

    flow: FlowConfig
    text: TextConfig
    weights: Weights
    steps: int
    train: Sets
    heldout: Heldout
    codec: Codec | None = None
    channels: Tensor | None = None

    def levels(self) -> dict[str, list[float]]:
        """The levels that a student visits, steps + 1 of them a modality."""
        return {name: s.tolist() for name, s in schedules.paired(self.steps, self.flow.shifts).items()}

    def draw(
        self, loop: LoopConfig, step: int, part: int, parts: int
    ) -> tuple[Told, dict[str, Tensor], torch.Generator]:
        """What the clips of a part of a step are told, their levels [B] by modality, and the generator for the rest.

        Windows, conditions, what stands beside clips and shares of given modalities are those of flow training; a
        prompt is always told.
        """
        drawn = draw_windows(self.train, self.flow, self.text, loop, step, part, parts)
        video, audio, texts, _, beside, generator = drawn
        levels = path.draw_levels(len(video), self.flow.shifts, generator, self.flow.mixture)
        masks = draw_given(len(video), video.shape[2], self.flow.conditions, generator)
        given = {
            name: mask | (levels[name] == 0)[:, None] for name, mask in zip(MODALITIES, masks, strict=True)
        }
        none = [tokenize("", [], self.text, LATENT_FPS)] * len(video)
        words, nothing = (pad_tokens(some, self.text.features) for some in (texts, none))
        return Told(words, nothing, given, {"video": video, "audio": audio}, beside), levels, generator


def noise_like(clean: Mapping[str, Tensor], generator: torch.Generator) -> State:
    """Standard normal noise in the shapes of some latents, [B, C, T, Y, X] and [B, S, Ca], and on their device."""
    return {name: torch.randn(x.shape, generator=generator).to(x.device) for name, x in clean.items()}


class Rung:
    """What the objectives of all rungs have in common: judging, showing and releasing their student."""

    def __init__(self, module: Adapted, setting: Setting, loop: LoopConfig, sampler: str) -> None:
        """`module` has the student's adapter; `sampler` is how clips are made with it."""
        self.module, self.setting, self.loop, self.sampler = module, setting, loop, sampler

    def autocast(self) -> AbstractContextManager[Any]:
        """The precision of forward passes."""
        return mixed(where(self.module).type, self.loop.autocast)

    def draw(self, step: int, part: int, parts: int) -> tuple[Told, dict[str, Tensor], torch.Generator]:
        """`Setting.draw` for this rung: what is told and levels [B] by modality, both where the module computes."""
        told, levels, generator = self.setting.draw(self.loop, step, part, parts)
        here = where(self.module)
        return told.to(here), moved(levels, here), generator

    def error(self, x: State, target: State, told: Told) -> dict[str, Tensor]:
        """Error [] a modality of the student's velocity of the state x, channels weighted as in flow training."""
        found = distill.velocity(self.module, x, told, STUDENT)
        return distill.error(found, target, told, self.setting.channels)

    def evaluate(self) -> dict[str, float]:
        """The figures of `Heldout`, and the `score` by which rungs are compared: the joint distance."""
        found = self.setting.heldout.figures(self.module, self.setting.steps, self.sampler, STUDENT)
        return found | {"score": found["fjd"]}

    def preview(self, folder: Path | None, step: int) -> None:
        """Clips of the student for held-out prompts."""
        if self.setting.codec is None:
            return
        made = (self.module, self.setting.steps, self.sampler, STUDENT, self.setting.codec)
        clips = self.setting.heldout.clips(*made)
        if folder is not None:
            save_clips(folder, step, clips)

    def release(self, folder: Path, weights: dict[str, Tensor], facts: dict[str, Any]) -> Path:
        """Write `student.safetensors` of kind "denoiser-lora": the adapter [E r, in], [E out, r] in bfloat16."""
        defaults = {"steps": self.setting.steps, "guidance": 1.0, "audio_guidance": 1.0}
        facts = facts | {"defaults": defaults | {"sampler": self.sampler}}
        part = checkpoint.Checkpoint(
            "denoiser-lora", {"rank": self.module.rank}, names_of(weights, STUDENT), facts
        )
        return checkpoint.save(folder / "student.safetensors", part, torch.bfloat16)[0]


class Guided(Rung):
    """Rung 0: the student's one pass says what the teacher's two passes say together."""

    def __init__(self, module: Adapted, setting: Setting, config: GuidedConfig) -> None:
        """See `GuidedConfig`."""
        super().__init__(module, setting, config.loop, config.sampler)

    def loss(self, step: int, part: int, parts: int) -> tuple[Tensor, dict[str, float]]:
        """Error of the student's velocity against the guided one at noised clips; scalar."""
        told, levels, generator = self.draw(step, part, parts)
        x = distill.noised(told, told.clean, noise_like(told.clean, generator), levels)
        with self.autocast():
            with torch.no_grad():
                target = distill.guided(self.module, x, told, self.setting.weights)
            found = self.error(x, target, told)
        return sum(found.values(), torch.zeros(())), {name: float(e.detach()) for name, e in found.items()}


class Trajectory(Rung):
    """Rung 1: eight Euler steps of the student follow the teacher's guided solution from the same noise."""

    def __init__(
        self, module: Adapted, setting: Setting, config: TrajectoryConfig, data: Trajectories
    ) -> None:
        """`data` are solutions at the levels that the student visits."""
        super().__init__(module, setting, config.loop, "euler")
        self.config, self.data = config, data

    def loss(self, step: int, part: int, parts: int) -> tuple[Tensor, dict[str, float]]:
        """Error of the velocity that leads to the next state of the solution; scalar."""
        generator = step_generator(self.loop.seed, step, part)
        (file,) = indices(len(self.data), 1, self.loop.seed, step * parts + part)
        told, states = self.data[file]
        rows = torch.randint(len(told.words[0]), (self.loop.batch // parts,), generator=generator)
        # as many on all ranks: their passes have to be the same ones
        back = torch.arange(len(rows)) < round(self.config.ahead * len(rows))
        at = torch.randint(self.setting.steps, rows.shape, generator=generator)
        at = torch.where(back, at.clamp_min(1), at)
        levels = {name: torch.tensor(s) for name, s in self.setting.levels().items()}
        here = where(self.module)

        def met(rows: Tensor, at: Tensor) -> tuple[State, State]:
            """States and levels of some clips at one step each, where the module computes."""
            state = {name: states[name][rows, at] for name in MODALITIES}
            return moved((state, {name: s[at] for name, s in levels.items()}), here)

        told = told.rows(rows).to(here)
        (x, sigma), (then, next) = met(rows, at), met(rows, at + 1)
        with self.autocast():
            if back.any():
                before, level = met(rows[back], at[back] - 1)
                back = back.to(here)
                with torch.no_grad():
                    v = distill.velocity(self.module, before, told.rows(back), STUDENT)
                for name in MODALITIES:
                    ds = sigma[name][back] - level[name]
                    x[name][back] = before[name] + ds.reshape(-1, *[1] * (v[name].ndim - 1)) * v[name]
            x = distill.pin(told, x)
            target = distill.step_target(x, then, sigma, next)
            found = self.error(x, target, told)
        return sum(found.values(), torch.zeros(())), {name: float(e.detach()) for name, e in found.items()}


class Matching(Rung):
    """Rung 2: DMD2 for sound and picture together; the critic is a second adapter of the teacher."""

    def __init__(self, module: Adapted, setting: Setting, config: MatchingConfig) -> None:
        """`module` has the critic's adapter too, which begins as the teacher."""
        super().__init__(module, setting, config.loop, "renoise" if config.renoise else "euler")
        self.config = config
        module.paces = {CRITIC: config.critic_pace}

    def evaluate(self) -> dict[str, float]:
        """Figures; a student whose spread is not the teacher's has the score NaN, one that collapses infinity."""
        found = super().evaluate()
        ratios = [found[f"std_{name}"] for name in MODALITIES]
        if not all(STEADY[0] <= ratio <= STEADY[1] for ratio in ratios):
            found["score"] = float("nan")
        if not all(SOUND[0] <= ratio <= SOUND[1] for ratio in ratios):
            found["score"] = float("inf")
        return found

    def is_students(self, step: int) -> bool:
        """Whether the student learns at this step, and not the critic."""
        cycle = self.config.critic_steps + 1
        return step >= self.config.critic_first and (step - self.config.critic_first) % cycle == cycle - 1

    def loss(self, step: int, part: int, parts: int) -> tuple[Tensor, dict[str, float]]:
        """The student's or the critic's loss, by turns; scalar."""
        told, _, generator = self.draw(step, part, parts)
        shared = step_generator(self.loop.seed, step, SHARED_STREAM - 1)  # all parts stop at the same step
        stop = int(torch.randint(self.setting.steps, (), generator=shared))
        with self.autocast():
            if self.is_students(step):
                return self._student(told, stop, generator)
            return self._critic(told, stop, generator)

    def _clip(self, told: Told, stop: int, generator: torch.Generator) -> State:
        """The student's estimate of clean clips at its step `stop`, from its own state there."""
        sigmas = self.setting.levels()
        noise = noise_like(told.clean, generator)

        def fresh(name: str) -> Tensor:
            return noise_like({name: told.clean[name]}, generator)[name]

        with torch.no_grad():
            x = distill.simulate(
                lambda x: distill.velocity(self.module, x, told, STUDENT),
                noise, sigmas, stop, fresh if self.config.renoise else None, told,
            )  # fmt: skip
        v = distill.velocity(self.module, x, told, STUDENT)
        return distill.pin(
            told, {name: path.clean_from(x[name], v[name], sigmas[name][stop]) for name in MODALITIES}
        )

    def _levels(self, count: int, generator: torch.Generator) -> dict[str, Tensor]:
        """Levels [B] of one common u under the shift of each modality, away from the ends."""
        u = torch.rand(count, generator=generator).to(where(self.module))
        return {name: path.shift(u, a).clamp(0.02, 0.98) for name, a in self.setting.flow.shifts.items()}

    def _student(self, told: Told, stop: int, generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        clean = self._clip(told, stop, generator)
        levels = self._levels(len(told.words[0]), generator)
        with torch.no_grad():
            noise = noise_like(clean, generator)
            z = distill.noised(told, {name: x.detach() for name, x in clean.items()}, noise, levels)
            fake = distill.velocity(self.module, z, told, CRITIC)
            real = distill.guided(self.module, z, told, self.setting.weights)
        values, total = {}, torch.zeros(())
        for name in MODALITIES:
            fake_end, real_end = (path.clean_from(z[name], v[name], levels[name]) for v in (fake, real))
            given, made = distill.spread(told.given[name], name), clean[name].detach()
            loss = distill.pull(clean[name], distill.matching_gradient(made, fake_end, real_end, given))
            values[f"pull_{name}"] = float(loss.detach())
            total = total + loss
        if self.config.consistency:
            loss = self._consistency(told, generator)
            values["consistency"] = float(loss.detach())
            total = total + self.config.consistency * loss
        return total, values

    def _critic(self, told: Told, stop: int, generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        with torch.no_grad():
            clean = self._clip(told, stop, generator)
        levels, noise = self._levels(len(told.words[0]), generator), noise_like(clean, generator)
        z = distill.noised(told, clean, noise, levels)
        target = {name: path.velocity(clean[name], noise[name]) for name in MODALITIES}
        found = distill.error(distill.velocity(self.module, z, told, CRITIC), target, told)
        values = {f"critic_{name}": float(e.detach()) for name, e in found.items()}
        return sum(found.values(), torch.zeros(())), values

    def _consistency(self, told: Told, generator: torch.Generator) -> Tensor:
        """rCM's term without derivatives: estimates at a level and, one guided step of the teacher on, at the next."""
        grid = schedules.paired(48, self.setting.flow.shifts)
        k = torch.randint(47, (len(told.words[0]),), generator=generator)
        here = where(self.module)
        now, then = (moved({name: s[k + i] for name, s in grid.items()}, here) for i in (0, 1))
        x = distill.noised(told, told.clean, noise_like(told.clean, generator), now)
        with torch.no_grad():
            v = distill.guided(self.module, x, told, self.setting.weights)
            ahead = {name: path.clean_from(x[name], v[name], now[name] - then[name]) for name in MODALITIES}
            ahead = distill.pin(told, ahead)
            v = distill.velocity(self.module, ahead, told, STUDENT)
            target = {name: path.clean_from(ahead[name], v[name], then[name]) for name in MODALITIES}
        v = distill.velocity(self.module, x, told, STUDENT)
        found = distill.error(
            {name: path.clean_from(x[name], v[name], now[name]) for name in MODALITIES}, target, told
        )
        return sum(found.values(), torch.zeros(()))
