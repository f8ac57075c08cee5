"""Files appear whole, with the usual permissions, or not at all."""

import os
import stat
from pathlib import Path

import pytest
import torch

from happyhorse import checkpoint, files


def test_a_file_appears_when_it_is_whole(tmp_path):
    path = tmp_path / "clip.txt"
    path.write_text("old")

    def write(hidden: Path) -> None:
        assert hidden.parent == tmp_path and hidden.name.startswith(".clip.txt.")
        hidden.write_text("new")
        assert path.read_text() == "old"

    files.write_atomic(path, write)
    assert path.read_text() == "new" and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_error_leaves_what_was_there(tmp_path, error):
    path = tmp_path / "clip.txt"
    path.write_text("old")

    def write(hidden: Path) -> None:
        hidden.write_text("half")
        raise error

    with pytest.raises(error):
        files.write_atomic(path, write)
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="none"):
        files.write_atomic(tmp_path / "none" / "clip.txt", Path.touch)


def test_a_name_as_long_as_the_disk_allows(tmp_path):
    path = tmp_path / ("ü" * 127)  # 254 bytes
    files.write_atomic(path, Path.touch)
    assert path.exists()


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
@pytest.mark.parametrize("umask", [0o022, 0o077])
def test_permissions_are_those_that_the_umask_leaves(tmp_path, umask):
    before = os.umask(umask)
    try:
        files.write_atomic(tmp_path / "a", Path.touch)
        weights = {"a": torch.zeros(2)}
        checkpoint.save(tmp_path / "w.safetensors", checkpoint.Checkpoint("codec", {}, weights))
        checkpoint.save_bundle(tmp_path / "r.pt", step=1)
    finally:
        os.umask(before)
    assert {stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()} == {0o666 & ~umask}
    assert len(list(tmp_path.iterdir())) == 3
