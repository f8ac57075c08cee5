"""The objectives of the ladder on the layer structure of the 15B: forty layers, bfloat16 weights, no mark of given
tokens, text as vectors. What differs from the small model is what a batch is told, and nothing else.
"""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from happyhorse.codec.text import TextConfig
from happyhorse.generate.published import run
from happyhorse.model.horse import Horse, initialise
from happyhorse.model.lowrank import Adapted
from happyhorse.model.presets import HORSE_15B
from happyhorse.train import parallel
from happyhorse.train.distill import CRITIC, STUDENT, Told
from happyhorse.train.flow import FlowConfig
from happyhorse.train.loop import LoopConfig, read_log, train
from happyhorse.train.rungs import Guided, GuidedConfig, Matching, MatchingConfig, Setting

SMALL = replace(HORSE_15B, hidden_size=40, head_dim=8, num_query_groups=1, text_in_channels=12)
LOOP = LoopConfig(steps=2, batch=2, log_every=1, eval_every=100, save_every=100, preview_every=100)


class Vectors(nn.Module):
    """The network as super-resolution and sampling call it, with the arguments of the small denoiser."""

    def __init__(self) -> None:
        super().__init__()
        self.horse = initialise(Horse(SMALL), torch.Generator().manual_seed(0))
        with torch.no_grad():
            for name, parameter in self.horse.named_parameters():
                if not parameter.any():
                    draw = torch.Generator().manual_seed(len(name))
                    parameter.copy_(0.05 * torch.randn(parameter.shape, generator=draw))

    def forward(self, video, audio, text, given_video, given_audio):
        out = run(self.horse, video, audio, text, "v2")
        return out["video"], out["audio"]

    def shard_units(self) -> list[nn.Module]:
        return list(self.horse.block.layers)


class Told15b(Setting):
    """One clip a part, told by vectors."""

    def draw(self, loop, step, part, parts):
        generator = torch.Generator().manual_seed(1000 * step + part)

        def drawn(*shape: int) -> torch.Tensor:
            return torch.randn(shape, generator=generator)

        count = loop.batch // parts
        given = {"video": torch.zeros(count, 2).bool(), "audio": torch.zeros(count, 5).bool()}
        given["video"][:, 0] = True
        clean = {"video": drawn(count, 48, 2, 2, 4), "audio": drawn(count, 5, 64)}
        told = Told((drawn(count, 3, 12),), (drawn(count, 7, 12),), given, clean)
        return told, {name: torch.full((count,), 0.5) for name in clean}, generator


class Quiet(Guided):
    """Without figures: they are those of the small model's prompts."""

    def evaluate(self):
        return {}

    def preview(self, folder, step):
        pass


def setting() -> Setting:
    return Told15b(FlowConfig(), TextConfig(), {"video": 5.0, "audio": 5.0}, 4, None, None)  # type: ignore[arg-type]


def adapted(*names: str) -> Adapted:
    return Adapted(Vectors(), names, 2, torch.Generator().manual_seed(0))


def test_every_objective_gives_gradients_to_its_adapter():
    module = adapted(STUDENT, CRITIC)
    module.lighten()
    matching = Matching(module, setting(), MatchingConfig(LOOP, 1, 0, renoise=True, consistency=0.1))
    for objective, step, name in (
        (Guided(module, setting(), GuidedConfig(LOOP)), 0, STUDENT),
        (matching, 1, STUDENT),
        (matching, 0, CRITIC),
    ):
        loss, _ = objective.loss(step, 0, 1)
        loss.backward()
        learning = {n.rpartition(".")[2]: p.grad for n, p in module.named_parameters() if p.grad is not None}
        assert set(learning) == {name} and all(g.isfinite().all() for g in learning.values())
        assert any(p.grad.any() for p in module.parameters() if p.grad is not None)
        module.zero_grad()
    assert {p.dtype for p in module.parameters() if not p.requires_grad} == {torch.bfloat16, torch.float32}


SCRIPT = """
import sys
from pathlib import Path
sys.path.insert(0, {here!r})
from test_rungs_15b import parallel, two_steps
parallel.SMALL = parallel.LARGE = 0
two_steps(Path({folder!r}), micro=1)
"""


def two_steps(folder: Path, micro: int) -> None:
    """Two steps of guidance distillation."""
    objective = Quiet(adapted(STUDENT), setting(), GuidedConfig(replace(LOOP, micro=micro)))
    train(objective, replace(LOOP, micro=micro), folder, {})


@pytest.mark.slow
def test_two_processes_train_it_sharded(tmp_path, monkeypatch):
    """As if it were too large for one device: layers are freed after use, and computed again."""
    monkeypatch.setattr(parallel, "LARGE", 0)
    two_steps(tmp_path / "one", micro=2)
    script = tmp_path / "run.py"
    script.write_text(SCRIPT.format(here=str(Path(__file__).parent), folder=str(tmp_path / "two")))
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node=2",
        str(script),
    ]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, timeout=900, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    for one, two in zip(*(read_log(tmp_path / name / "log.jsonl") for name in ("one", "two")), strict=True):
        assert one["loss"] == pytest.approx(two["loss"], rel=0.02)
        assert one["grad_norm"] == pytest.approx(two["grad_norm"], rel=0.05)
