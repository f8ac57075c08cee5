"""The loop: resuming is bit for bit, interrupting saves, several processes do what one does."""

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
from happyhorse.train.loop import LoopConfig, Stopped, train
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

    def preview(self, folder: Path, step: int) -> None:
        """A file, to see that previews happen."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{step}").touch()

    def release(self, folder: Path, weights: dict[str, Tensor], facts: dict) -> Path:
        """The averaged weights."""
        checkpoint.save(folder / "w.safetensors", checkpoint.Checkpoint("line", {}, weights, facts))
        return folder / "w.safetensors"


CONFIG = LoopConfig(steps=12, batch=16, micro=2, ema=0.9, log_every=2, eval_every=4, preview_every=6, save_every=5)


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
        [{k: v for k, v in json.loads(line).items() if k not in ("seconds", "clips_per_second")} for line in text.splitlines()]
        for text in ((tmp_path / f / "log.jsonl").read_text() for f in ("whole", "parts"))
    ]
    assert [row for row in logs[1] if row["step"] != 7] == logs[0]
    assert (tmp_path / "parts" / "preview" / "12").exists()


def test_a_gradient_that_is_not_finite_stops_with_a_remedy(tmp_path):
    line = Line()
    line.target[0, 0] = float("nan")
    with pytest.raises(ValueError, match="lower the learning rates"):
        train(line, CONFIG, tmp_path, {})


def test_two_processes_equal_one(tmp_path):
    """FSDP2 over gloo: the same batch in two halves must give the same weights as one process."""
    script = tmp_path / "run.py"
    script.write_text(
        "import sys, dataclasses\nfrom pathlib import Path\n"
        f"sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "from test_loop import CONFIG, Line\nfrom happyhorse.train.loop import train\n"
        "train(Line(), dataclasses.replace(CONFIG, micro=1), Path(sys.argv[1]), {})\n"
    )
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", str(script)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    subprocess.run([*command, str(tmp_path / "two")], check=True, env=environment, timeout=240, capture_output=True)
    train(Line(), CONFIG, tmp_path / "one", {})
    for key, tensor in weights(tmp_path / "one").items():
        assert torch.allclose(tensor, weights(tmp_path / "two")[key], atol=2e-3), key
