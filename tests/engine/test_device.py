"""What this machine can do, and what is known of others."""

import pytest
import torch

from happyhorse.engine.device import GB, host_memory, known, of_memory, this, total_memory


def test_this_machine():
    found = this(torch.device("cpu"), processes=2)
    rates = found.matrices, found.attention, found.moving
    assert all(rate is not None and rate > 1e6 for rate in rates) and 0 < found.call < 1e-2
    assert found.is_host and found.free == found.host <= found.memory and found.processes == 2


def test_memory_of_the_host():
    assert 0 < host_memory() <= total_memory()


def test_known_gpus():
    card = known("h100", 64 * GB)
    assert not card.is_host and card.free < card.memory == 80 * GB and card.matrices < 989e12
    with pytest.raises(ValueError, match="did you mean 'h100'"):
        known("h10", 0)


def test_a_gpu_of_which_only_the_memory_is_known():
    assert of_memory(24, 0).matrices is None and not of_memory(24, 0).is_host
    with pytest.raises(ValueError, match="1 to 4096"):
        of_memory(float("nan"), 0)


@pytest.mark.gpu
def test_this_gpu():
    found = this(torch.device("cuda"))
    assert found.matrices > 1e13 and found.attention > 1e13 and found.moving > 1e11 and found.copying > 1e9
    assert 0 < found.free <= found.memory and not found.is_host
