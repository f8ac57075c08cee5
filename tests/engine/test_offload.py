"""Streamed layers: not a bit differs, whatever is streamed, however often, and after an interruption."""

import gc
import shutil
import weakref
from types import SimpleNamespace

import pytest
import torch

from happyhorse.engine import offload
from happyhorse.engine.offload import place
from happyhorse.model.compiling import compile_layers
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


def test_memory_that_cannot_be_locked_is_used_as_it_is(monkeypatch):
    """And the refusal is not left for the next kernel to fail of."""
    said = []

    def refuse(*args):
        said.append("refused")
        return 2

    def kernel(*size, device):
        said.append(device)
        raise RuntimeError("CUDA error: out of memory")

    monkeypatch.setattr(torch.cuda, "cudart", lambda: SimpleNamespace(cudaHostRegister=refuse))
    monkeypatch.setattr(torch, "ones", kernel)
    offload._lock(torch.empty(8, dtype=torch.uint8))
    assert said == ["refused", "cuda"]


@pytest.mark.slow
@pytest.mark.skipif(not (shutil.which("g++") or shutil.which("clang++")), reason="compiling needs a compiler")
def test_compiled_layers_visit(network, run):
    settings = {"num_layers": 3, "mm_layers": (0,)}
    horse = compile_layers(place(network(**settings), CPU, streamed=2))
    for seed in range(2):
        torch.testing.assert_close(run(horse, seed), run(network(**settings), seed), rtol=1e-4, atol=1e-4)


@pytest.mark.gpu
@pytest.mark.parametrize("streamed", [2, 5])
def test_streaming_changes_no_bit_on_a_gpu(network, run, streamed):
    device, big = torch.device("cuda"), Grid(4, 24, 24)
    # large enough for copies to overlap
    changes = {
        "param_dtype": "bf16",
        "hidden_size": 1024,
        "head_dim": 64,
    }
    plain, horse = network(**changes).to(device), place(network(**changes), device, streamed=streamed)
    for seed in range(4):
        assert torch.equal(run(horse, seed, big, device), run(plain, seed, big, device))
