"""The network against the slow, literal reading of the spec in conftest.py, and its strict door."""

import re
from functools import cache

import numpy as np
import pytest
import torch

from happyhorse.model.horse import Horse
from happyhorse.model.parity import velocities
from happyhorse.model.presets import HorseConfig

TINY = {
    "num_layers": 4,
    "hidden_size": 64,
    "head_dim": 16,
    "num_query_groups": 2,
    "video_in_channels": 24,
    "audio_in_channels": 5,
    "text_in_channels": 12,
    "mm_layers": (0, 3),
    "local_attn_layers": (),
    "gelu7_layers": (0,),
    "post_norm_layers": (),
    "enable_attn_gating": True,
}

SETUPS = {
    "plain": ({}, "v2", 11),
    "v1": ({"gelu7_layers": (1, 2)}, "v1", 11),
    "odd heads": ({"num_query_groups": 1, "hidden_size": 48, "mm_layers": (1, 2)}, "v2", 11),
    "windowed": ({"local_attn_layers": (0, 2), "mm_layers": (0, 1)}, "v1", 1),
    "windowed, reach 0": ({"local_attn_layers": (0, 1, 3)}, "v2", 0),
    "post norm": ({"post_norm_layers": (0, 2), "gelu7_layers": ()}, "v2", 11),
    "no gates": ({"enable_attn_gating": False}, "v1", 11),
    "all": ({"post_norm_layers": (1, 3), "local_attn_layers": (1, 3), "gelu7_layers": (0, 1, 3)}, "v2", 1),
}


def draw_weights(config: dict, seed: int = 0) -> dict[str, torch.Tensor]:
    """Weights so large that every clamp, gate and norm weight matters."""
    generator = torch.Generator().manual_seed(seed)
    with torch.device("meta"):
        shapes = {key: tensor.shape for key, tensor in Horse(HorseConfig(**config)).state_dict().items()}
    weights = {}
    for key, shape in shapes.items():
        scale = 0.5 if "norm" in key or "bias" in key else 1.5 * shape[-1] ** -0.5
        if "up_gate" in key:
            scale *= 3  # beyond the clamps at 7
        weights[key] = torch.randn(shape, generator=generator) * scale
    bands = config["head_dim"] // 8
    weights["adapter.rope.bands"] = torch.tensor([10000.0 ** (-k / bands) for k in range(bands)])
    return weights


def draw_inputs(config: dict, seed: int = 1, frames: int = 5, steps: int = 17, words: int = 7) -> tuple:
    generator = torch.Generator().manual_seed(seed)
    video = torch.randn(1, config["video_in_channels"] // 4, frames, 4, 6, generator=generator)
    audio = torch.randn(1, steps, config["audio_in_channels"], generator=generator)
    return video, audio, torch.randn(1, words + 3, config["text_in_channels"], generator=generator), words


@pytest.fixture(scope="module")
def case(reference):
    """A function that gives the arguments of a set-up and what the slow reading makes of them, which it does once."""

    @cache
    def of(setup):
        changes, style, window = SETUPS[setup]
        config = TINY | changes
        arguments = (config, draw_weights(config), *draw_inputs(config), style, window)
        return arguments, reference(*arguments)

    return of


@pytest.mark.parametrize("setup", SETUPS)
def test_equals_the_slow_reading_in_fp32(setup, case):
    arguments, wanted = case(setup)
    inputs, got = arguments[2:4], velocities(*arguments, "fp32")
    for a, b, latent in zip(got, wanted, inputs, strict=True):
        assert a.shape == latent.shape and a.dtype == torch.float32
        assert b.std() > 0.3  # a comparison of zeros would say nothing
        torch.testing.assert_close(a[0].double(), torch.from_numpy(b), atol=1e-4, rtol=0)


@pytest.mark.parametrize("style", ["v1", "v2"])
@pytest.mark.parametrize(
    ("frames", "steps", "words"), [(1, 1, 1), (3, 0, 4), (2, 6, 0), (2, 5, 1), (4, 13, 2)]
)
def test_small_and_empty_modalities(frames, steps, words, style, reference):
    inputs = draw_inputs(TINY, frames=frames, steps=steps, words=words)
    weights = draw_weights(TINY)
    if style == "v1" and words == 1:
        with pytest.raises(ValueError, match="cannot be spread"):
            velocities(TINY, weights, *inputs, style, None, "fp32")
        return
    wanted = reference(TINY, weights, *inputs, style)
    got = velocities(TINY, weights, *inputs, style, None, "fp32")
    for a, b in zip(got, wanted, strict=True):
        torch.testing.assert_close(a[0].double(), torch.from_numpy(b), atol=1e-4, rtol=0)


@pytest.mark.parametrize("setup", SETUPS)
def test_bf16_stays_close(setup, case):
    arguments, wanted = case(setup)
    for a, b in zip(velocities(*arguments), wanted, strict=True):
        error = (a[0].double() - torch.from_numpy(b)).abs() / b.std()
        assert a.dtype == torch.float32
        assert 0 < error.mean() < 0.05, error.mean()


def test_a_local_window_matters():
    config = TINY | {"local_attn_layers": (0, 1, 2, 3)}
    weights, inputs = draw_weights(config), draw_inputs(config)
    near, far, default = (velocities(config, weights, *inputs, "v2", r, "fp32")[0] for r in (1, 4, None))
    assert (near - far).abs().max() > 0.1
    torch.testing.assert_close(default, far)  # five frames lie within 11


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (lambda w: w.pop("adapter.rope.bands"), "missing: adapter.rope.bands"),
        (
            lambda w: w.update({"block.layers.4.mlp.extra": torch.zeros(1)}),
            "of no use: block.layers.4.mlp.extra",
        ),
        (
            lambda w: w.update({"final_norm_audio.weight": torch.zeros(65)}),
            "final_norm_audio.weight is [65] and should be [64]",
        ),
    ],
)
def test_wrong_weights_are_named(break_it, message):
    weights = draw_weights(TINY)
    break_it(weights)
    with pytest.raises(ValueError, match=re.escape(message)):
        velocities(TINY, weights, *draw_inputs(TINY), "v2")


def test_wrong_inputs_are_named():
    weights, (video, audio, text, words) = draw_weights(TINY), draw_inputs(TINY)
    with pytest.raises(ValueError, match="text_length 11"):
        velocities(TINY, weights, video, audio, text, 11, "v2")
    with pytest.raises(ValueError, match="audio_latent gives tokens of 4 features"):
        velocities(TINY, weights, video, audio[..., :4], text, words, "v2")
    with pytest.raises(ValueError, match="unknown key 'mm_layer'; did you mean 'mm_layers'"):
        velocities(TINY | {"mm_layer": (3,)}, weights, video, audio, text, words, "v2")
    with pytest.raises(ValueError, match="multiples of 32 pixels"):
        velocities(TINY, weights, video[..., :5], audio, text, words, "v2")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dtype": "fp16"}, "dtype 'fp16' is unknown"),
        ({"coords": "clock"}, "coords 'clock' is unknown"),
        ({"window": -1}, "a window of -1 latent frames"),
        ({"video_latent": torch.zeros(6, 5, 4, 6)}, "video_latent is [6, 5, 4, 6]; give 5 axes"),
        ({"text": torch.zeros(2, 9, 12)}, "text is [2, 9, 12]; give 3 axes, of which the first is 1"),
    ],
)
def test_wrong_arguments_are_named(changes, message):
    names = ("video_latent", "audio_latent", "text", "text_length")
    inputs = dict(zip(names, draw_inputs(TINY), strict=True)) | {"coords": "v2"}
    with pytest.raises(ValueError, match=re.escape(message)):
        velocities(TINY, draw_weights(TINY), **(inputs | changes))


def test_numbers_and_layers_of_other_libraries():
    weights, (*latents, text, words) = draw_weights(TINY), draw_inputs(TINY)
    text[:, words:] = float("nan")  # rows of padding are not read
    loose = TINY | {"mm_layers": np.array([3, 0]), "gelu7_layers": range(1), "post_norm_layers": None}
    wanted = velocities(TINY, weights, *latents, text, words, "v2")
    for count in (torch.tensor(words), np.int64(words)):
        got = velocities(loose, weights, *latents, text, count, "v2")
        for a, b in zip(got, wanted, strict=True):
            assert torch.equal(a, b)


def test_weights_are_copied():
    weights = draw_weights(TINY)
    before = {key: value.clone() for key, value in weights.items()}
    velocities(TINY, weights, *draw_inputs(TINY), "v2", None, "fp32")
    for key, value in weights.items():
        assert torch.equal(value, before[key])


def test_fp32_checkpoints_are_rounded_at_load():
    weights, inputs = draw_weights(TINY), draw_inputs(TINY)
    matrices = ("linear_qkv", "linear_proj", "up_gate_proj", "down_proj")
    rounded = {k: v.bfloat16() if any(m in k for m in matrices) else v for k, v in weights.items()}
    for a, b in zip(
        velocities(TINY, weights, *inputs, "v2"), velocities(TINY, rounded, *inputs, "v2"), strict=True
    ):
        assert torch.equal(a, b)
