"""Tiny networks with every kind of layer, and what they read."""

import dataclasses
import json

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


@pytest.fixture(scope="session")
def weights_folder(tmp_path_factory):
    """Parts of a tiny 15B as files: real denoisers and decoder, stand-ins of the right kinds for the rest."""
    from safetensors.torch import save_file

    from published import DENOISERS, write_denoiser, write_turbo

    folder, generator = tmp_path_factory.mktemp("weights"), torch.Generator().manual_seed(0)
    write_turbo(folder / "turbo_vae", generator)
    for name, settings in DENOISERS.items():
        write_denoiser(folder / name, settings, generator, name == "base", name == "540p_sr")
    for part in ("Wan2.2-TI2V-5B-Diffusers/vae", "stable-audio-open-1.0/vae", "t5gemma-9b-9b-ul2"):
        place = folder / part
        place.mkdir(parents=True)
        (place / "config.json").write_text("{}")
        if part.startswith("t5"):
            for name in ("tokenizer.json", "tokenizer_config.json"):
                (place / name).write_text("{}")
            save_file({"a": torch.zeros(9)}, place / "model-00001-of-00001.safetensors")
            index = {"weight_map": {"a": "model-00001-of-00001.safetensors"}}
            (place / "model.safetensors.index.json").write_text(json.dumps(index))
        else:
            save_file({"a": torch.zeros(9)}, place / "diffusion_pytorch_model.safetensors")
    return folder
