"""A folder of clips on the command line: a row for every file, or a line of JSON; sentences for what is doubtful."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from happyhorse import media
from happyhorse.cli import app
from happyhorse.data import manifest
from happyhorse.values import Clip

PLAIN = {"COLUMNS": "60", "NO_COLOR": "1", "TERM": "dumb"}
SMALL = ("--size", "64x32", "--seconds", "0.4")


def run(*arguments, code=0):
    result = CliRunner().invoke(app, [str(a) for a in arguments], env=PLAIN)
    assert result.exit_code == code, (result.exit_code, result.output, result.exception)
    return result


@pytest.fixture
def clips(tmp_path: Path, monkeypatch) -> Path:
    """A video, a still, and a file without caption."""
    monkeypatch.setenv("HAPPYHORSE_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "clips"
    folder.mkdir()
    video = np.full((10, 32, 64, 3), 90, np.uint8)
    video[:, :, :32] = 200
    media.write(
        Clip(video=video, audio=np.sin(np.arange(6400) * 0.3).astype(np.float32) / 2), folder / "a.mp4"
    )
    (folder / "a.txt").write_text("a zebra crossing")
    for name in ("still", "wordless"):
        Image.fromarray(np.full((32, 64, 3), len(name), np.uint8)).save(folder / f"{name}.png")
    (folder / "still.txt").write_text("a wall")
    return folder


def test_check_prints_a_table_of_every_file(clips: Path, tiny_model: Path) -> None:
    result = run("data", "check", "clips", *SMALL, "--model", tiny_model)
    header, first, second, third, *summary = result.stdout.splitlines()
    assert header.split() == ["file", "bucket", "crop", "frames", "sound", "split", "captions"]
    assert first.split()[:7] == ["a.mp4", "64x32x9", "64x32+0+0", "9", "of", "10", "yes"]
    assert second.split()[:7] == ["still.png", "64x32x1", "64x32+0+0", "1", "of", "1", "no"]
    assert (
        third.startswith("wordless.png") and "refused, no caption: write its caption to wordless.txt" in third
    )
    assert summary[0] == "2 of 3 files can be used" and len(summary) == 3
    notes = result.stderr.splitlines()
    assert all(line.startswith("note: ") for line in notes)
    assert any("never seen, 3 in all: crossing (1), wall (1), zebra (1)" in line for line in notes)
    assert any("1 of 2 clips have sound, but no caption says what is heard" in line for line in notes)
    assert not list(clips.glob("*.jsonl"))


def test_check_writes_what_the_model_will_see(clips: Path) -> None:
    result = run("data", "check", "clips", *SMALL, "-o", "seen", "--count", 1, "--json")
    *files, last = map(json.loads, result.stdout.splitlines())
    assert [facts["file"] for facts in files] == ["a.mp4", "still.png", "wordless.png"]
    expected = {
        "bucket": "64x32x9",
        "crop": [0, 0, 64, 32],
        "frames": 9,
        "of": 10,
        "has_audio": True,
        "refused": None,
    }
    assert expected.items() <= files[0].items() and "no caption" in files[2]["refused"]
    assert last["shown"] == ["seen/000-a.mp4"] and (last["clips"], last["refused"]) == (2, 1)
    assert last["lint"]["soundless"] == 1
    assert media.read("seen/000-a.mp4").video.shape == (9, 32, 64, 3)


def test_import_writes_a_manifest_and_latents(clips: Path, tiny_model: Path) -> None:
    codec = tiny_model / "codec.safetensors"
    options = ("--world", 3, "--codec", codec, "--workers", 1, "--json")
    result = run("data", "import", "clips", *SMALL, *options)
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    assert rows[3]["path"] == "clips/manifest.jsonl" and rows[3]["world"] == 3
    entries = manifest.load(clips / "manifest.jsonl")
    assert [entry.name for entry in entries[:2]] == ["a.mp4", "still.png"] and len(entries) == 5
    assert sum(row["clips"] for row in rows[4:]) == 5 and all(Path(row["path"]).is_dir() for row in rows[4:])
    assert {row["bucket"] for row in rows[4:]} == {"64x32x1", "64x32x9"}

    refused = run("data", "import", "clips", *SMALL, code=2)
    assert "manifest.jsonl exists; --force replaces it" in refused.stderr and refused.stdout == ""
    result = run("data", "import", "clips", *SMALL, "--output", "other/m.jsonl")
    assert "other/m.jsonl" in result.stdout.splitlines()
    assert manifest.load(Path("other/m.jsonl"))[0].source == "../clips/a.mp4"
    assert run("data", "check", "other/m.jsonl").stdout.count("\n") == 6
    (clips / "still.png").write_bytes(b"another")
    assert "refused, changed: " in run("data", "check", "other/m.jsonl").stdout


def test_mistakes_in_one_sentence(clips: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "a.mp4").write_text("no film")
    cases = {
        ("check", "nowhere"): "no folder at nowhere",
        ("check", "empty"): "holds no clips; put videos",
        ("check", "clips/a.txt"): "line 1",
        ("check", "clips", "--size", "65x32"): "ask for 64x32",
        ("check", "clips", "--size", "big"): "width x height",
        ("check", "clips", "--seconds", "0"): "0.2 to 60 s",
        ("import", "bad"): "no file in bad can be used: 1 unreadable (a.mp4: it cannot be decoded",
        ("import", "clips", "--codec", "none"): "no weights at none",
        ("check", "clips", "--model", "none"): "no model called 'none'",
    }
    for arguments, words in cases.items():
        last = run("data", *arguments, code=2).stderr.strip().splitlines()[-1]
        assert last.startswith("happyhorse: ") and words in last, last
    run("data", "import", "clips", *SMALL, "-o", "m.jsonl")
    assert "leave out --size" in run("data", "check", "m.jsonl", "--size", "64x32", code=2).stderr
    assert not list(clips.glob("*.jsonl")) and not list((tmp_path / "bad").glob("*.jsonl"))
