"""Quality against steps: what is compared, that it goes on where it was, and the page."""

import json
from typing import ClassVar

import pytest
from PIL import Image
from typer.testing import CliRunner

from happyhorse.cli import app
from happyhorse.eval import run, steps, steps_page
from happyhorse.eval.hooves import Stride
from happyhorse.eval.judge import Verdict

STEPS = (1, 2)


class Parrot:
    """A judge that says the same of every clip."""

    accuracy: ClassVar = {"family": 1.0}
    stride = Stride()

    def __call__(self, video, audio, rate=16_000):
        return Verdict("xylophone", "red", "rain")


@pytest.fixture(autouse=True)
def parrot(monkeypatch):
    monkeypatch.setattr(run, "judge", Parrot)
    monkeypatch.setattr(run, "recogniser", lambda: None)
    monkeypatch.setattr(steps, "STEPS", STEPS)


def test_teacher_and_student_make_the_same_clips(tiny_parts):
    guided, unguided, student = steps.variants(str(tiny_parts))
    assert guided.model == unguided.model == str(tiny_parts / "flow") and student.model == str(tiny_parts)
    assert guided.fields["guidance"] == 3 and guided.fields["audio_guidance"] == 4 and guided.passes == 2
    assert unguided.fields["guidance"] == student.fields["guidance"] == 1
    assert (unguided.fields["sampler"], student.fields["sampler"]) == ("unipc", "euler")
    with pytest.raises(ValueError, match=r"give --model pony, which has one$"):
        steps.variants("pony-base")
    with pytest.raises(ValueError, match="no student of few steps"):
        steps.variants(str(tiny_parts / "flow"))


def test_it_goes_on_where_it_was(tiny_parts, tmp_path):
    said = []
    found = steps.measure(str(tiny_parts), 2, tmp_path, STEPS, progress=lambda *at: said.append(at))
    assert list(found) == ["teacher, guided", "teacher, no guidance", "student"]
    assert all(list(by_steps) == [1, 2] for by_steps in found.values())
    assert [at for at in said if at[0] == "student, 2"] == [("student, 2", 1, 2), ("student, 2", 2, 2)]
    assert found["student"][2]["clips"] == 2 and found["student"][2]["seconds"] > 0
    said.clear()
    (tmp_path / "student-2" / "figures.json").unlink()
    again = steps.measure(str(tiny_parts), 2, tmp_path, STEPS, progress=lambda *at: said.append(at))
    assert {what for what, *_ in said} == {"student, 2"}
    assert json.loads(json.dumps(again["teacher, guided"])) == json.loads(
        json.dumps(found["teacher, guided"])
    )
    steps.measure(str(tiny_parts), 1, tmp_path, (1,), progress=lambda *at: said.append(at))
    assert ("student, 1", 1, 1) in said, "another set of prompts is measured anew"


def figure(value: float) -> dict[str, float]:
    return {"value": value, "low": value - 0.1, "high": value + 0.1}


def part(share: float, within: float | None) -> dict:
    sync = None if within is None else {"within": figure(within), "median": figure(3.0), "p95": figure(70.0)}
    shares = {key: figure(share) for key in ("family", "color", "sound")}
    return {**shares, "sync": sync, "quality": {"jitter": figure(0.4)}, "seconds": 1.5}


def test_a_higher_share_is_drawn_higher():
    curve = {"student": {1: part(0.2, None), 32: part(0.8, 0.5)}}
    picture = steps_page.curves(curve)
    pixels = picture.crop((0, 0, steps_page.PANEL, steps_page.HIGH)).load()
    places = [
        (x, y)
        for x in range(steps_page.PANEL)
        for y in range(24, steps_page.HIGH)
        if pixels[x, y] == steps_page.COLOURS[0]
    ]
    first, last = min(places), max(places)
    assert first[1] > last[1] + 50


def test_the_page_has_tables_curves_clips_and_memory(tiny_parts, tmp_path, monkeypatch):
    monkeypatch.setattr(steps_page, "SHEETS", (("teacher, guided", 2), ("student", 2)))
    page = tmp_path / "docs" / "distillation.md"
    page.parent.mkdir()
    asked = [
        "eval",
        "steps",
        "--model",
        str(tiny_parts),
        "--clips",
        "2",
        "-o",
        str(tmp_path / "out"),
        "--page",
        str(page),
    ]
    done = CliRunner().invoke(app, asked)
    assert done.exit_code == 0, done.output
    text = page.read_text()
    assert (
        "| 0-guided | 3 |" in text and "| student | 2 |" in text and text.count("assets/distillation/") == 3
    )
    assets = {path.name for path in (page.parent / "assets" / "distillation").iterdir()}
    assert "curves.webp" in assets and len(assets) == 3
    sheet = next(name for name in assets if name != "curves.webp")
    assert Image.open(page.parent / "assets" / "distillation" / sheet).width == 8 * 112
    assert "| 8 | 3.8 |" in text, "memory of the 15B on eight devices"
    refused = CliRunner().invoke(app, ["eval", "steps", "--steps", "4"])
    assert refused.exit_code == 2 and "give --model and --clips alone" in refused.stderr
