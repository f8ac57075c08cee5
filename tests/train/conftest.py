"""Small shards, made by hand: what training reads, without a world and without a codec."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from happyhorse.codec.text import TextConfig
from happyhorse.data.shards import Shards
from happyhorse.model.presets import HorseConfig
from happyhorse.train.flow import FlowConfig, FlowObjective
from happyhorse.train.loop import LoopConfig, train
from happyhorse.train.optim import OptimConfig

COLOURS = ("red", "blue")
Make = Callable[[str, int], Shards]


def record(index: int, family: str) -> dict[str, Any]:
    """A clip that is red or blue, by turns, and says "ba" (first sound at once, second at half a second)."""
    colour = COLOURS[index % 2]
    return {
        "seed": index,
        "family": family,
        "attributes": {"colour": colour},
        "captions": [f'a {colour} ball, "ba"', f'"ba": {colour}'],
        "heldout": [f'look, it is {colour}: "ba"'],
        "phones": [["b", 0.0, 0.1, 0], ["ɑː", 0.5, 0.6, 0]],
        "languages": ["en"],
        "events": [],
    }


def shards(folder: Path, video: Tensor, audio: Tensor) -> Shards:
    """One shard of the tensors, with families by turns of two."""
    folder.mkdir(parents=True)
    rows = [record(i, ("balls", "clock")[i // 2 % 2]) for i in range(len(video))]
    save_file({"video": video, "audio": audio}, folder / "00000.safetensors")
    (folder / "00000.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return Shards(folder)


def coloured(folder: Path, clips: int) -> Shards:
    """Shards of latents bf16 [n, 48, 4, 2, 2] and [n, 13, 64] of unit scale, told apart by colour."""
    generator = torch.Generator().manual_seed(len(folder.name))
    pattern = torch.Generator().manual_seed(0)  # the same for every set
    sign = torch.tensor([1.0 - 2 * (i % 2) for i in range(clips)])
    sets = []
    for shape in ((48, 4, 2, 2), (13, 64)):
        mean = torch.randn(shape, generator=pattern)
        noise = torch.randn(clips, *shape, generator=generator)
        sets.append(sign.reshape(-1, *[1] * len(shape)) * mean + 0.1 * noise)
    return shards(folder, sets[0].bfloat16(), sets[1].bfloat16())


@pytest.fixture
def latents(tmp_path: Path) -> Make:
    """Makes sets of `coloured` latents by name and number of clips."""
    return lambda name, clips: coloured(tmp_path / name, clips)


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with sixteen `coloured` latents in `data`, and a small denoiser that has learnt them a little."""
    folder = tmp_path_factory.mktemp("teacher")
    data = coloured(folder / "data", 16)
    horse = HorseConfig(
        num_layers=2, hidden_size=48, head_dim=16, num_query_groups=1, text_in_channels=16, mm_layers=(0,),
        gelu7_layers=(0,), given_embedding=True, param_dtype="fp32",
    )  # fmt: skip
    loop = LoopConfig(
        steps=60, batch=8, log_every=60, eval_every=100, save_every=100, preview_every=100, ema=0.9, autocast=False,
        optim=OptimConfig(muon_lr=0.02, adam_lr=0.02),
    )  # fmt: skip
    flow = FlowConfig(drop_text=0.2, drop_speech=0)
    train(FlowObjective(horse, TextConfig(64, 8, 16), flow, loop, data, data, None), loop, folder, {})
    return folder


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Make:
    """Shards of pixels uint8 [n, 9, 48, 48, 3] with a square that moves, and sound int16 [n, 5760] with a click."""

    def make(name: str, clips: int) -> Shards:
        generator = torch.Generator().manual_seed(len(name))
        video = torch.randint(98, 102, (clips, 9, 48, 48, 3), dtype=torch.uint8, generator=generator)
        audio = torch.zeros(clips, 9 * 640)
        for clip in range(clips):
            y, x, click = torch.randint(30, (3,), generator=generator).tolist()
            for frame in range(9):
                video[clip, frame, y : y + 12, x + frame : x + frame + 8, clip % 3] = 250
            decay = torch.exp(-torch.arange(2000) / 300)
            audio[clip, 100 * click : 100 * click + 2000] = decay * torch.sin(
                torch.arange(2000) * (0.2 + 0.1 * (clip % 3))
            )
        return shards(tmp_path_factory.mktemp(name) / "raw", video, (audio * 20_000).short())

    return make
