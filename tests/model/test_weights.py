"""Published weights on disk: what loads, what is refused and in which words, and conversion that can be stopped."""

import json
import os
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from happyhorse.model import weights
from happyhorse.model.presets import HORSE_15B
from happyhorse.model.weights import INDEX, convert, load_horse, read_config, shards, tensors
from published import HORSE, LOCAL, write_denoiser

zstandard = pytest.importorskip("zstandard")


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.fixture
def full(tmp_path):
    """fp32, the second shard compressed: as the distilled weights are published."""
    folder = tmp_path / "distill"
    return folder, write_denoiser(folder, HORSE, generator(), compressed=True).state_dict()


@pytest.mark.parametrize("mixed", [True, False])
def test_loads_what_was_published_cast_by_the_rule(tmp_path, mixed):
    wanted = write_denoiser(
        tmp_path / "w", HORSE, generator(), mixed=mixed, compressed=not mixed
    ).state_dict()
    seen = []
    loaded = load_horse(tmp_path / "w", progress=lambda *done: seen.append(done)).state_dict()
    assert {key: tensor.dtype for key, tensor in loaded.items()} == {
        key: t.dtype for key, t in wanted.items()
    }
    assert all(torch.equal(loaded[key], wanted[key]) for key in wanted)
    assert loaded["block.layers.0.mlp.down_proj.weight"].dtype == torch.bfloat16
    assert loaded["adapter.video_embedder.weight"].dtype == torch.float32
    assert seen[-1][0] == seen[-1][1] and len(seen) == len(wanted)


def test_the_configuration_is_read_or_published(full, tmp_path):
    folder, _ = full
    assert read_config(folder) == HORSE
    assert read_config(tmp_path) == HORSE_15B and read_config(tmp_path, LOCAL) == LOCAL
    (folder / "config.json").write_text('{"num_layer": 3}')
    with pytest.raises(
        ValueError, match=r"config.json is not the configuration.*num_layer'; did you mean 'num_layers'"
    ):
        load_horse(folder)


def test_a_single_file_needs_no_index(full, tmp_path):
    _, wanted = full
    single = tmp_path / "single"
    single.mkdir()
    save_file(dict(wanted), single / "model.safetensors")
    assert torch.equal(load_horse(single, HORSE).adapter.rope.bands, wanted["adapter.rope.bands"])


@pytest.mark.parametrize("fault", ["missing", "of no use", "misshapen"])
def test_wrong_keys_are_named_before_a_weight_is_read(full, monkeypatch, fault):
    folder, _ = full
    name, key = "model-00001-of-00002.safetensors", "adapter.audio_embedder.bias"
    content = load_file(folder / name)
    assert key in content
    tensor = content.pop(key)
    new = {
        "missing": {},
        "of no use": {key: tensor, "extra.weight": tensor.clone()},
        "misshapen": {key: tensor[:-1].clone()},
    }
    content |= new[fault]
    save_file(content, folder / name)
    index = json.loads((folder / INDEX).read_text())
    index["weight_map"] = {k: v for k, v in index["weight_map"].items() if v != name} | dict.fromkeys(
        content, name
    )
    (folder / INDEX).write_text(json.dumps(index))
    monkeypatch.setattr(weights, "tensors", None)
    expected = {
        "missing": key,
        "of no use": "extra.weight",
        "misshapen": rf"{key} is \[31\] and should be \[32\]",
    }
    with pytest.raises(ValueError, match=f"distill do not fit this model.*{fault}: {expected[fault]}"):
        load_horse(folder)


def test_an_index_that_lies(full):
    folder, _ = full
    index = json.loads((folder / INDEX).read_text())
    for change in (
        {"extra": "model-00001-of-00002.safetensors"},
        {"adapter.rope.bands": "../secret.safetensors"},
    ):
        (folder / INDEX).write_text(json.dumps({"weight_map": index["weight_map"] | change}))
        with pytest.raises(ValueError, match=r"differ \(at extra\)|names a file of another folder"):
            shards(folder)
    (folder / INDEX).write_text("[]")
    with pytest.raises(ValueError, match=r"index\.json is damaged; copy or pull it again"):
        shards(folder)


@pytest.mark.parametrize("name", ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors.zst"])
@pytest.mark.parametrize("kept", ["none", "some", "half", "most", "garbage"])
def test_damaged_shards_are_named(full, name, kept):
    folder, _ = full
    file = folder / name
    whole = file.read_bytes()
    sizes = {"none": 0, "some": 40, "half": len(whole) // 2, "most": len(whole) - 1}
    file.write_bytes(os.urandom(999) if kept == "garbage" else whole[: sizes[kept]])
    with pytest.raises(ValueError, match=rf"{name} is .*(truncated|damaged).*copy or pull it again"):
        load_horse(folder)


def test_a_missing_shard_is_named(full):
    folder, _ = full
    (folder / "model-00002-of-00002.safetensors.zst").unlink()
    with pytest.raises(ValueError, match=r"model-00002-of-00002\.safetensors is missing"):
        shards(folder)
    with pytest.raises(ValueError, match=r"model\.safetensors is missing"):
        shards(folder.parent)


def test_a_shard_whose_tensors_overlap(tmp_path):
    head = json.dumps(
        {name: {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]} for name in ("a", "b")}
    ).encode()
    (tmp_path / "model.safetensors").write_bytes(len(head).to_bytes(8, "little") + head + bytes(8))
    with pytest.raises(ValueError, match="not a file of safetensors weights"):
        shards(tmp_path)


def test_one_tensor_at_a_time(full):
    folder, _ = full
    for shard in shards(folder):
        stream = tensors(shard)
        assert next(stream)[0] in shard.tensors  # nothing needs the rest


def test_conversion_halves_the_matrices_and_keeps_the_rest(full, tmp_path):
    folder, wanted = full
    target = convert(folder, tmp_path / "converted")
    assert sorted(p.name for p in target.iterdir()) == sorted(
        ["config.json", INDEX, "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
    )
    held = {key: dtype for shard in shards(target) for key, (dtype, *_) in shard.tensors.items()}
    assert held == {key: tensor.dtype for key, tensor in wanted.items()}
    loaded = load_horse(target).state_dict()
    assert all(torch.equal(loaded[key], wanted[key]) for key in wanted)


def test_a_stopped_conversion_goes_on(full, tmp_path):
    folder, _ = full
    target = tmp_path / "converted"

    def stop(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        convert(folder, target, progress=stop)
    assert [p.name for p in target.iterdir()] == ["model-00001-of-00002.safetensors"]
    with pytest.raises(ValueError, match=r"model\.safetensors is missing"):
        load_horse(target, HORSE)
    before = (target / "model-00001-of-00002.safetensors").stat().st_mtime_ns
    convert(folder, target)
    assert (target / "model-00001-of-00002.safetensors").stat().st_mtime_ns == before
    load_horse(target)
    (target / "model-00002-of-00002.safetensors").write_bytes(b"broken")
    (target / ".model-00001-of-00002.safetensors.12ab34cd.part").write_bytes(b"killed")
    load_horse(convert(folder, target))
    assert not list(target.glob(".*"))


def test_a_conversion_of_other_weights_replaces_everything(full, tmp_path):
    folder, _ = full
    target = convert(folder, tmp_path / "converted")
    other = write_denoiser(tmp_path / "other", HORSE, torch.Generator().manual_seed(5)).state_dict()
    loaded = load_horse(convert(tmp_path / "other", target)).state_dict()
    assert all(torch.equal(loaded[key], other[key]) for key in other)


def test_nothing_is_converted_in_place(full):
    with pytest.raises(ValueError, match="converted into another folder"):
        convert(full[0], full[0] / ".")
    load_horse(full[0])


def test_a_full_disk_is_noticed_first(full, tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(9, 9, 1000))
    with pytest.raises(OSError, match=r"needs 0\.0 GB and the disk has 0\.0 GB left; free some space"):
        convert(full[0], tmp_path / "converted")
    assert not list((tmp_path / "converted").iterdir())


def test_several_compressed_frames_are_one_shard(full):
    folder, wanted = full
    file = folder / "model-00002-of-00002.safetensors.zst"
    plain = zstandard.ZstdDecompressor().decompressobj().decompress(file.read_bytes())
    pieces = (plain[:1000], plain[1000:])
    file.write_bytes(b"".join(zstandard.ZstdCompressor().compress(piece) for piece in pieces))
    assert torch.equal(load_horse(folder).final_norm_audio.weight, wanted["final_norm_audio.weight"])
