"""The rungs as objectives: what they learn from, what they leave alone, and that each makes the next one easier."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from happyhorse import checkpoint
from happyhorse.data.edits import Edits
from happyhorse.data.shards import Shards
from happyhorse.generate.denoiser import load_denoiser
from happyhorse.model.lowrank import Adapted, merge
from happyhorse.train import distill, trajectories
from happyhorse.train.conditions import ConditionConfig
from happyhorse.train.distill import CRITIC, MODALITIES, STUDENT
from happyhorse.train.flow import FlowConfig
from happyhorse.train.heldout import Heldout
from happyhorse.train.loop import LoopConfig, train
from happyhorse.train.optim import OptimConfig
from happyhorse.train.rungs import (
    Guided,
    GuidedConfig,
    Matching,
    MatchingConfig,
    Setting,
    Trajectory,
    TrajectoryConfig,
    noise_like,
)  # fmt: skip
from happyhorse.train.windows import Sets

FLOW = FlowConfig(drop_text=0, drop_speech=0, conditions=ConditionConfig(0.5, 0, 0, 0, 0.2, 0))
WEIGHTS = {"video": 3.0, "audio": 4.0}
LOOP = LoopConfig(
    steps=12, batch=8, log_every=1, eval_every=100, preview_every=100, save_every=100, ema=0.8, autocast=False,
    optim=OptimConfig(adam_lr=0.01, warmup=0.0),
)  # fmt: skip
STEPS = 4


def adapted(teacher: Path, *names: str, rank: int = 4) -> Adapted:
    model, _ = load_denoiser(teacher / "denoiser.safetensors")
    return Adapted(model, names, rank, torch.Generator().manual_seed(0))


def setting(teacher: Path, data: Shards, weights=WEIGHTS, flow: FlowConfig = FLOW) -> Setting:
    text = load_denoiser(teacher / "denoiser.safetensors")[0].text.config
    heldout = Heldout(data, text, flow.shifts, weights, 8, 8, autocast=False)
    return Setting(flow, text, weights, STEPS, Sets(data), heldout)


def losses(rung, steps: int) -> list[float]:
    """Loss of every step of plain AdamW on the student."""
    student = [p for name, p in rung.module.named_parameters() if name.endswith(".student")]
    optimizer = torch.optim.AdamW(student, lr=0.01, weight_decay=0)
    found = []
    for step in range(steps):
        loss, _ = rung.loss(step, 0, 1)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        found.append(float(loss.detach()))
    return found


def solutions(
    module: Adapted, sets: Setting, cache: Path, monkeypatch, clips: int = 16
) -> trajectories.Trajectories:
    monkeypatch.setenv("HAPPYHORSE_CACHE", str(cache))
    solver = trajectories.Solver(WEIGHTS, FLOW.shifts, 8, STEPS, autocast=False)

    def draw(file):
        told, _, generator = sets.draw(LOOP, file, 0, 1)
        return told, noise_like(told.clean, generator)

    return trajectories.make("test", clips, solver, module, draw)


def test_guidance_and_trajectory_learn_and_the_first_helps_the_second(
    latents, teacher, tmp_path, monkeypatch
):
    sets = setting(teacher, Shards(teacher / "data"))
    module = adapted(teacher, STUDENT)
    data = solutions(module, sets, tmp_path, monkeypatch)
    cold = Trajectory(module, sets, TrajectoryConfig(LOOP, 16, 0.5), data)
    start = sum(float(cold.loss(step, 0, 1)[0].detach()) for step in range(4))
    found = losses(Guided(module, sets, GuidedConfig(LOOP)), 12)
    assert sum(found[-3:]) < 0.7 * sum(found[:3])
    warm = sum(float(cold.loss(step, 0, 1)[0].detach()) for step in range(4))
    assert warm < 0.8 * start
    found = losses(cold, 12)
    assert sum(found[-3:]) < 0.9 * sum(found[:3])


def test_rungs_show_what_stands_beside_clips(teacher, tmp_path, monkeypatch):
    """A student of edits is shown their sources as its teacher is, also in solutions that were kept."""
    flow = replace(FLOW, conditions=ConditionConfig(0, 0, 0, 0, 0, 0, edit=1.0))
    shards, module = Shards(teacher / "data"), adapted(teacher, STUDENT)
    sets = setting(teacher, shards, flow=flow)
    with pytest.raises(ValueError, match="there are no clips for edit: give them"):
        sets.train.check(flow.conditions)
    edits = Edits(shards)
    sets = replace(sets, train=Sets(shards, {"edit": edits}))
    assert sets.train.sources == 2 * [(["data"], len(shards))]
    told, levels, generator = sets.draw(LOOP, 0, 0, 1)
    results = [edits[i] for i in edits.batch(4, LOOP.seed, 0)]
    assert torch.equal(told.clean["video"], torch.stack([result[0] for result in results]).float())
    sources = [result[2]["before"][0] for result in results]
    assert told.beside is not None and torch.equal(told.beside.video, torch.stack(sources).float())
    x = distill.noised(told, told.clean, noise_like(told.clean, generator), levels)
    seen = distill.guided(module, x, told, WEIGHTS)["video"]
    others = [replace(told, beside=beside) for beside in (told.beside.rows(torch.tensor([1, 2, 3, 0])), None)]
    assert not any(torch.allclose(seen, distill.guided(module, x, one, WEIGHTS)["video"]) for one in others)
    some = told.rows(torch.tensor([2, 2])).beside
    assert some is not None and torch.equal(some.audio, told.beside.audio[[2, 2]])
    kept, _ = solutions(module, sets, tmp_path, monkeypatch, 8)[0]
    assert kept.beside is not None and torch.equal(kept.beside.video, told.beside.video)
    assert losses(Guided(module, sets, GuidedConfig(LOOP)), 2)[0] > 0


def test_solutions_are_those_of_the_guided_teacher(teacher, tmp_path, monkeypatch):
    """Kept are the states at every other of eight levels; made is only what is missing."""
    sets, module = setting(teacher, Shards(teacher / "data")), adapted(teacher, STUDENT)
    data = solutions(module, sets, tmp_path, monkeypatch)
    assert len(data) == 2
    told, states = data[1]
    asked, _, generator = sets.draw(LOOP, 1, 0, 1)
    noise = noise_like(asked.clean, generator)
    assert all(torch.equal(a, b) for a, b in zip(told.words, asked.words, strict=True))
    final = distill.sample(module, asked, noise, FLOW.shifts, 8, "unipc", None, WEIGHTS)
    opening = distill.pin(asked, noise)
    for name in MODALITIES:
        assert states[name].shape[:2] == (8, STEPS + 1)
        assert torch.allclose(states[name][:, -1], final[name], atol=0.05)  # bfloat16 on disk
        assert torch.allclose(states[name][:, 0], opening[name], atol=0.02)
        mask = distill.spread(told.given[name], name).expand_as(final[name])
        for level in range(STEPS + 1):
            assert torch.allclose(states[name][:, level][mask], asked.clean[name][mask], atol=0.02)
        assert float((states[name][:, 1] - states[name][:, 0])[~mask].abs().mean()) > 0.05
    assert told.given["video"].any() and told.given["audio"].any()
    before = {path: path.stat().st_mtime_ns for path in data.paths}
    data.paths[0].unlink()
    solutions(module, sets, tmp_path, monkeypatch)
    assert data.paths[0].exists() and data.paths[1].stat().st_mtime_ns == before[data.paths[1]]
    with pytest.raises(ValueError, match="multiple, such as 32"):
        trajectories.Solver(WEIGHTS, FLOW.shifts, 30, 8)


def test_the_students_gradient_is_zero_while_the_critic_is_the_teacher(teacher):
    """Without guidance and with a critic that has not learnt, there is nothing to move to: exactly."""
    sets = setting(teacher, Shards(teacher / "data"), {"video": 1.0, "audio": 1.0})
    rung = Matching(adapted(teacher, STUDENT, CRITIC), sets, MatchingConfig(LOOP, 1, 0))
    assert [rung.is_students(step) for step in range(4)] == [False, True, False, True]
    loss, _ = rung.loss(1, 0, 1)
    loss.backward()
    gradients = {n: p.grad for n, p in rung.module.named_parameters() if p.grad is not None}
    assert gradients and all(name.endswith(".student") for name in gradients)
    assert not any(bool(g.any()) for g in gradients.values())
    rung.setting = setting(teacher, sets.train.clips)  # with guidance there is
    loss, _ = rung.loss(1, 0, 1)
    loss.backward()
    assert any(bool(p.grad.any()) for p in rung.module.parameters() if p.grad is not None)


def test_the_critic_learns_what_the_student_makes(teacher):
    sets = setting(teacher, Shards(teacher / "data"))
    rung = Matching(adapted(teacher, STUDENT, CRITIC), sets, MatchingConfig(LOOP, 5, 1000, renoise=True))
    critic = [p for name, p in rung.module.named_parameters() if name.endswith(".critic")]
    optimizer = torch.optim.AdamW(critic, lr=0.02)
    before = sum(float(rung.loss(step, 0, 1)[0].detach()) for step in range(100, 104))
    for step in range(16):
        loss, values = rung.loss(step, 0, 1)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        assert set(values) == {"critic_video", "critic_audio"}
    probe = sum(float(rung.loss(step, 0, 1)[0].detach()) for step in range(100, 104))
    assert probe < 0.99 * before, (probe, before)
    assert rung.module.pace("x.down.critic") == 4 and rung.sampler == "renoise"


def test_turns_begin_after_the_critics_and_consistency_is_a_term(teacher):
    config = MatchingConfig(LOOP, critic_steps=2, critic_first=3, consistency=0.5)
    rung = Matching(adapted(teacher, STUDENT, CRITIC), setting(teacher, Shards(teacher / "data")), config)
    assert [step for step in range(12) if rung.is_students(step)] == [5, 8, 11]
    loss, values = rung.loss(5, 0, 1)
    assert set(values) == {"pull_video", "pull_audio", "consistency"}
    total = values["pull_video"] + values["pull_audio"] + 0.5 * values["consistency"]
    assert float(loss.detach()) == pytest.approx(total)
    assert float(rung.loss(5, 0, 1)[0].detach()) == float(loss.detach()), "keyed by step and part"


@pytest.mark.parametrize(
    ("ratio", "score"), [(1.0, 5.0), (0.8, float("nan")), (1.4, float("inf")), (0.5, float("inf"))]
)
def test_a_student_that_saturates_or_collapses_is_not_kept(teacher, monkeypatch, ratio, score):
    rung = Matching(
        adapted(teacher, STUDENT, CRITIC), setting(teacher, Shards(teacher / "data")), MatchingConfig(LOOP)
    )
    figures = {"fjd": 5.0, "std_video": 1.0, "std_audio": ratio}
    monkeypatch.setattr(Heldout, "figures", lambda *args: dict(figures))
    assert rung.evaluate()["score"] == pytest.approx(score, nan_ok=True)


def test_figures_of_the_teacher_against_itself(teacher, tmp_path):
    data = Shards(teacher / "data")
    sets, module = setting(teacher, data), adapted(teacher, STUDENT)
    done = []
    sets.heldout.solve(module, tmp_path / "t.safetensors", "a", lambda *at: done.append(at))
    figures = sets.heldout.figures(module, 8, "unipc", None, WEIGHTS)
    for name in MODALITIES:
        assert figures[f"gap_{name}"] == pytest.approx(0, abs=1e-4)
        assert figures[f"std_{name}"] == pytest.approx(1, abs=1e-3)
    assert figures["diversity"] == pytest.approx(1, abs=0.01) and done[-1] == (11, 11)
    far = sets.heldout.figures(module, 2, "euler", STUDENT)
    assert far["gap_video"] > 0.01 and far["gap"] == pytest.approx((far["gap_video"] + far["gap_audio"]) / 2)
    again = setting(teacher, data)
    again.heldout.solve(module, tmp_path / "t.safetensors", "a", lambda *at: pytest.fail("it was kept"))
    assert torch.allclose(again.heldout.teacher["audio"], sets.heldout.teacher["audio"], atol=0.05)
    again.heldout.solve(module, tmp_path / "t.safetensors", "b", lambda *at: done.append("anew"))
    assert done[-1] == "anew"
    with pytest.raises(ValueError, match="at least 8"):
        Heldout(data, sets.text, FLOW.shifts, WEIGHTS, 17, 8, autocast=False)


def test_a_student_is_a_small_file_that_merges_with_its_base(teacher, tmp_path):
    sets = setting(teacher, Shards(teacher / "data"))
    rung = Guided(adapted(teacher, STUDENT), sets, GuidedConfig(LOOP, "heun"))
    sets.heldout.solve(rung.module, tmp_path / "t.safetensors", "a", lambda *at: None)
    train(rung, replace(LOOP, steps=2, keep="score", eval_every=1), tmp_path / "run", {"base": "x"})
    part = checkpoint.load(tmp_path / "run" / "student.safetensors", "denoiser-lora")
    assert part.config == {"rank": 4} and part.facts["base"] == "x" and part.facts["figures"]["score"] > 0
    asked = {"steps": STEPS, "guidance": 1.0, "audio_guidance": 1.0, "sampler": "heun"}
    assert part.facts["defaults"] == asked
    base = checkpoint.load(teacher / "denoiser.safetensors")
    merged = merge(base.weights, part.weights)
    assert merged.keys() == base.weights.keys()
    assert sum(t.numel() for t in part.weights.values()) < 0.5 * sum(t.numel() for t in merged.values())
