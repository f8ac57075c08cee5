"""The network of super-resolution: its guess is the least-squares one, and what it makes depends on what is near."""

import pytest
import torch

from happyhorse import checkpoint
from happyhorse.generate.upscaler import Upscaler, UpscalerConfig, load_upscaler

TINY = UpscalerConfig(width=32, layers=2, head_dim=16, groups=1, channels=4, tile=2, reach=1)


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def alive(model: Upscaler) -> Upscaler:
    """What starts at zero gets values."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * drawn(*parameter.shape, seed=parameter.numel()))
    return model


def test_the_guess_finds_a_linear_map():
    """Sharp latents that are a linear map of the neighbourhood, with a mean, are found; noise is not explained."""
    model, enlarged = Upscaler(TINY), drawn(6, 4, 3, 6, 5)
    model.basis.copy_(drawn(4, 36, seed=1))
    model.mean.copy_(drawn(4, seed=2))
    sharp = model.guess(enlarged)
    assert sharp.shape == enlarged.shape
    other, halves = Upscaler(TINY), [(enlarged[:3], sharp[:3]), (enlarged[3:], sharp[3:])]
    assert other.fit(halves, ridge=1e-9) == pytest.approx(1, abs=1e-5)
    assert torch.allclose(other.guess(enlarged), sharp, atol=1e-3)
    unlike = drawn(*sharp.shape, seed=3)
    assert Upscaler(TINY).fit([(enlarged, unlike)]) < 0.15
    with pytest.raises(ValueError, match="give it some"):
        other.fit([])


def test_what_is_sharp_already_stays():
    model, sharp = Upscaler(TINY), drawn(2, 4, 3, 6, 6)
    model.fit([(sharp, sharp)], ridge=1e-6)
    assert torch.allclose(model.guess(sharp), sharp, atol=0.01)


def test_what_the_picture_lacks_is_taken_from_around():
    """Of latents smeared with those to their right, a map of single latents would explain 1 / 1.25."""
    sharp = drawn(8, 4, 2, 8, 8)
    assert Upscaler(TINY).fit([(sharp + 0.5 * sharp.roll(-1, 4), sharp)]) > 0.9


def test_it_starts_from_the_difference_and_sees_what_is_near():
    model, x, given = Upscaler(TINY), drawn(2, 4, 5, 8, 12), torch.zeros(2, 5).bool()
    guess = drawn(2, 4, 5, 8, 12, seed=1)
    assert torch.allclose(model(x, guess, given), x - guess)
    alive(model)
    before = model(x, guess, given) - x
    for own, other in ((x, guess), (guess, x)):
        changed = own.clone()
        changed[0, :, 4, 7, 11] += 1
        inputs = (changed, other) if own is x else (other, changed)
        apart = (model(*inputs, given) - inputs[0] - before).abs().amax(1) > 1e-5
        assert apart[0, 4, 7, 11] and not apart[1].any()
        # the multiple of the difference is one number a frame; the detail reaches two frames and two tiles
        assert not apart[0, :2].any()
    given[0, 0] = True
    assert ((model(x, guess, given) - x - before).abs().amax((1, 3, 4)) > 1e-5)[0, 0]


def test_the_multiple_is_one_number_a_frame():
    model = Upscaler(TINY)
    with torch.no_grad():  # the second half of the outputs, whatever the stream is
        weight = model.horse.final_linear_video.weight.unflatten(0, (4, 2, 4))
        weight[:, 1] = 0.05 * drawn(*weight[:, 1].shape)
    x, guess = drawn(1, 4, 2, 4, 4), drawn(1, 4, 2, 4, 4, seed=1)
    ratio = model(x, guess, torch.zeros(1, 2).bool()) / (x - guess)
    assert torch.allclose(ratio, ratio.mean((1, 3, 4), keepdim=True).expand_as(ratio), atol=1e-3)
    assert not torch.allclose(ratio, torch.ones(()), atol=1e-4)


def test_all_parameters_that_are_used_learn():
    model = alive(Upscaler(TINY))
    model(
        drawn(1, 4, 2, 4, 4), drawn(1, 4, 2, 4, 4, seed=1), torch.tensor([[True, False]])
    ).square().mean().backward()
    idle = {name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()}
    assert all("audio" in name or "text" in name for name in idle), idle
    blocks = model.row_blocks("horse.block.layers.0.attention.linear_qkv.weight", torch.zeros(0, 0))
    assert blocks == (32, 16, 16, 2)


def test_a_file_is_the_model(tmp_path):
    model = alive(Upscaler(TINY))
    model.basis.copy_(drawn(4, 36))
    part = checkpoint.Checkpoint("upscaler", model.plain(), model.state_dict(), {"keep": 0.8})
    checkpoint.save(tmp_path / "u.safetensors", part)
    same, facts = load_upscaler(tmp_path / "u.safetensors")
    x, given = drawn(1, 4, 2, 4, 6), torch.zeros(1, 2).bool()
    assert facts == {"keep": 0.8} and same.config == TINY
    assert torch.allclose(same(x, 0 * x, given), model(x, 0 * x, given), atol=1e-6)
    assert torch.equal(same.guess(x), model.guess(x))
