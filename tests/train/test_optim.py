"""Muon's orthogonalisation, how parameters are divided, and the learning rate's shape."""

import pytest
import torch
from torch import nn

from happyhorse.codec.text import TextConfig
from happyhorse.generate.denoiser import Denoiser
from happyhorse.model.presets import HorseConfig
from happyhorse.train.optim import Muon, OptimConfig, make_optimizers, orthogonalize, rate


@pytest.mark.parametrize("shape", [(1, 8, 32), (2, 32, 8), (3, 16, 16)])
def test_singular_values_come_near_one(shape: tuple[int, ...]):
    generator = torch.Generator().manual_seed(0)
    values = torch.linalg.svdvals(orthogonalize(torch.randn(shape, generator=generator)).float())
    assert float(values.min()) > 0.3 and float(values.max()) < 1.3


def test_first_update_is_the_scaled_polar_factor():
    """With no momentum yet the direction is that of the gradient; its polar factor is known from the SVD."""
    generator = torch.Generator().manual_seed(1)
    left, _, right = torch.linalg.svd(torch.randn(16, 64, generator=generator), full_matrices=False)
    parameter = nn.Parameter(torch.zeros(16, 64))
    parameter.grad = left @ torch.diag(torch.linspace(0.5, 1, 16)) @ right
    Muon([{"params": [parameter], "blocks": [(16,)]}], lr=1.0).step()
    polar = -0.2 * 64**0.5 * left @ right
    cosine = (parameter * polar).sum() / parameter.norm() / polar.norm()
    assert float(cosine.detach()) > 0.98
    assert float(parameter.detach().square().mean().sqrt()) == pytest.approx(0.2, rel=0.2)  # as AdamW's


def test_blocks_are_orthogonalised_apart():
    """A block with a gradient a thousand times larger must not silence the other."""
    generator = torch.Generator().manual_seed(2)
    parameter = nn.Parameter(torch.zeros(8, 16))
    gradient = torch.randn(8, 16, generator=generator)
    gradient[:4] *= 1000
    parameter.grad = gradient
    Muon([{"params": [parameter], "blocks": [(4, 4)]}], lr=1.0).step()
    large, small = parameter.detach().split(4)
    assert 0.7 < float(large.norm() / small.norm()) < 1.4


def test_parameters_of_the_denoiser_are_divided_by_role():
    horse = HorseConfig(
        num_layers=2, hidden_size=32, head_dim=16, num_query_groups=1, text_in_channels=8, mm_layers=(0,),
        gelu7_layers=(), given_embedding=True, near_layers=(0,), together_layers=(1,), moving_layers=(0,),
        told_layers=(1,), layout_layers=(1,), scene_layers=(0,), param_dtype="fp32",
    )  # fmt: skip
    model = Denoiser(horse, TextConfig(buckets=16, width=8))
    adam, muon = make_optimizers(model, OptimConfig())
    names = {id(p): n for n, p in model.named_parameters()}
    hidden = {names[id(p)] for p in muon.param_groups[0]["params"]}
    assert hidden == {
        f"horse.block.layers.{i}.{n}.weight"
        for i in (0, 1)
        for n in ("attention.linear_qkv", "attention.linear_proj", "mlp.up_gate_proj", "mlp.down_proj")
    }
    others = sum(len(group["params"]) for group in adam.param_groups)
    assert len(hidden) + others == len(list(model.parameters()))
    blocks = dict(
        zip(
            [names[id(p)] for p in muon.param_groups[0]["params"]],
            muon.param_groups[0]["blocks"],
            strict=True,
        )
    )
    assert blocks["horse.block.layers.0.attention.linear_qkv.weight"] == (32, 16, 16, 2) * 3
    assert blocks["horse.block.layers.1.mlp.down_proj.weight"] == (32,)


def test_rate_warms_up_stays_and_cools_down():
    config = OptimConfig(warmup=0.1, cooldown=0.4)
    rates = [rate(step, 100, config) for step in range(100)]
    assert rates[0] == pytest.approx(0.1) and rates[9:60] == [1.0] * 51
    assert rates[99] == pytest.approx(0.05 + 0.95 / 40)
    assert rates[60:] == sorted(rates[60:], reverse=True)
