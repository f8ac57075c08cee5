"""Compiled layers say nearly the same, with layers that visit the device as well."""

import shutil

import pytest
import torch

from happyhorse.engine.offload import place
from happyhorse.model.compiling import compile_layers


@pytest.mark.slow
@pytest.mark.skipif(not (shutil.which("g++") or shutil.which("clang++")), reason="compiling needs a compiler")
def test_compiled_layers(network, run):
    horse = compile_layers(place(network(num_layers=3, mm_layers=(0,)), torch.device("cpu"), streamed=2))
    expected = run(network(num_layers=3, mm_layers=(0,)))
    for _ in range(2):
        torch.testing.assert_close(run(horse), expected, rtol=1e-4, atol=1e-4)
