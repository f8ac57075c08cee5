"""What a few-step student is judged by while it learns: held-out prompts, fixed noise, and the teacher's own solution.

For each of some held-out prompts the guided teacher samples clips from fixed noise once; these are kept. A student, or
the teacher itself with fewer steps, samples the same prompts from the same noise. Figures, all of latents:

- `fjd` and `fd`: distances to real clips of the same prompts (see `fidelity`), joint with the prompts and without them
- `gap_video`, `gap_audio`: mean squared distance to the teacher's solution, in units of its variance; `gap`: their mean
- `std_video`, `std_audio`: standard deviation over that of the teacher's clips
- `diversity`: mean distance between clips of one prompt over that of the teacher's clips
"""

from collections.abc import Callable, Collection
from pathlib import Path

import torch
from jaxtyping import Float
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from happyhorse import config
from happyhorse.codec import Codec
from happyhorse.codec.pixels import as_frames
from happyhorse.codec.text import TextConfig, tokenize
from happyhorse.data.shards import Shards
from happyhorse.files import write_atomic
from happyhorse.generate.denoiser import pad_tokens
from happyhorse.model.lowrank import Adapted
from happyhorse.precision import mixed
from happyhorse.train.distill import MODALITIES, State, Told, Weights, sample
from happyhorse.train.fidelity import Yardstick, describe, features, variety
from happyhorse.train.flow import LATENT_FPS, heldout_text
from happyhorse.train.parallel import moved, share, united, where
from happyhorse.train.windows import read
from happyhorse.values import Clip, Request

SEEDS = 4  # clips of a prompt whose variety is measured
BATCH = 8  # clips sampled at a time


class Heldout:
    """Held-out prompts with their noise and real clips, and once `solve` has run, the teacher's solution."""

    def __init__(
        self,
        shards: Shards,
        text: TextConfig,
        shifts: dict[str, float],
        weights: Weights,
        prompts: int,
        teacher_steps: int,
        autocast: bool,
        vocabulary: Collection[str] = (),
    ) -> None:
        """`prompts` of them, read by the teacher's `vocabulary`, an eighth of which are sampled `SEEDS` times.

        Raises ValueError for fewer than 8 prompts, or where `shards` has fewer clips.
        """
        if not 8 <= prompts <= len(shards):
            raise ValueError(
                f"{prompts} held-out prompts cannot be judged: give at least 8, and as many held-out clips "
                f"(there are {len(shards)})"
            )
        self.shards, self.text, self.shifts, self.weights = shards, text, shifts, weights
        self.teacher_steps, self.autocast, self.vocabulary = teacher_steps, autocast, frozenset(vocabulary)
        self.prompts, self.varied = prompts, prompts // 8
        again = [(clip, seed) for clip in range(self.varied) for seed in range(1, SEEDS)]
        self.rows = [(clip, 0) for clip in range(prompts)] + again
        seen = [features(*(x[None].float() for x in shards[clip][:2])) for clip in range(prompts)]
        captions = [shards.records[clip]["heldout"][0] for clip in range(prompts)]
        self.yardstick = Yardstick(torch.cat(seen), describe(captions))
        self.teacher: State = {}

    def told(self, rows: list[tuple[int, int]]) -> Told:
        """What the clips of some rows (prompt, seed) are told: held-out wordings, nothing given."""
        video, audio, records = read(self.shards, [clip for clip, _ in rows])
        none = tokenize("", [], self.text, LATENT_FPS)
        texts = [heldout_text(record, self.text, self.vocabulary) for record in records]
        words = pad_tokens(texts, self.text.features)
        nothing = pad_tokens([none] * len(rows), self.text.features)
        given = {
            "video": torch.zeros(len(rows), video.shape[2]).bool(),
            "audio": torch.zeros(len(rows), audio.shape[1]).bool(),
        }
        return Told(words, nothing, given, {"video": video, "audio": audio})

    def sample(
        self,
        model: Adapted,
        steps: int,
        sampler: str,
        adapter: str | None,
        weights: Weights | None = None,
        rows: list[tuple[int, int]] | None = None,
        progress: Callable[[int, int], None] = lambda done, total: None,
    ) -> State:
        """Latents, video [n, C, T, Y, X] and audio [n, S, Ca], of some rows (all) under an adapter or with guidance, on
        the CPU. Ranks share the rows, and all get all of them.
        """
        rows, made, here = rows or self.rows, [], where(model)
        mine = share(rows)
        for first in range(0, len(mine), BATCH):
            some = mine[first : first + BATCH]
            told = self.told(some).to(here)

            def draw(step: int, name: str, some: list = some, told: Told = told) -> Tensor:
                shape = told.clean[name].shape[1:]
                return torch.stack([_noise(shape, clip, seed, step, name) for clip, seed in some]).to(here)

            opening = {name: draw(-1, name) for name in MODALITIES}
            with mixed(here.type, self.autocast):
                state = sample(
                    model, told, opening, self.shifts, steps, sampler, adapter, weights, fresh=draw
                )
            made.append(moved(state, "cpu"))
            progress(min(len(rows), (first + len(some)) * len(rows) // len(mine)), len(rows))
        parts = {name: torch.cat([state[name] for state in made]).float() for name in MODALITIES}
        return {name: united(part, len(rows)) for name, part in parts.items()}

    def solve(self, model: Adapted, file: Path, teacher: str, progress: Callable[[int, int], None]) -> None:
        """Let the guided teacher sample every row, or read what it made before from `file`.

        `teacher` names it; a file of another teacher or of other settings is made anew.
        `progress(done, total)` counts clips.
        """
        asked = [teacher, self.rows, self.teacher_steps, dict(self.weights), self.shifts, self.shards.records]
        about = {"key": config.fingerprint({"asked": asked})}
        if file.is_file():
            with safe_open(file, framework="pt") as kept:
                if kept.metadata() == about:
                    self.teacher = {name: kept.get_tensor(name).float() for name in MODALITIES}
                    return
        self.teacher = self.sample(model, self.teacher_steps, "unipc", None, self.weights, progress=progress)
        file.parent.mkdir(parents=True, exist_ok=True)
        tensors = {name: x.bfloat16() for name, x in self.teacher.items()}
        write_atomic(file, lambda hidden: save_file(tensors, hidden, metadata=about))

    def figures(
        self, model: Adapted, steps: int, sampler: str, adapter: str | None, weights: Weights | None = None
    ) -> dict[str, float]:
        """The figures of a student, or with `weights` of the guided teacher, at `steps` of a sampler."""
        assert self.teacher, "the teacher samples first"
        made = self.sample(model, steps, sampler, adapter, weights)
        found = self.yardstick.distances(self._features(made)[: self.prompts])
        for name in MODALITIES:
            mine, own = made[name], self.teacher[name]
            found[f"gap_{name}"] = float((mine - own).square().mean() / own.var())
            found[f"std_{name}"] = float(mine.std() / own.std())
        found["gap"] = sum(found[f"gap_{name}"] for name in MODALITIES) / len(MODALITIES)
        return found | {"diversity": self._variety(made) / max(self._variety(self.teacher), 1e-6)}

    def _features(self, made: State) -> Float[Tensor, "n axes"]:
        pairs = zip(made["video"], made["audio"], strict=True)
        return torch.cat([features(video[None], audio[None]) for video, audio in pairs])

    def _variety(self, made: State) -> float:
        placed = self.yardstick.place(self._features(made))
        first, more = placed[: self.varied], placed[self.prompts :].unflatten(0, (self.varied, SEEDS - 1))
        return variety(torch.cat([first[:, None], more], 1))

    def clips(self, model: Adapted, steps: int, sampler: str, adapter: str, codec: Codec) -> dict[str, Clip]:
        """A decoded clip for one prompt of each family, by its name."""
        chosen: dict[str, int] = {}
        for clip in range(self.prompts):
            chosen.setdefault(self.shards.records[clip]["family"], clip)
        rows = [(clip, 0) for clip in chosen.values()]
        made = self.sample(model, steps, sampler, adapter, rows=rows)
        clips = {}
        for row, (family, clip) in enumerate(chosen.items()):
            with torch.no_grad():
                video = codec.video.decode(made["video"][row, None])[0]
                wave = codec.audio.decode(made["audio"][row, None])[0]
            pixels = as_frames(video)
            asked = Request(prompt=self.shards.records[clip]["heldout"][0])
            clips[family] = Clip(video=pixels.numpy(), audio=wave.float().numpy(), request=asked)
        return clips


def _noise(shape: torch.Size, clip: int, seed: int, step: int, name: str) -> Tensor:
    """Standard normal noise of one clip, keyed by what it is for."""
    key = ((clip * SEEDS + seed) * 1009 + step + 1) * 2 + MODALITIES.index(name)
    return torch.randn(shape, generator=torch.Generator().manual_seed(key))
