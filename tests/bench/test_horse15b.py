"""The benchmark of the 15B: the plain implementation in it says what the package says, and all of it runs."""

import dataclasses
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from happyhorse import config
from happyhorse.engine import attention
from happyhorse.engine.quantise import quantise
from happyhorse.model.attention import Window
from happyhorse.model.compiling import compile_layers
from happyhorse.model.horse import Horse
from happyhorse.model.presets import HorseConfig
from happyhorse.model.tokens import Grid, coordinates

BENCH = Path(__file__).parents[2] / "bench"
SMALL = HorseConfig(
    num_layers=4,
    hidden_size=128,
    head_dim=32,
    num_query_groups=2,
    video_in_channels=16,
    audio_in_channels=4,
    text_in_channels=12,
    mm_layers=(0, 3),
    gelu7_layers=(0,),
    local_attn_layers=(1, 3),
)
LARGE = dataclasses.replace(SMALL, hidden_size=2048, head_dim=128, num_query_groups=4)


@pytest.fixture(scope="module")
def literal():
    spec = importlib.util.spec_from_file_location("literal", BENCH / "literal.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def case(settings, grid, device="cpu"):
    """A random network, a function that runs it, and what the plain implementation takes."""
    horse, generator = Horse(settings), torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in horse.parameters():
            scale = parameter.shape[-1] ** -0.5 if parameter.ndim > 1 else 0.1
            parameter.copy_(scale * torch.randn(parameter.shape, generator=generator))
    horse = horse.to(device).requires_grad_(False)
    widths = settings.video_in_channels, settings.audio_in_channels, settings.text_in_channels
    shapes = zip((grid.tokens, 9, 5), widths, strict=True)
    tokens = [torch.randn(shape, generator=generator).to(device) for shape in shapes]
    coords = coordinates(grid, 9, 5, "v1", device=device)

    def run(network=horse):
        with torch.no_grad():
            return network(*(part[None] for part in tokens), coords, window=Window(grid.frame_tokens, 2))[0][
                0
            ]

    plain = config.plain(settings), horse.state_dict(), *tokens, coords[0], grid.frame_tokens, 2
    return horse, run, plain


def off(one, other):
    return float((one - other).norm() / other.norm())


def test_the_plain_implementation_agrees(literal):
    """In bf16, on a CPU: not a bit differs, or one rounding of bf16 does where sums are ordered in another way."""
    _, run, plain = case(SMALL, Grid(7, 2, 3))
    assert off(literal.velocities(*plain)[0], run()) < 5e-3


@pytest.mark.slow
def test_it_runs(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- bench: 15b -->\nold\n<!-- end -->\nafter\n")
    options = [
        "--tiny",
        "--seconds",
        "1",
        "--sizes",
        "256p,1080p",
        "--kernels",
        "auto,math,fa3",
        "--no-compile",
    ]
    command = [
        sys.executable,
        str(BENCH / "horse15b.py"),
        *options,
        "--json",
        str(tmp_path / "a.json"),
        "--write",
        str(page),
    ]
    run = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert run.returncode == 0, run.stderr[-2000:]
    rows = json.loads((tmp_path / "a.json").read_text())["rows"]
    done = {(row["stage"], row["how"]): row for row in rows if row["seconds"]}
    assert {
        ("256p", "plain"),
        ("1080p", "auto"),
        ("1080p", "math"),
        ("decode 1080p", "2 strips"),
        ("decode 256p", "channels last"),
    } <= set(done)
    assert all(row["error"] < 0.02 for row in done.values() if row["error"] is not None)
    text = page.read_text()
    assert (
        text.startswith("before")
        and text.endswith("after\n")
        and "| 256p | plain |" in text
        and "old" not in text
    )


@pytest.mark.gpu
def test_the_plain_implementation_agrees_on_a_gpu(literal):
    """The dtypes of the published model on CUDA: within what bf16 rounding does over four layers."""
    _, run, plain = case(LARGE, Grid(7, 8, 14), "cuda")
    assert off(literal.velocities(*plain)[0], run()) < 2e-2


@pytest.mark.gpu
@pytest.mark.parametrize("change", ["compiled", "fp8", "int8", "cudnn", "flex"])
def test_what_makes_it_faster_or_smaller_on_a_gpu(change):
    horse, run, _ = case(LARGE, Grid(7, 8, 14), "cuda")
    expected = run()
    if change == "compiled":
        compile_layers(horse)
    elif change in ("fp8", "int8"):
        pytest.importorskip("torchao")
        quantise(horse, change)
    else:
        attention.use(horse, change)
    assert off(run(), expected) < {"fp8": 0.15, "int8": 0.03}.get(change, 2e-2)
