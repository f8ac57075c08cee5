"""Where the 15B is, and what a name or a path of it means."""

import os
import shutil
from pathlib import Path

import pytest

from happyhorse.generate.installed import (
    NAME,
    PARTS,
    UPSCALERS,
    find_published,
    installed_path,
    missing_files,
    public_name,
)
from happyhorse.generate.load import load
from happyhorse.model.presets import HORSE_15B_1080P


def test_home(monkeypatch, tmp_path):
    monkeypatch.setenv("HAPPYHORSE_HOME", str(tmp_path))
    assert installed_path() == tmp_path / "models" / "happyhorse-15b"
    monkeypatch.delenv("HAPPYHORSE_HOME")
    monkeypatch.setenv("XDG_DATA_HOME", "/data")
    assert installed_path("x") == Path("/data/happyhorse/models/x")
    monkeypatch.delenv("XDG_DATA_HOME")
    assert installed_path() == Path.home() / ".local/share/happyhorse/models/happyhorse-15b"


def test_only_the_weights_for_1080p_are_local():
    local = [name for name, part in PARTS.items() if part.horse and part.horse.local_attn_layers]
    assert local == [UPSCALERS["1080p"]] and PARTS["sr1080"].horse == HORSE_15B_1080P


@pytest.fixture
def home(published_15b, monkeypatch, tmp_path):
    monkeypatch.setenv("HAPPYHORSE_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return shutil.copytree(published_15b, installed_path(), copy_function=os.link)


def test_names_and_paths(home):
    assert find_published("happyhorse-15b") == (home, "distill")
    assert find_published("happyhorse-15b/base") == (home, "base")
    assert find_published(str(home)) == (home, "distill") == find_published(f"{home}/distill")
    assert find_published(f"{home}/base") == (home, "base")
    assert find_published("pony") is None and find_published(str(home.parent)) is None
    shutil.rmtree(home / "distill")
    assert find_published("happyhorse-15b") == (home, "base")
    with pytest.raises(ValueError, match=r"happyhorse-15b/distill needs distill/model.*--variant distill"):
        find_published("happyhorse-15b/distill")
    shutil.rmtree(home / "base")
    with pytest.raises(
        ValueError,
        match=r"happyhorse-15b needs distill/.*; get it with: happyhorse pull",
    ):
        find_published(str(home))


def test_load_reads_nothing_yet(home):
    model = load("happyhorse-15b/base")
    assert (model.name, model.variant, model.folder) == ("happyhorse-15b/base", "base", home)
    assert model.request("a horse").model == "happyhorse-15b/base"


def test_what_is_not_installed(monkeypatch, tmp_path):
    monkeypatch.setenv("HAPPYHORSE_HOME", str(tmp_path))
    for name in (NAME, f"{NAME}/base"):
        with pytest.raises(ValueError, match="is not installed; get it with: happyhorse pull happyhorse-15b"):
            load(name)


def test_what_a_part_lacks(published_15b, tmp_path):
    assert all(missing_files(published_15b, part) == [] for part in PARTS)
    assert missing_files(tmp_path, "turbo") == ["turbo_vae/*.json", "turbo_vae/*.ckpt"]
    assert missing_files(tmp_path, "base") == ["base/model.safetensors.index.json"]


def test_names_without_folders():
    assert public_name("/some/where/happyhorse-15b/base") == "happyhorse-15b/base"
    assert public_name("runs/nano") == "nano" and public_name("pony") == "pony"
