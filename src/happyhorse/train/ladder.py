"""The distillation ladder: rungs climbed in order, each kept only if it beats the best one below.

    0-guided       one pass instead of two
    1-trajectory   few steps instead of many
    2-matching     clips that the teacher takes for its own

Every rung has a folder of its own with its log and its student. The best one is kept beside them, and `ladder.json`
has the figures of all, next to those of the teacher itself with as few steps: what a student has to beat. The best one
carries them too.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import torch

from happyhorse import checkpoint, config
from happyhorse.codec import Codec
from happyhorse.config import Count
from happyhorse.data.shards import Shards
from happyhorse.files import write_atomic
from happyhorse.generate.denoiser import load_denoiser
from happyhorse.model.lowrank import Adapted
from happyhorse.train import emphasis, trajectories
from happyhorse.train.distill import CRITIC, STUDENT
from happyhorse.train.flow import FlowConfig
from happyhorse.train.heldout import Heldout
from happyhorse.train.loop import LoopConfig, train
from happyhorse.train.parallel import join, place, shard
from happyhorse.train.report import write
from happyhorse.train.rungs import (
    Guided,
    GuidedConfig,
    Matching,
    MatchingConfig,
    Rung,
    Setting,
    Trajectory,
    TrajectoryConfig,
    noise_like,
)
from happyhorse.train.windows import Sets, WindowConfig

TEACHERS = ("teacher, guided", "teacher, unguided")
MARGIN = 0.01  # share by which a joint distance has to be smaller to count: a tie is no gain
Report = Callable[[str, int, int, dict[str, float]], None]  # what, done, of how many, values


@dataclass(frozen=True)
class DistillRecipe(WindowConfig):
    """A student of `rank` and `steps`, the teacher's steps and guidance, held-out prompts to judge by, and the rungs.

    Windows of clips are as in flow training, with shares of their own: a student needs whole clips more than its
    teacher did, because what it samples are whole clips. A rung that is left out is not climbed. Raises ValueError
    where there is none.
    """

    rank: Count = 32
    steps: Count = 8
    teacher_steps: Count = 32
    guidance: float = 3.0
    audio_guidance: float = 4.0
    prompts: Count = 48
    guided: GuidedConfig | None = None
    trajectory: TrajectoryConfig | None = None
    matching: MatchingConfig | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.rungs():
            raise ValueError("there is nothing to distil by: give distill.guided, .trajectory or .matching")

    def rungs(self) -> dict[str, GuidedConfig | TrajectoryConfig | MatchingConfig]:
        """The rungs by name, in order."""
        every = {"0-guided": self.guided, "1-trajectory": self.trajectory, "2-matching": self.matching}
        return {name: rung for name, rung in every.items() if rung is not None}

    @property
    def weights(self) -> dict[str, float]:
        """The teacher's guidance by modality."""
        return {"video": self.guidance, "audio": self.audio_guidance}


def climb(
    recipe: DistillRecipe,
    flow: FlowConfig,
    base: Path,
    train_sets: Sets,
    heldout_shards: Shards,
    codec: Codec | None,
    folder: Path,
    facts: dict[str, Any],
    start: Path | None = None,
    report: Report | None = None,
) -> Path:
    """Climb all rungs in `folder` from the denoiser `base`, going on where it stopped; returns the best student.

    The first rung starts as the student `start`, if given: one of weights before, from which `base` was trained on, is
    nearer to its guided velocity than none. `facts` go into every student, with the hash of its base. Raises ValueError
    as `loop.train` and `Heldout` do, where `start` is of another rank or network, and where `folder` has rungs of
    another denoiser, or trained with other settings.
    """
    before = checkpoint.load(start, "denoiser-lora").weights if start else None
    model, known = load_denoiser(base)
    settings, first = model.text.config, next(iter(recipe.rungs().values())).loop
    heldout = Heldout(
        heldout_shards,
        settings,
        flow.shifts,
        recipe.weights,
        recipe.prompts,
        recipe.teacher_steps,
        first.autocast,
        known.get("vocabulary", ()),
    )
    windows = {field.name: getattr(recipe, field.name) for field in fields(WindowConfig)}
    flow = replace(flow, drop_text=0.0, **windows)  # guidance without a prompt is no guidance
    train_sets.check(flow.conditions)
    channels = emphasis.weights(emphasis.deviations(train_sets.clips), flow.channel_power)
    setting = Setting(flow, settings, recipe.weights, recipe.steps, train_sets, heldout, codec, channels)
    digest = checkpoint.sha256(base)
    for name in recipe.rungs():
        _refuse_other(folder / name, digest)
    shared = {key: known[key] for key in ("vocabulary", "shifts", "world", "codec") if key in known}
    facts = shared | facts | {"base": digest, "learnt": flow.conditions.learnt}
    facts["started_from"] = checkpoint.sha256(start) if start else None

    def told(what: str) -> Callable[[int, int], None]:
        return lambda done, total: report(what, done, total, {}) if report else None

    teacher = _adapted(model, recipe.rank, (STUDENT,))
    if before is not None:
        teacher.load_adapter(STUDENT, before, str(start))  # refused now, not after the teacher's clips
    place(teacher, first.device)
    shard(teacher)
    heldout.solve(teacher, folder / "teacher.safetensors", digest, told("teacher's clips"))
    table = _Table(folder / "ladder.json", config.fingerprint([digest, config.plain(recipe)]))
    for name, weights in zip(TEACHERS, (recipe.weights, None), strict=True):
        if name not in table.rows:
            table.add(name, heldout.figures(teacher, recipe.steps, "unipc", None, weights))
    del teacher, model  # a rung has a teacher of its own, and a GPU need not hold both

    best: Path | None = None
    for name, rung in recipe.rungs().items():
        file, asked = folder / name / "student.safetensors", _settings(rung, facts["started_from"])
        if file.exists():
            _refuse_changed(file, asked)
        else:
            names = (STUDENT, CRITIC) if isinstance(rung, MatchingConfig) else (STUDENT,)
            module = _adapted(load_denoiser(base)[0], recipe.rank, names)
            if best is not None:
                before = checkpoint.load(best, "denoiser-lora").weights
            if before is not None:
                module.load_adapter(STUDENT, before)
            place(module, rung.loop.device)
            shard(module)
            objective = _objective(rung, module, setting, recipe, digest, told("teacher's solutions"))
            own = facts | {"rung": name, "settings": asked}
            _run(objective, rung.loop, folder / name, own, f"distill {name}", report)
        figures = checkpoint.load(file, "denoiser-lora").facts["figures"]
        below = table.score(best.parent.name) if best is not None else float("inf")
        table.add(name, figures)
        if best is None or beats(table.score(name), below):
            best = file
    assert best is not None
    table.finish(best.parent.name)
    if join()[0] == 0:
        part = checkpoint.load(best, "denoiser-lora")
        checkpoint.save(
            folder / best.name, replace(part, facts=part.facts | {"ladder": table.rows}), torch.bfloat16
        )
    return folder / best.name


def _refuse_other(folder: Path, digest: str) -> None:
    """ValueError if the run in `folder`, finished or not, is of another base than the one with this hash."""
    about = folder / "run.json"
    if about.is_file() and json.loads(about.read_text(encoding="utf-8")).get("base") != digest:
        raise ValueError(
            f"{folder} belongs to another denoiser than --base: remove {folder.parent} to distil this one, or give "
            "another --output"
        )


def _settings(rung: GuidedConfig | TrajectoryConfig | MatchingConfig, started_from: str | None) -> str:
    """A fingerprint of all that decides what a rung learns: where it is computed does not."""
    settings = config.plain(replace(rung, loop=replace(rung.loop, device="auto")))
    return config.fingerprint(settings if started_from is None else [settings, started_from])


def _refuse_changed(file: Path, settings: str) -> None:
    """ValueError if the finished rung of `file` was trained with other settings than those with this fingerprint."""
    if checkpoint.load(file, "denoiser-lora").facts.get("settings") != settings:
        raise ValueError(
            f"{file.parent} was trained with other settings than the recipe's: remove it to train this rung again, or "
            "give another --output"
        )


def beats(score: float, below: float) -> bool:
    """Whether a joint distance is smaller than that of a rung below by `MARGIN` or more."""
    return score < (1 - MARGIN) * below


def verdict(path: Path) -> list[str]:
    """What `ladder.json` at `path` says, a line a rung: its joint distance, and whether it beat the best one below.

    The last line says whether the student beats its teacher at as few steps.
    """
    table = json.loads(path.read_text(encoding="utf-8"))
    figures: dict[str, dict[str, float]] = table["figures"]
    lines, best, below = [], "", float("inf")
    for name, row in figures.items():
        if name in TEACHERS:
            continue
        score = row.get("score", float("inf"))
        said = (
            f"{name}: joint distance {score:.3g}"
            if "score" in row
            else f"{name}: no clips that could be kept"
        )
        if best and not beats(score, below):
            lines.append(f"{said}; it does not beat {best} by {MARGIN:.0%} and is left out")
            continue
        lines.append(f"{said}; it beats {best}" if best else said)
        best, below = name, score
    guided = figures[TEACHERS[0]]["fjd"]
    beaten = "beats" if beats(below, guided) else "does not beat"
    lines.append(
        f"the student is {best}; it {beaten} the guided teacher at as few steps ({guided:.3g}, twice the passes)"
    )
    return lines


def _adapted(model: torch.nn.Module, rank: int, names: tuple[str, ...]) -> Adapted:
    return Adapted(model, names, rank, torch.Generator().manual_seed(0))


def _objective(
    rung: GuidedConfig | TrajectoryConfig | MatchingConfig,
    module: Adapted,
    setting: Setting,
    recipe: DistillRecipe,
    digest: str,
    progress: Callable[[int, int], None],
) -> Rung:
    """The objective of a rung; the teacher's solutions are made now where they are needed and missing."""
    if isinstance(rung, GuidedConfig):
        return Guided(module, setting, rung)
    if isinstance(rung, MatchingConfig):
        return Matching(module, setting, rung)
    solver = trajectories.Solver(
        recipe.weights, setting.flow.shifts, recipe.teacher_steps, recipe.steps, rung.loop.autocast
    )
    chunk = replace(rung.loop, batch=trajectories.CLIPS)

    def draw(file: int) -> tuple[Any, Any]:
        told, _, generator = setting.draw(chunk, file, 0, 1)
        return told, noise_like(told.clean, generator)

    made_by = [digest, setting.train.sources, config.plain(solver), config.plain(setting.flow)]
    key = config.fingerprint([*made_by, rung.loop.seed])
    return Trajectory(
        module, setting, rung, trajectories.make(key, rung.count, solver, module, draw, progress)
    )


def _run(
    objective: Any, loop: LoopConfig, folder: Path, facts: dict[str, Any], what: str, report: Report | None
) -> None:
    def shown(step: int, values: dict[str, float]) -> None:
        if report:
            report(what, step, loop.steps, values)

    train(objective, replace(loop, keep=loop.keep or "score"), folder, facts, shown, page=write)


class _Table:
    """Figures of all rungs in a JSON file, forgotten where they belong to another recipe or teacher."""

    def __init__(self, path: Path, key: str) -> None:
        self.path, self.key = path, key
        kept = json.loads(path.read_text()) if path.is_file() else {}
        self.rows: dict[str, dict[str, float]] = kept["figures"] if kept.get("key") == key else {}

    def add(self, name: str, figures: dict[str, float]) -> None:
        self.rows[name] = {key: float(f"{value:.5g}") for key, value in figures.items()}
        self._write(None)

    def score(self, name: str) -> float:
        """What rungs are compared by; a rung that kept nothing lost."""
        return self.rows[name].get("score", float("inf"))

    def finish(self, best: str) -> None:
        self._write(best)

    def _write(self, best: str | None) -> None:
        if join()[0] == 0:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            text = json.dumps({"key": self.key, "best": best, "figures": self.rows}, indent=1) + "\n"
            write_atomic(self.path, lambda hidden: hidden.write_text(text, encoding="utf-8"))
