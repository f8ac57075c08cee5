"""The ladder: rungs in order, the best one kept, and going on where it stopped."""

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from happyhorse import checkpoint, config
from happyhorse.data.shards import Shards
from happyhorse.train import ladder
from happyhorse.train.flow import FlowConfig
from happyhorse.train.ladder import DistillRecipe, climb
from happyhorse.train.loop import LoopConfig, read_log
from happyhorse.train.optim import OptimConfig
from happyhorse.train.rungs import GuidedConfig, MatchingConfig, TrajectoryConfig
from happyhorse.train.windows import Sets

LOOP = LoopConfig(
    steps=4, batch=4, log_every=1, eval_every=2, preview_every=100, save_every=100, ema=0.5, autocast=False,
    optim=OptimConfig(adam_lr=0.01),
)  # fmt: skip
FLOW = FlowConfig(drop_speech=0)
RECIPE = DistillRecipe(
    rank=2,
    steps=2,
    teacher_steps=4,
    prompts=8,
    guided=GuidedConfig(LOOP),
    trajectory=TrajectoryConfig(LOOP, 8),
    matching=MatchingConfig(LOOP, critic_steps=1, critic_first=1),
)
RUNGS = ["0-guided", "1-trajectory", "2-matching"]


def run(teacher: Path, folder: Path, recipe: DistillRecipe = RECIPE, **options) -> Path:
    data = Shards(teacher / "data")
    facts = {"recipe": config.plain(recipe)}
    return climb(
        recipe, FLOW, teacher / "denoiser.safetensors", Sets(data), data, None, folder, facts, **options
    )


def test_all_rungs_are_climbed_and_the_best_one_is_the_student(teacher, tmp_path, monkeypatch):
    monkeypatch.setenv("HAPPYHORSE_CACHE", str(tmp_path / "cache"))
    said = []
    path = run(teacher, tmp_path / "distill", report=lambda what, done, total, values: said.append(what))
    assert path == tmp_path / "distill" / "student.safetensors"
    table = json.loads((tmp_path / "distill" / "ladder.json").read_text())
    assert list(table["figures"]) == ["teacher, guided", "teacher, unguided", *RUNGS]
    scores = {name: table["figures"][name].get("score", float("inf")) for name in RUNGS}
    best = RUNGS[0]
    for name in RUNGS[1:]:
        best = name if ladder.beats(scores[name], scores[best]) else best
    assert table["best"] == best
    part = checkpoint.load(path, "denoiser-lora")
    assert part.facts["rung"] == table["best"] and part.facts["ladder"].keys() == table["figures"].keys()
    assert part.facts["learnt"] == []
    own = checkpoint.load(tmp_path / "distill" / table["best"] / "student.safetensors").weights
    assert all(torch.equal(tensor, own[key]) for key, tensor in part.weights.items())
    assert part.facts["base"] == checkpoint.sha256(teacher / "denoiser.safetensors")
    assert part.facts["shifts"] == FLOW.shifts and part.facts["vocabulary"]
    assert {"teacher's clips", "teacher's solutions", *(f"distill {name}" for name in RUNGS)} == set(said)
    for name in RUNGS:
        assert read_log(tmp_path / "distill" / name / "log.jsonl")[-1]["step"] == 4

    before = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*.safetensors") if p.parent.name != "distill"}
    (tmp_path / "distill" / "2-matching" / "student.safetensors").unlink()
    said.clear()
    assert run(teacher, tmp_path / "distill", report=lambda what, *_: said.append(what)) == path
    assert not said, "what was done is not done again"
    kept = {p: t for p, t in before.items() if p.parent.name != "2-matching"}
    assert all(p.stat().st_mtime_ns == t for p, t in kept.items())


@pytest.mark.parametrize(
    ("scores", "best"),
    [((5.0, 4.0, 6.0), 1), ((5.0, 7.0, 3.0), 2), ((3.0, None, None), 0), ((5.0, 4.99, 3.0), 2)],
)
def test_a_rung_stays_only_if_it_beats_the_best_below(teacher, tmp_path, monkeypatch, scores, best):
    """Each starts from the best one below; one that kept nothing has no figures and has lost."""
    monkeypatch.setenv("HAPPYHORSE_CACHE", str(tmp_path / "cache"))
    started = []

    def fake(objective, loop, folder, facts, what, report):
        rung = len(started)
        started.append(
            float(sum(t.detach().abs().sum() for t in objective.module.adapter("student").values()))
        )
        weights = {
            f"model.{key}.student": torch.full_like(tensor, float(rung + 1))
            for key, tensor in objective.module.adapter("student").items()
        }
        score = scores[rung]
        objective.release(folder, weights, facts | {"figures": {"score": score} if score else {}})

    monkeypatch.setattr(ladder, "_run", fake)
    monkeypatch.setattr(ladder.Heldout, "solve", lambda *args: None)
    monkeypatch.setattr(ladder.Heldout, "figures", lambda *args: {"fjd": 1.0})
    monkeypatch.setattr(ladder.trajectories, "make", lambda *args: [])
    path = run(teacher, tmp_path / "d")
    assert json.loads((tmp_path / "d" / "ladder.json").read_text())["best"] == RUNGS[best]
    said = ladder.verdict(tmp_path / "d" / "ladder.json")
    assert len(said) == 4 and f"the student is {RUNGS[best]}; it does not beat" in said[-1]
    lost = [i for i in range(3) if "and is left out" in said[i]]
    assert lost == {1: [2], 2: [1], 0: [1, 2]}[best]
    recipe = dataclasses.replace(RECIPE, trajectory=dataclasses.replace(RECIPE.trajectory, ahead=0.25))
    with pytest.raises(ValueError, match="1-trajectory was trained with other settings"):
        run(teacher, tmp_path / "d", recipe=recipe)
    assert checkpoint.load(path).facts["rung"] == RUNGS[best]
    size = started[1]  # the first rung's adapter is all ones
    assert started[2] == pytest.approx(2 * size if best == 1 or scores[1] == 4.0 else size)


def test_the_first_rung_starts_as_another_student(teacher, tmp_path, monkeypatch):
    """Of the same rank; what it started from is among its facts, and another start is another run."""
    monkeypatch.setenv("HAPPYHORSE_CACHE", str(tmp_path / "cache"))
    guided = dataclasses.replace(RECIPE, trajectory=None, matching=None)
    before = run(teacher, tmp_path / "before", guided)
    still = dataclasses.replace(LOOP, optim=OptimConfig(adam_lr=1e-12))
    recipe = dataclasses.replace(guided, guided=GuidedConfig(still))
    path = run(teacher, tmp_path / "after", recipe, start=before)
    own, its = checkpoint.load(path), checkpoint.load(before).weights
    assert all(torch.equal(tensor, its[key]) for key, tensor in own.weights.items())
    assert any(tensor.any() for key, tensor in its.items() if key.endswith(".up")), "it has learnt something"
    assert own.facts["started_from"] == checkpoint.sha256(before)
    with pytest.raises(ValueError, match="0-guided was trained with other settings"):
        run(teacher, tmp_path / "after", recipe)
    with pytest.raises(ValueError, match=r"before/student\.safetensors.*should be"):
        run(teacher, tmp_path / "other", dataclasses.replace(recipe, rank=3), start=before)


def test_rungs_of_another_denoiser_are_refused(teacher, tmp_path):
    about = tmp_path / "d" / "1-trajectory" / "run.json"
    about.parent.mkdir(parents=True)
    about.write_text('{"base": "another"}')
    with pytest.raises(
        ValueError, match=r"1-trajectory belongs to another denoiser.*remove .*or give another --output"
    ):
        run(teacher, tmp_path / "d")


def test_recipes_without_rungs_are_refused():
    with pytest.raises(ValueError, match="nothing to distil by"):
        DistillRecipe()
    assert list(dataclasses.replace(RECIPE, guided=None).rungs()) == RUNGS[1:]
    assert config.build(DistillRecipe, config.plain(RECIPE)) == RECIPE


SCRIPT = """
import sys
from pathlib import Path
sys.path.insert(0, {here!r})
from happyhorse.train import parallel
from test_ladder import run
parallel.SMALL = 0
run(Path({teacher!r}), Path({folder!r}))
"""


def test_two_processes_do_what_one_does(teacher, tmp_path, monkeypatch):
    """Sharded over gloo, all rungs: the same figures and students, up to the last bits of sums."""
    monkeypatch.setenv("HAPPYHORSE_CACHE", str(tmp_path / "cache"))
    two = dataclasses.replace(LOOP, micro=2)
    parts = {"guided": GuidedConfig(two), "trajectory": TrajectoryConfig(two, 8)}
    recipe = dataclasses.replace(
        RECIPE, **parts, matching=MatchingConfig(two, critic_steps=1, critic_first=1)
    )
    run(teacher, tmp_path / "one", recipe)
    script = tmp_path / "run.py"
    here = str(Path(__file__).parent)
    script.write_text(SCRIPT.format(here=here, teacher=str(teacher), folder=str(tmp_path / "two")))
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node=2",
        str(script),
    ]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "HAPPYHORSE_CACHE": str(tmp_path / "other")}
    done = subprocess.run(command, env=environment, timeout=900, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    for name in RUNGS:
        one, two = (read_log(tmp_path / folder / name / "log.jsonl") for folder in ("one", "two"))
        for a, b in zip(one, two, strict=True):
            assert a["loss"] == pytest.approx(b["loss"], rel=0.05), (name, a["step"])
    tables = [json.loads((tmp_path / name / "ladder.json").read_text())["figures"] for name in ("one", "two")]
    for name, figures in tables[
        0
    ].items():  # Adam turns a gradient of +-0 into a step of +-lr: about the same
        tolerance = 1e-3 if name.startswith("teacher") else 0.2
        for figure, value in figures.items():
            assert value == pytest.approx(tables[1][name][figure], rel=tolerance, nan_ok=True), (name, figure)
