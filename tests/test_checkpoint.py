"""Weights on disk: round trips, shards, damage, averages."""

import pytest
import torch
from torch import nn

from happyhorse import checkpoint
from happyhorse.checkpoint import Checkpoint, Ema


def part(**weights: torch.Tensor) -> Checkpoint:
    return Checkpoint("denoiser", {"a": 1}, weights, {"words": ["x"]})


def test_round_trip_with_bfloat16_matrices(tmp_path):
    path = tmp_path / "w.safetensors"
    checkpoint.save(path, part(m=torch.full((2, 2), 1.0078125), v=torch.full((2,), 1.0001)), torch.bfloat16)
    back = checkpoint.load(path, "denoiser")
    assert back.config == {"a": 1} and back.facts == {"words": ["x"]}
    assert float(back.weights["m"][0, 0]) == 1.0078125 and float(back.weights["v"][0]) == pytest.approx(
        1.0001
    )
    assert list(tmp_path.iterdir()) == [path]  # no temporary file is left


def test_large_parts_are_sharded_and_damage_is_noticed(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint, "SHARD_BYTES", 1000)
    path = tmp_path / "w.safetensors"
    files = checkpoint.save(path, part(**{f"t{i}": torch.randn(100) for i in range(5)}))
    assert [f.name for f in files] == ["w.safetensors", "w-1.safetensors", "w-2.safetensors"]
    assert len(checkpoint.load(path).weights) == 5
    files[1].write_bytes(files[1].read_bytes()[:-8])
    with pytest.raises(ValueError, match=r"w-1.safetensors is missing or damaged"):
        checkpoint.load(path)


def test_wrong_files_are_refused(tmp_path):
    with pytest.raises(ValueError, match="no weights at"):
        checkpoint.load(tmp_path / "none.safetensors")
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(b"not a header")
    with pytest.raises(ValueError, match="damaged or not safetensors"):
        checkpoint.load(broken)
    checkpoint.save(tmp_path / "w.safetensors", part(a=torch.zeros(1)))
    with pytest.raises(ValueError, match="holds a 'denoiser' part"):
        checkpoint.load(tmp_path / "w.safetensors", "codec")


def test_loading_names_every_kind_of_misfit():
    module = nn.Linear(2, 3)
    with pytest.raises(ValueError, match=r"missing: bias\); give the weights"):
        checkpoint.load_into(module, {"weight": torch.zeros(3, 2)})
    with pytest.raises(ValueError, match=r"of no use: extra\)"):
        checkpoint.load_into(module, module.state_dict() | {"extra": torch.zeros(1)})
    with pytest.raises(ValueError, match=r"weight is \[2, 2\] and should be \[3, 2\]"):
        checkpoint.load_into(module, module.state_dict() | {"weight": torch.zeros(2, 2)})


def test_of_many_misfits_the_first_are_named():
    module = nn.Sequential(*(nn.Linear(1, 1) for _ in range(3)))
    with pytest.raises(ValueError, match=r"^w\.st .*missing: 0.weight, 0.bias, 1.weight and 3 more\)"):
        checkpoint.load_into(module, {}, "w.st")


def test_a_module_on_the_meta_device_gets_copies_in_its_own_dtype():
    with torch.device("meta"):
        module = nn.Linear(2, 3, dtype=torch.bfloat16)
    weights = {"weight": torch.full((3, 2), 1.01), "bias": torch.zeros(3)}
    checkpoint.load_into(module, weights)
    assert module.weight.dtype == torch.bfloat16 and module.weight.flatten().tolist() == [1.0078125] * 6
    weights["bias"].fill_(1)
    assert not module.bias.any()


def test_average_warms_up_then_follows_its_decay():
    module = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(module.weight)
    ema = Ema(module, 0.5)
    nn.init.ones_(module.weight)
    ema.update(module)  # decay (1+1)/(10+1)
    assert float(ema.average["weight"]) == pytest.approx(1 - 2 / 11)
    ema.updates = 1000
    ema.update(module)
    assert float(ema.average["weight"]) == pytest.approx(1 - 1 / 11)


def test_bundle_holds_no_code(tmp_path):
    path = tmp_path / "r.pt"
    checkpoint.save_bundle(path, step=3, weights={"a": torch.ones(2)})
    assert checkpoint.load_bundle(path)["step"] == 3
    path.write_bytes(b"garbage")
    with pytest.raises(ValueError, match="delete it to start anew"):
        checkpoint.load_bundle(path)
