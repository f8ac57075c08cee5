"""One clip in several processes: real gloo processes against one, windows, masks and uneven lengths included."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from happyhorse.engine.ulysses import shares, world

WORKER = Path(__file__).with_name("ulysses_worker.py")


def together(processes: int) -> str:
    """What the worker says when that many processes run it."""
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node",
        str(processes),
    ]
    run = subprocess.run(
        [*command, str(WORKER)], capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    assert run.returncode == 0, run.stderr[-3000:]
    return run.stdout


def test_shares_are_even_and_whole():
    assert shares(33, 4) == [9, 8, 8, 8] and shares(8, 3) == [3, 3, 2] and shares(2, 4) == [1, 1, 0, 0]


def test_alone_without_torchrun(monkeypatch):
    monkeypatch.delenv("RANK", raising=False)
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    assert world() == (0, 1)


@pytest.mark.slow
@pytest.mark.parametrize("processes", [2, 4])
def test_processes_agree_with_one(processes):
    said = together(processes)
    assert said.count("agree") == 6 and "refused: 9 processes cannot share" not in said
