"""Solutions of the guided teacher, made once and kept: from noise, over the levels of a student, to clean latents.

A file holds a few clips of one length: their states at every level, what they were told, what was given, and what
stands beside them. The folder is named by everything that decides its content, so that a kept solution is never that
of another teacher; making goes on where it stopped, and several processes share the work.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path

import torch
import torch.distributed as dist
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from happyhorse.data.shards import cache_dir
from happyhorse.files import write_atomic
from happyhorse.generate.denoiser import Beside
from happyhorse.model.lowrank import Adapted
from happyhorse.precision import mixed
from happyhorse.train.distill import MODALITIES, State, Told, Weights, sample
from happyhorse.train.parallel import join, moved, where

CLIPS = 8  # a file


@dataclass(frozen=True, eq=False)
class Solver:
    """How solutions are made: guidance weights, shifts of the levels, steps of the teacher and of the student.

    Raises ValueError unless the teacher visits every level of the student.
    """

    weights: Weights
    shifts: dict[str, float]
    teacher_steps: int
    steps: int
    autocast: bool = True

    def __post_init__(self) -> None:
        if self.teacher_steps % self.steps:
            raise ValueError(
                f"a teacher of {self.teacher_steps} steps does not pass through the levels of {self.steps}; give it a "
                f"multiple, such as {4 * self.steps}"
            )

    def solve(self, model: Adapted, told: Told, noise: State) -> State:
        """States [B, steps+1, ...] of latents as in `Told`, the first the pinned noise, the last clean; on the CPU."""
        every, visited, here = self.teacher_steps // self.steps, [], where(model)
        with mixed(here.type, self.autocast):
            last = sample(
                model, told.to(here), moved(noise, here), self.shifts, self.teacher_steps, "unipc", None, self.weights,
                visit=visited.append,
            )  # fmt: skip
        states = moved([*visited[::every], last], "cpu")
        return {name: torch.stack([state[name] for state in states], 1) for name in MODALITIES}


class Trajectories:
    """A folder of solutions as a sequence of files."""

    def __init__(self, folder: Path, files: int) -> None:
        """The first `files` of them."""
        self.paths = [folder / f"{file:05d}.safetensors" for file in range(files)]

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, file: int) -> tuple[Told, State]:
        """What the clips of a file were told, and states, video [n, K+1, C, T, Y, X] and audio [n, K+1, S, Ca]."""
        with safe_open(self.paths[file], framework="pt") as opened:
            held = {key: opened.get_tensor(key) for key in opened.keys()}  # noqa: SIM118 (a file is no mapping)
        states = {name: held[name].float() for name in MODALITIES}
        words = tuple(held[key] for key in sorted(key for key in held if key.startswith("words")))
        given = {name: held[f"given_{name}"] for name in MODALITIES}
        clean = {name: x[:, -1] for name, x in states.items()}
        stands = {key.removeprefix("beside_"): held[key].float() for key in held if key.startswith("beside_")}
        beside = Beside(**stands) if stands else None
        return Told(words, tuple(torch.zeros_like(word) for word in words), given, clean, beside), states


def make(
    key: str,
    clips: int,
    solver: Solver,
    model: Adapted,
    draw: Callable[[int], tuple[Told, State]],
    progress: Callable[[int, int], None] | None = None,
) -> Trajectories:
    """The solutions called `key`, at least `clips` of them, made now where they do not exist.

    `draw(file)` gives what the clips of a file are told, and their noise (latents as in `Told`).
    """
    rank, ranks = join()
    folder = cache_dir() / f"solutions-{key}"
    folder.mkdir(parents=True, exist_ok=True)
    files = -(-clips // CLIPS)
    for first in range(0, files, ranks):
        around = [folder / f"{file:05d}.safetensors" for file in range(first, min(first + ranks, files))]
        missing = not all(path.exists() for path in around)
        # nobody writes before all have looked; the model is sharded, so all of them work or none
        if ranks > 1:
            dist.barrier()
        if missing:
            told, noise = draw(min(first + rank, files - 1))
            states = solver.solve(model, told, noise)
            if rank < len(around):
                _write(around[rank], told, states)
        if progress and rank == 0:
            progress(min((first + ranks) * CLIPS, clips), clips)
    if ranks > 1:
        dist.barrier()
    return Trajectories(folder, files)


def _write(path: Path, told: Told, states: State) -> None:
    tensors: dict[str, Tensor] = {name: states[name].bfloat16().contiguous() for name in MODALITIES}
    tensors |= {f"given_{name}": told.given[name] for name in MODALITIES}
    tensors |= {f"words{i}": word.contiguous() for i, word in enumerate(told.words)}
    if told.beside is not None:
        stands = {part.name: getattr(told.beside, part.name) for part in fields(told.beside)}
        tensors |= {f"beside_{name}": x.bfloat16() for name, x in stands.items() if x is not None}
    write_atomic(path, lambda hidden: save_file(tensors, hidden))
