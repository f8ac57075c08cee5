"""Streamed layers: not a bit differs, whatever is streamed, however often, and after an interruption."""

import gc
import weakref

import pytest
import torch

from happyhorse.engine.offload import place
from happyhorse.model.tokens import Grid

CPU = torch.device("cpu")


@pytest.mark.parametrize("streamed", [0, 2, 3, 5])
@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
def test_streaming_changes_no_bit(network, run, streamed, dtype):
    plain, horse = network(param_dtype=dtype), place(network(param_dtype=dtype), CPU, streamed=streamed)
    for seed in range(3):  # the next pass finds the layers that the last one left behind
        assert torch.equal(run(horse, seed), run(plain, seed))


def test_a_pass_that_was_broken_off_leaves_no_trace(network, run):
    plain, horse = network(), place(network(), CPU, streamed=4)

    def stop(module, args):
        raise KeyboardInterrupt

    hook = horse.block.layers[3].register_forward_pre_hook(stop)
    with pytest.raises(KeyboardInterrupt):
        run(horse)
    hook.remove()
    assert torch.equal(run(horse, 1), run(plain, 1))


def test_two_layers_are_on_the_device_at_once(network):
    horse = network()
    layers = [sum(p.nbytes for p in layer.parameters()) for layer in horse.block.layers]
    original = weakref.ref(horse.block.layers[2].mlp.down_proj.weight)
    place(horse, CPU, streamed=5)
    homes = {p.untyped_storage().data_ptr(): p.untyped_storage().nbytes() for p in horse.block.parameters()}
    gc.collect()
    assert original() is None
    assert len(homes) == 2 and all(max(layers) <= size < 1.2 * max(layers) for size in homes.values())


@pytest.mark.gpu
@pytest.mark.parametrize("streamed", [2, 5])
def test_streaming_changes_no_bit_on_a_gpu(network, run, streamed):
    device, big = torch.device("cuda"), Grid(4, 24, 24)
    changes = {
        "param_dtype": "bf16",
        "hidden_size": 1024,
        "head_dim": 64,
    }  # large enough for copies to overlap
    plain, horse = network(**changes).to(device), place(network(**changes), device, streamed=streamed)
    for seed in range(4):
        assert torch.equal(run(horse, seed, big, device), run(plain, seed, big, device))
