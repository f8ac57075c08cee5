"""Parts on the disk: complete, incomplete, broken, told from names and headers."""

import shutil

import pytest

from happyhorse.engine.health import examine, installed
from happyhorse.generate.installed import PARTS


@pytest.fixture
def folder(weights_folder, tmp_path, monkeypatch):
    """A copy of the weights where installed models are."""
    monkeypatch.setenv("HAPPYHORSE_HOME", str(tmp_path))
    return shutil.copytree(weights_folder, tmp_path / "models" / "happyhorse-15b")


def cut(path):
    """Cut the last bytes off."""
    path.write_bytes(path.read_bytes()[:-8])


def test_whole_parts_are_complete(folder):
    (name, parts), *others = installed().items()
    assert name == "happyhorse-15b" and not others
    assert [part.part for part in parts] == list(PARTS) and {part.state for part in parts} == {"complete"}
    assert all(part.size > 0 and not part.why for part in parts)


def test_nothing_is_installed(tmp_path, monkeypatch):
    monkeypatch.setenv("HAPPYHORSE_HOME", str(tmp_path))
    assert installed() == {}
    (tmp_path / "models" / "something else").mkdir(parents=True)
    assert installed() == {}


@pytest.mark.parametrize(
    ("part", "name"),
    [
        ("distill", "model-00002-of-00002.safetensors"),
        ("distill", "model.safetensors.index.json"),
        ("sr540", "model-00002-of-00002.safetensors.zst"),
        ("text", "model-00001-of-00001.safetensors"),
        ("text", "tokenizer.json"),
        ("turbo", "checkpoint-340000.ckpt"),
        ("video", "config.json"),
    ],
)
def test_a_missing_file_is_named(folder, part, name):
    (folder / PARTS[part].folder / name).unlink()
    health = examine(folder, part)
    assert health.state == "incomplete" and health.culprit is None
    stem = name.split("-")[0].removesuffix(".zst")
    assert PARTS[part].folder in health.why and (stem in health.why or ".ckpt" in health.why)


@pytest.mark.parametrize(
    ("part", "name"),
    [
        ("distill", "model-00001-of-00002.safetensors"),
        ("distill", "model.safetensors.index.json"),
        ("audio", "diffusion_pytorch_model.safetensors"),
        ("turbo", "checkpoint-340000.ckpt"),
        ("text", "config.json"),
    ],
)
def test_a_file_that_was_cut_off_is_found(folder, part, name):
    path = folder / PARTS[part].folder / name
    path.write_text("{") if path.suffix == ".json" else cut(path)
    health = examine(folder, part)
    assert health.state == "broken" and health.culprit == path and str(path) in health.why


def test_an_index_of_other_weights_is_broken(folder):
    shutil.copy(
        folder / "base" / "model-00001-of-00002.safetensors",
        folder / "1080p_sr" / "model-00002-of-00002.safetensors",
    )
    assert examine(folder, "sr1080").state == "broken"


def test_a_part_that_was_never_there(folder):
    shutil.rmtree(folder / "base")
    assert examine(folder, "base").state == "absent"
