"""Batches: manifests, what is left of them, clips and lines."""

import json

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from typer.testing import CliRunner

from happyhorse.cli import app
from happyhorse.media import read
from happyhorse.serve import batch
from happyhorse.serve.batch import RESULTS, left, make_row, read_manifest, run
from serving import picture


@pytest.fixture
def manifest(tmp_path):
    def written(*lines) -> object:
        path = tmp_path / "prompts.jsonl"
        path.write_text(
            "\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines), "utf-8"
        )
        return path

    return written


def test_a_manifest_becomes_clips_and_lines(manifest, tiny_model, tmp_path):
    (tmp_path / "start.png").write_bytes(picture())
    path = manifest(
        {"prompt": "a red ball"},
        "",
        {"prompt": "a blue ball", "name": "blue", "seed": 9, "steps": 2, "first_frame": "start.png"},
        {"prompt": "a ball", "key_frames": [[0.4, "start.png"]]},
        {"prompt": "too long", "seconds": 999},
    )
    rows = read_manifest(path, str(tiny_model))
    assert [row.name for row in rows] == ["00001-a-red-ball", "blue", "00004-a-ball", "00005-too-long"]
    assert rows[0].fields == {"seed": 1} and rows[1].fields["first_frame"] == tmp_path / "start.png"
    results = list(run(rows, tmp_path))
    assert [("error" in result) for result in results] == [False, False, False, True]
    assert "999 s cannot be made" in results[3]["error"] and results[1]["seed"] == 9
    assert len(read(tmp_path / "blue.mp4").video) == 15
    lines = [json.loads(line) for line in (tmp_path / RESULTS).read_text().splitlines()]
    assert lines == results


def test_a_manifest_gives_pictures_of_a_subject_and_clips_to_edit(manifest, learnt_model, tmp_path):
    (tmp_path / "ball.png").write_bytes(picture())
    path = manifest(
        {"prompt": "a red ball", "name": "ball", "references": ["ball.png", "ball.png"]},
        {"prompt": "make it blue", "name": "blue", "edit": "ball.mp4", "keep": "sound"},
        {"prompt": "a red ball", "name": "one", "references": "ball.png"},
        {"prompt": "a red ball", "references": ["ball.png"] * 4},
        {"prompt": "a red ball", "references": [3]},
    )
    rows = read_manifest(path, str(learnt_model))
    assert rows[0].fields["references"] == [tmp_path / "ball.png"] * 2
    assert rows[1].fields["edit"] == tmp_path / "ball.mp4"
    results = list(run(rows, tmp_path))
    assert [("error" in result) for result in results] == [False, False, False, True, True]
    assert "give 1 to 3 pictures" in results[3]["error"] and "a reference is" in results[4]["error"]
    assert len(read(tmp_path / "blue.mp4").video) == len(read(tmp_path / "ball.mp4").video)


def test_a_run_that_was_killed_goes_on(manifest, tiny_model, tmp_path):
    rows = read_manifest(
        manifest(*({"prompt": "a red ball", "name": f"c{n}"} for n in range(4))), str(tiny_model)
    )
    done = run(rows, tmp_path)
    next(done)
    next(done)
    with open(tmp_path / RESULTS, "a") as file:
        file.write('{"name": "c2", "pa')
    (tmp_path / "c1.mp4").unlink()
    assert [row.name for row in left(rows, tmp_path)] == ["c1", "c2", "c3"]
    again = make_row(rows[0], tmp_path / ".")
    assert np.array_equal(read(tmp_path / "c0.mp4").audio, read(again["path"]).audio)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "line 2 of .* is no JSON"),
        ('{"promt": "x"}', "line 2 of .* has no prompt"),
        ('["x"]', "line 2 of .* has no prompt"),
        ('{"prompt": "x", "name": "../x"}', "cannot be called '../x'"),
        ('{"prompt": "x", "name": "one"}', "cannot be called 'one'"),
    ],
)
def test_a_wrong_line_is_named(manifest, line, message):
    with pytest.raises(ValueError, match=message):
        read_manifest(manifest({"prompt": "y", "name": "one"}, line), "pony")


@given(st.text(min_size=1, max_size=40).filter(str.strip))
@example("लाल गेंद उछलती है")
def test_any_prompt_gives_a_name(prompt):
    import tempfile
    from pathlib import Path

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "m.jsonl"
        path.write_text(json.dumps({"prompt": prompt}), "utf-8")
        (row,) = read_manifest(path, "pony")
    assert row.prompt == prompt and "/" not in row.name and not row.name.startswith(".")


def test_a_fault_at_one_clip_does_not_stop_the_others(manifest, tmp_path, monkeypatch):
    def make(row, *rest):
        raise RuntimeError("out of memory")

    monkeypatch.setattr(batch, "prepare", make)
    rows = read_manifest(manifest({"prompt": "a red ball"}, {"prompt": "a blue ball"}), "pony")
    made = list(batch.run(rows, tmp_path))
    assert [result["error"] for result in made] == ["a fault (RuntimeError: out of memory)"] * 2
    assert left(rows, tmp_path) == rows


def test_the_command(manifest, tiny_model, tmp_path):
    path = manifest({"prompt": "a red ball"}, {"prompt": "too long", "seconds": 999})
    out = tmp_path / "out"
    first = CliRunner().invoke(app, ["batch", str(path), str(out), "--model", str(tiny_model), "--json"])
    assert first.exit_code == 2 and "1 of 2 clips failed" in first.output
    assert len(list(out.glob("*.mp4"))) == 1
    again = CliRunner().invoke(app, ["batch", str(path), str(out), "--model", str(tiny_model)])
    assert "1 of 2 clips are there already" in again.output and again.exit_code == 2


def test_without_ray_it_says_how_to_get_it(monkeypatch, tmp_path):
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    with pytest.raises(ValueError, match=r"pip install .happyhorse\[ray\]"):
        list(batch.run_on_ray([], tmp_path, 1))
