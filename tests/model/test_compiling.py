"""Compiled layers say nearly the same, and each is compiled as one piece."""

import shutil

import pytest
import torch
from torch import _dynamo as dynamo

from happyhorse.model.attention import Window
from happyhorse.model.compiling import compile_layers
from happyhorse.model.horse import Horse
from happyhorse.model.presets import HorseConfig
from happyhorse.model.tokens import Grid, coordinates

SETTINGS = HorseConfig(
    num_layers=3,
    hidden_size=32,
    head_dim=16,
    num_query_groups=1,
    video_in_channels=8,
    audio_in_channels=4,
    text_in_channels=6,
    mm_layers=(0,),
    local_attn_layers=(1,),
    gelu7_layers=(0,),
    near_layers=(1,),
    moving_layers=(0,),
    told_layers=(1,),
    layout_layers=(1,),
    scene_layers=(0,),
    together_layers=(2,),
    param_dtype="fp32",
)
GRID, STEPS, WORDS = Grid(4, 2, 2), 5, 3


def network():
    generator, horse = torch.Generator().manual_seed(1), Horse(SETTINGS)
    with torch.no_grad():
        for parameter in horse.parameters():
            parameter.normal_(0.0, 0.1, generator=generator)
    return horse.requires_grad_(False)


@pytest.mark.slow
@pytest.mark.skipif(not (shutil.which("g++") or shutil.which("clang++")), reason="compiling needs a compiler")
def test_compiled_layers():
    generator = torch.Generator().manual_seed(2)
    tokens = [
        torch.randn(1, n, c, generator=generator) for n, c in ((GRID.tokens, 8), (STEPS, 4), (WORDS, 6))
    ]
    inputs = (*tokens, coordinates(GRID, STEPS, WORDS, "v2"))
    window, expected = Window(GRID.frame_tokens, 1), network()
    dynamo.utils.counters.clear()
    horse = compile_layers(network())
    beside = {"window": window, "grid": GRID}
    for one, other in zip(horse(*inputs, **beside), expected(*inputs, **beside), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)
    assert not dynamo.utils.counters["graph_break"]
    assert dynamo.utils.counters["stats"]["unique_graphs"] == 9, "one for each kind of layer and of mixing"
