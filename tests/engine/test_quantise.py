"""One byte per number: how far results move, and that what must stay exact stays."""

import importlib.util
import sys

import pytest
import torch

from happyhorse.engine.offload import place
from happyhorse.engine.quantise import quantise

needs_torchao = pytest.mark.skipif(not importlib.util.find_spec("torchao"), reason="torchao is not installed")
MATRICES = 20  # four in each of five layers; their errors add up as independent ones do
BOUNDS = {"fp8": 0.025 * MATRICES**0.5, "int8": 0.005 * MATRICES**0.5}


@needs_torchao
@pytest.mark.slow  # importing torchao takes seconds
@pytest.mark.parametrize("weights", ["fp8", "int8"])
def test_quantised_networks_stay_close_and_can_be_streamed(network, run, weights):
    plain, horse = network(param_dtype="bf16"), quantise(network(param_dtype="bf16"), weights)
    expected = run(plain)
    error = (run(horse) - expected).norm() / expected.norm()
    assert 0 < error < BOUNDS[weights]
    for name, tensor in horse.state_dict().items():
        matrix = name.endswith(
            ("linear_qkv.weight", "linear_proj.weight", "up_gate_proj.weight", "down_proj.weight")
        )
        assert matrix == hasattr(tensor, "qdata"), name
        assert not matrix or tensor.qdata.itemsize == 1, name
        assert matrix or torch.equal(tensor, plain.state_dict()[name]), name
    streamed = place(network(param_dtype="bf16"), torch.device("cpu"), streamed=3, weights=weights)
    for seed in range(2):
        assert torch.equal(run(streamed, seed), run(horse, seed))


def test_bf16_is_as_published(network, run):
    assert torch.equal(run(quantise(network(), "bf16")), run(network()))


def test_what_cannot_be(network, monkeypatch):
    with pytest.raises(ValueError, match=r"int4.*use bf16, fp8 or int8"):
        quantise(network(), "int4")
    monkeypatch.setitem(sys.modules, "torchao.quantization", None)
    with pytest.raises(ValueError, match=r"happyhorse\[quant\]"):
        quantise(network(), "int8")
