"""Tiny networks with every kind of layer, and what they read."""

import dataclasses

import pytest
import torch

from happyhorse.model.attention import Window
from happyhorse.model.horse import Horse
from happyhorse.model.presets import HorseConfig
from happyhorse.model.tokens import Grid, coordinates

GRID, STEPS, WORDS = Grid(4, 2, 2), 5, 3
TINY = HorseConfig(
    num_layers=5,
    hidden_size=64,
    head_dim=16,
    num_query_groups=2,
    video_in_channels=8,
    audio_in_channels=4,
    text_in_channels=6,
    mm_layers=(0, 4),
    local_attn_layers=(1, 2),
    gelu7_layers=(0,),
    param_dtype="fp32",
)


@pytest.fixture
def network():
    """A function that makes the same random network again, with changes to its numbers."""

    def make(**changes):
        horse = Horse(dataclasses.replace(TINY, **changes))
        generator = torch.Generator().manual_seed(1)
        with torch.no_grad():
            for parameter in horse.parameters():
                parameter.copy_(0.1 * torch.randn(parameter.shape, generator=generator))
        return horse.requires_grad_(False).eval()

    return make


@pytest.fixture
def run():
    """A function that runs a network once, on noise of the same seed, and returns its video velocity on the host."""

    def once(horse, seed=0, grid=GRID, device="cpu"):
        generator, config = torch.Generator().manual_seed(seed), horse.config
        widths = config.video_in_channels, config.audio_in_channels, config.text_in_channels
        inputs = [
            torch.randn(1, n, c, generator=generator).to(device)
            for n, c in zip((grid.tokens, STEPS, WORDS), widths, strict=True)
        ]
        coords = coordinates(grid, STEPS, WORDS, "v2", device=device)
        with torch.no_grad():
            return horse(*inputs, coords, window=Window(grid.frame_tokens, 1))[0].cpu()

    return once
