"""Memory of distillation, counted on tensors without contents."""

import pytest

from happyhorse.model.presets import HORSE_15B, HorseConfig
from happyhorse.train.memory import distillation

SMALL = HorseConfig(
    num_layers=3, hidden_size=64, head_dim=16, num_query_groups=1, text_in_channels=8, mm_layers=(0,),
    gelu7_layers=(0,), param_dtype="fp32",
)  # fmt: skip


def test_a_small_network_by_hand():
    """Sharding divides what is kept of the weights, not what one clip needs; a second adapter costs as the first."""
    one, two = (distillation(SMALL, 4, 2, (24, 9, 5), devices) for devices in (1, 2))
    assert one.weights == pytest.approx(2 * two.weights) and one.adapters == pytest.approx(2 * two.adapters)
    assert one.activations == two.activations and one.gathered == 0 < two.gathered
    assert distillation(SMALL, 4, 1, (24, 9, 5), 1).trained * 2 == one.trained
    assert one.adapters == pytest.approx(one.trained * 20 / 1e9)
    inputs = 3 * 38 * 64 * 4  # of three layers, fp32
    assert one.activations * 1e9 > inputs + 38 * 4 * 2 * 2 * (64 * 8 // 3 // 4 * 4), (
        "the MLP's columns, twice at least"
    )
    longer = distillation(SMALL, 4, 2, (240, 90, 50), 1)
    assert longer.activations == pytest.approx(10 * one.activations, rel=0.1), "attention keeps no matrix"
    assert one.total == pytest.approx(one.weights + one.adapters + one.activations)


def test_the_15b_fits_eight_devices_of_80_gigabytes():
    need = distillation(HORSE_15B, 64, 2, (2912, 101, 300), 8)
    assert need.weights == pytest.approx(30.64 / 8, rel=0.01)
    assert need.total < 30 and need.trained < 0.04 * 15.3e9
