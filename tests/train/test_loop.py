"""The loop: resuming is bit for bit, interrupting saves, several processes do what one does."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from happyhorse import checkpoint
from happyhorse.data.batches import step_generator
from happyhorse.train.loop import LoopConfig, Stopped, read_log, train
from happyhorse.train.optim import OptimConfig


class Line:
    """Fits a small network to a fixed linear map; all randomness is keyed by the step."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.module = nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 4))
        self.target = torch.randn(8, 4, generator=torch.Generator().manual_seed(1))
        self.interrupt_at = -1

    def loss(self, step: int, part: int, parts: int) -> tuple[Tensor, dict[str, float]]:
        """Squared error of this part of the batch."""
        if step == self.interrupt_at and part == 0:
            os.kill(os.getpid(), signal.SIGINT)
        x = torch.randn(16, 8, generator=step_generator(5, step))[part::parts]
        return (self.module(x) - x @ self.target).square().mean(), {"part": float(part)}

    def evaluate(self) -> dict[str, float]:
        """A probe of the averaged weights."""
        return {"probe": float(self.module(torch.ones(1, 8)).detach().sum())}

    def preview(self, folder: Path | None, step: int) -> None:
        """A file, to see that previews happen; like a real one it needs the forward pass, on every rank."""
        self.module(torch.ones(1, 8))
        if folder is None:
            return
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{step}").touch()

    def release(self, folder: Path, weights: dict[str, Tensor], facts: dict) -> Path:
        """The averaged weights."""
        checkpoint.save(folder / "w.safetensors", checkpoint.Checkpoint("line", {}, weights, facts))
        return folder / "w.safetensors"


CONFIG = LoopConfig(
    steps=12, batch=16, micro=2, ema=0.9, log_every=2, eval_every=4, preview_every=6, save_every=5
)


def weights(folder: Path) -> dict[str, Tensor]:
    return checkpoint.load(folder / "w.safetensors", "line").weights


def test_training_lowers_the_loss(tmp_path):
    config = LoopConfig(steps=300, batch=16, log_every=50, optim=OptimConfig(muon_lr=0.02, adam_lr=0.02))
    train(Line(), config, tmp_path, {})
    losses = [json.loads(line)["loss"] for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert losses[-1] < 0.2 * losses[0]


def test_interrupted_and_resumed_equals_uninterrupted(tmp_path):
    train(Line(), CONFIG, tmp_path / "whole", {})
    line = Line()
    line.interrupt_at = 6  # not a multiple of save_every: the interruption itself must save
    with pytest.raises(Stopped, match="stopped after step 7"):
        train(line, CONFIG, tmp_path / "parts", {})
    train(Line(), CONFIG, tmp_path / "parts", {})
    for key, tensor in weights(tmp_path / "whole").items():
        assert torch.equal(tensor, weights(tmp_path / "parts")[key]), key
    logs = [
        [
            {k: v for k, v in json.loads(line).items() if k not in ("seconds", "clips_per_second")}
            for line in text.splitlines()
        ]
        for text in ((tmp_path / f / "log.jsonl").read_text() for f in ("whole", "parts"))
    ]
    assert [row for row in logs[1] if row["step"] != 7] == logs[0]
    assert (tmp_path / "parts" / "preview" / "12").exists()


def test_what_is_released_and_judged_are_the_averaged_weights(tmp_path):
    """The average by hand: w <- d w + (1 - d) theta after every step, d = min(0.9, (1 + n) / (10 + n))."""
    line = Line()
    expected = {key: tensor.clone() for key, tensor in line.module.state_dict().items()}
    probes = []

    def watch(step: int, values: dict[str, float]) -> None:
        decay = min(0.9, (1 + step) / (10 + step))
        for key, tensor in line.module.state_dict().items():
            expected[key] = decay * expected[key] + (1 - decay) * tensor
        own, probe = line.module.state_dict(), Line()
        probe.module.load_state_dict(expected)
        probes.append((values["probe"], probe.evaluate()["probe"]))
        assert any(not torch.allclose(own[key], expected[key], atol=1e-4) for key in own)

    train(line, dataclasses.replace(CONFIG, log_every=1, eval_every=1), tmp_path, {}, watch)
    for key, tensor in weights(tmp_path).items():
        assert torch.allclose(tensor, expected[key], atol=1e-6), key
        assert not torch.allclose(tensor, line.module.state_dict()[key], atol=1e-4), (
            "the module's own were released"
        )
    assert all(probe == pytest.approx(by_hand, abs=1e-5) for probe, by_hand in probes)


def test_values_are_averaged_over_the_parts_that_have_them(tmp_path):
    class Sometimes(Line):
        def loss(self, step: int, part: int, parts: int) -> tuple[Tensor, dict[str, float]]:
            loss, _ = super().loss(step, part, parts)
            return loss, {"part": float(part)} | ({"rare": 5.0} if part == 1 else {})

    train(Sometimes(), dataclasses.replace(CONFIG, micro=4), tmp_path, {})
    for line in read_log(tmp_path / "log.jsonl"):
        assert line["rare"] == 5 and line["part"] == 1.5


def test_a_page_is_made_at_previews_and_when_stopped(tmp_path):
    pages = []

    def page(folder: Path) -> None:
        pages.append(read_log(folder / "log.jsonl")[-1]["step"])
        assert json.loads((folder / "run.json").read_text())["colour"] == "red"

    line = Line()
    line.interrupt_at = 8
    with pytest.raises(Stopped):
        train(line, CONFIG, tmp_path, {"colour": "red"}, page=page)
    train(Line(), CONFIG, tmp_path, {"colour": "red"}, page=page)
    assert pages == [6, 9, 12]


def test_a_log_that_was_cut_off_goes_on(tmp_path):
    """A machine that stops in the middle of a line must not cost the run."""
    line = Line()
    line.interrupt_at = 6
    with pytest.raises(Stopped):
        train(line, CONFIG, tmp_path, {})
    with (tmp_path / "log.jsonl").open("a") as file:
        file.write('{"step": 8, "lo')
    train(Line(), CONFIG, tmp_path, {})
    assert [line["step"] for line in read_log(tmp_path / "log.jsonl")] == [2, 4, 6, 7, 8, 10, 12]


def test_a_batch_smaller_than_its_parts_is_refused(tmp_path):
    with pytest.raises(ValueError, match="does not fill 32 parts: raise batch"):
        train(Line(), dataclasses.replace(CONFIG, micro=32), tmp_path, {})


def test_a_gradient_that_is_not_finite_stops_with_a_remedy(tmp_path):
    line = Line()
    line.target[0, 0] = float("nan")
    with pytest.raises(ValueError, match="lower the learning rates"):
        train(line, CONFIG, tmp_path, {})


SCRIPT = """
import dataclasses, sys
from pathlib import Path
sys.path.insert(0, {here!r})
from test_loop import CONFIG, Line
from happyhorse.train import parallel
from happyhorse.train.loop import Stopped, train

parallel.SMALL = 0
config = dataclasses.replace(CONFIG, micro=1)
for name in ("sharded", "whole"):
    lines = Line(), Line()
    lines[0].interrupt_at = 6
    for line in lines:
        if name == "sharded":
            line.module.shard_units = lambda: []
        try:
            train(line, config, Path({folder!r}) / name, {{}})
        except Stopped as stop:
            assert line is lines[0] and "after step 7" in str(stop)
"""


def test_two_processes_equal_one(tmp_path):
    """Over gloo, sharded with FSDP2 or not: the same batch in two halves must give the same weights as one process.

    Only the first process is interrupted, on the way; both have to stop after the same step, save, and go on.
    """
    script = tmp_path / "run.py"
    script.write_text(SCRIPT.format(here=str(Path(__file__).parent), folder=str(tmp_path)))
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*launch, str(script)], env=environment, timeout=400, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]
    train(Line(), CONFIG, tmp_path / "one", {})
    expected = read_log(tmp_path / "one" / "log.jsonl")
    for name in ("sharded", "whole"):
        for key, tensor in weights(tmp_path / "one").items():
            assert torch.allclose(tensor, weights(tmp_path / name)[key], atol=2e-3), key
        lines = [line for line in read_log(tmp_path / name / "log.jsonl") if line["step"] != 7]
        for one, two in zip(expected, lines, strict=True):
            assert one["part"] == two["part"] == 0.5  # of all ranks, not of the first
            assert one["loss"] == pytest.approx(two["loss"], rel=1e-3)
            assert one.get("probe") == pytest.approx(two.get("probe"), abs=2e-3)
        assert (tmp_path / name / "preview" / "6").exists()
    with pytest.raises(ValueError, match=r"another number of processes \(resume-0.pt, resume-1.pt\)"):
        train(Line(), CONFIG, tmp_path / "whole", {})
