"""Every kernel gives the attention of `model.attention`, windows included."""

import importlib.util

import pytest
import torch

from happyhorse.engine import attention
from happyhorse.model.attention import Window, attend

GROUPS, HEADS, WIDTH = 2, 6, 64
GPU = pytest.mark.gpu


def inputs(frames, frame_tokens, rest, device="cpu", dtype=torch.float32):
    generator = torch.Generator().manual_seed(0)
    length = frames * frame_tokens + rest
    shapes = ((1, length, heads, WIDTH) for heads in (HEADS, GROUPS, GROUPS))
    return [torch.randn(shape, generator=generator).to(device, dtype) for shape in shapes]


FLEX = pytest.param("flex", marks=pytest.mark.slow)  # it loads half of the compiler


@pytest.mark.parametrize("kernel", ["auto", "math", FLEX])
@pytest.mark.parametrize("window", [None, Window(4, 1)])
def test_kernels_agree(kernel, window):
    q, k, v = inputs(5, 4, 3)
    expected = attend(q, k, v, None, 20, window)
    torch.testing.assert_close(
        attention.choose(kernel)(q, k, v, None, 20, window), expected, rtol=1e-5, atol=1e-5
    )


@pytest.mark.parametrize("kernel", ["math", "flex"])
def test_masks_are_kept(kernel):
    q, k, v = inputs(5, 4, 3)
    mask = (torch.arange(23) < 21)[None, None, None]
    found = attention.choose(kernel)(q, k, v, mask, 20, None)
    torch.testing.assert_close(found, attend(q, k, v, mask, 20, None))


def test_one_network_at_a_time(network, run):
    plain, other = network(), attention.use(network(), "math")
    assert run(plain).sub(run(other)).abs().max() < 1e-4
    assert plain.block.layers[0].attention.attend is attend


def test_what_is_not_there(monkeypatch):
    with pytest.raises(ValueError, match="did you mean 'flash'"):
        attention.choose("flsh")
    if not importlib.util.find_spec("kernels"):
        with pytest.raises(ValueError, match="FlashAttention 3 cannot be had here"):
            attention.choose("fa3")


@GPU
@pytest.mark.parametrize("kernel", ["auto", "cudnn", "flash", "efficient", "flex"])
@pytest.mark.parametrize("window", [None, Window(112, 2)])
def test_kernels_agree_on_a_gpu(kernel, window):
    """bf16 kernels against fp32 arithmetic on the same bf16 numbers: no further off than the rounding of the result."""
    q, k, v = inputs(8, 112, 130, "cuda", torch.bfloat16)
    exact = attend(q.float(), k.float(), v.float(), None, 8 * 112, window)
    found = attention.choose(kernel)(q, k, v, None, 8 * 112, window)
    torch.testing.assert_close(found.float(), exact, rtol=2e-2, atol=4e-3)
