"""Closed forms of the parts."""

import math

import pytest
import torch
import torch.nn.functional as F

from happyhorse.model import layers
from happyhorse.model.attention import Window, attend
from happyhorse.model.layers import Mlp, ModalLinear, ModalNorm, Rope, gelu7, rotate, swiglu7
from happyhorse.model.presets import HorseConfig


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def test_norm_gives_each_modality_its_weight():
    norm = ModalNorm(4, experts=3)
    norm.weight.data = torch.tensor([0.0, 1.0, 2.0]).repeat_interleave(4)
    out = norm(3 * torch.ones(2, 6, 4), (1, 3, 2))
    torch.testing.assert_close(out[0, :, 0], torch.tensor([1.0, 2, 2, 2, 3, 3]))
    heads = norm(3 * torch.ones(2, 6, 5, 4), (1, 3, 2))
    torch.testing.assert_close(heads, out.unsqueeze(2).expand(2, 6, 5, 4))


def test_norm_computes_in_fp32_and_keeps_the_dtype():
    x = (100 + draw(1, 3, 64)).bfloat16()
    out = ModalNorm(64)(x)
    wanted = x.double() * torch.rsqrt(x.double().square().mean(-1, keepdim=True) + 1e-6)
    assert out.dtype == torch.bfloat16 and torch.equal(out, wanted.bfloat16())


def test_linear_gives_each_modality_its_rows():
    linear = ModalLinear(3, 2, 3, torch.float32)
    linear.weight.data = draw(6, 3)
    x = draw(2, 7, 3, seed=1)
    out = linear(x, (4, 0, 3))
    assert torch.equal(
        out, torch.cat([F.linear(x[:, :4], linear.weight[:2]), F.linear(x[:, 4:], linear.weight[4:])], 1)
    )


def test_rope_turns_by_time_row_and_column():
    rope = Rope(2)
    assert rope.bands.tolist() == pytest.approx([1.0, 0.01])
    row = torch.tensor([[[5.0, 1, 2, 9, 4, 5, 3, 4, 5]]])  # time 5 of 9 on a reference of 3: 5/4
    cos, sin = rope(row)
    angles = torch.tensor([1.25, 0.0125, -0.5, -0.005, 0.0, 0.0])
    torch.testing.assert_close(cos.flatten(), angles.cos())
    torch.testing.assert_close(sin.flatten(), angles.sin())


def test_rotation_pairs_halves_and_leaves_the_rest():
    angle = math.pi / 2
    x = torch.arange(8.0).view(1, 1, 1, 8)
    rotation = torch.full((1, 1, 1, 3), math.cos(angle)), torch.full((1, 1, 1, 3), math.sin(angle))
    torch.testing.assert_close(
        rotate(x, rotation).flatten(), torch.tensor([-3.0, -4, -5, 0, 1, 2, 6, 7]), atol=1e-6, rtol=0
    )


def test_activations():
    def bump(z):
        return z / (1 + math.exp(-1.702 * z))

    a = torch.tensor([1.0, 2.0, 50.0, 50.0, -50.0, -9.0, 3.0, -1.0])
    torch.testing.assert_close(swiglu7(a), torch.tensor([3 * bump(1), 8 * bump(7), -6 * bump(-50), 0.0]))
    torch.testing.assert_close(gelu7(a[:3]), torch.tensor([bump(1), bump(2), bump(7)]))
    assert swiglu7(a.bfloat16()).dtype == torch.bfloat16


def test_a_modal_map_by_some_of_its_rows():
    whole = ModalLinear(16, 6, 3, torch.float32)
    whole.weight.data = draw(18, 16)
    x, sizes = draw(2, 10, 16, seed=1), (5, 3, 2)
    for rows in (slice(0, None, 2), slice(1, None, 2), slice(2, 4)):
        torch.testing.assert_close(whole(x, sizes, rows), whole(x, sizes)[..., rows], atol=1e-5, rtol=0)


def masked(q, k, v, allowed):
    """Attention by one masked softmax over repeated keys; `allowed` is true where a key may be seen."""
    k, v = (t.repeat_interleave(q.shape[2] // t.shape[2], 2) for t in (k, v))
    scores = torch.einsum("bqhd,bkhd->bhqk", q, k) / math.sqrt(q.shape[-1])
    return torch.einsum("bhqk,bkhd->bqhd", scores.masked_fill(~allowed, -math.inf).softmax(-1), v)


@pytest.mark.parametrize("frames", [1, 4, 9])
@pytest.mark.parametrize("radius", [0, 1, 3])
@pytest.mark.parametrize("rest", [0, 5])
def test_windows_equal_one_masked_softmax(frames, radius, rest):
    step, video = 6, 6 * frames
    length = video + rest
    q, k, v = draw(2, length, 6, 8), draw(2, length, 2, 8, seed=1), draw(2, length, 2, 8, seed=2)
    frame = torch.arange(length) // step
    near = (frame[:, None] - frame[None]).abs() <= radius
    near[video:] = near[:, video:] = True
    out = attend(q, k, v, None, video, Window(step, radius))
    torch.testing.assert_close(out, masked(q, k, v, near), atol=1e-5, rtol=0)
    if rest:
        mask = torch.ones(2, 1, 1, length, dtype=torch.bool)
        mask[1, ..., -3:] = False
        out = attend(q, k, v, mask, video, Window(step, radius))
        torch.testing.assert_close(out, masked(q, k, v, near & mask), atol=1e-5, rtol=0)


def test_long_sequences_pass_the_mlp_in_pieces(monkeypatch):
    config = HorseConfig(
        num_layers=1, hidden_size=16, head_dim=8, num_query_groups=1, mm_layers=(0,), gelu7_layers=()
    )
    mlp = Mlp(config, 0, torch.float32)
    for i, parameter in enumerate(mlp.parameters()):
        parameter.data = draw(*parameter.shape, seed=i) * parameter.shape[-1] ** -0.5
    x, sizes = draw(2, 23, 16), (11, 5, 7)
    whole = mlp(x, sizes)
    assert whole.requires_grad
    monkeypatch.setattr(layers, "TOKENS_PER_CHUNK", 4)
    with torch.no_grad():
        torch.testing.assert_close(mlp(x, sizes), whole)
