"""What is given, is it kept: seams and clicks of known signals, words exchanged, and a tiny model for the rest."""

from functools import partial

import numpy as np
import pytest
from typer.testing import CliRunner

from happyhorse.cli import app
from happyhorse.eval import beside, conditions, run
from happyhorse.eval.asks import main_color
from happyhorse.eval.conditions import CONDITIONS, Given, Made
from happyhorse.eval.judge import Verdict
from happyhorse.eval.run import Plan
from happyhorse.world.scene import sample


class Parrot:
    """A judge that sees a drum of one colour whatever it is shown."""

    def __init__(self, color: str) -> None:
        self.color = color

    def __call__(self, video, audio, rate=16_000):
        return Verdict("drum", self.color, "drum")


@pytest.fixture
def plan(learnt_model, tmp_path, monkeypatch) -> Plan:
    drums = partial(run.asks, families=["drum"])
    (asked,) = drums(1, 1.0)
    other = conditions._exchange(asked.prompt, main_color(sample(asked.seed, 1.0, ["drum"])))
    monkeypatch.setattr(run, "asks", drums)
    monkeypatch.setattr(run, "judge", lambda: Parrot(other[1]))
    return Plan(str(learnt_model), tmp_path, {"steps": 1, "seconds": 1.0})


def moving(jump: float = 0) -> np.ndarray:
    """24 grey frames that brighten by 2 each, and by `jump` more at frame 12."""
    levels = np.arange(24) * 2 + np.where(np.arange(24) >= 12, jump, 0)
    return np.broadcast_to(levels[:, None, None, None], (24, 8, 8, 3)).astype(np.uint8)


def test_a_seam_is_a_change_larger_than_those_beside_it():
    assert conditions.seam(moving(), 12) == pytest.approx(1, abs=1e-6)
    assert conditions.seam(moving(20), 12) == pytest.approx(22.255 / 2.255, rel=1e-3)
    assert conditions.seam(moving(20), 3) == pytest.approx(1, abs=1e-6), "too far away to count"
    assert conditions.seam(moving(20), 13) == pytest.approx(2.255 / 22.255, rel=1e-3), "the jump is beside it"
    assert conditions.seam(np.zeros((2, 8, 8, 3), np.uint8), 1) == 1


def test_a_click_is_the_largest_step_near_by():
    wave = np.sin(np.arange(16_000) / 20).astype(np.float32) * 0.1
    wave[8_000:] += 0.5
    assert conditions.click(wave, 8_000) == 1
    assert conditions.click(wave, 9_000) < 0.05
    assert conditions.click(np.zeros(100, np.float32), 50) == 0


@pytest.mark.parametrize("color", [None, "bay", "green"])
def test_a_word_that_is_not_named_once_is_not_exchanged(color):
    assert conditions._exchange("a bay horse, a green tree, a green hill", color) is None


def test_the_other_word_is_not_in_the_prompt():
    prompt, other = conditions._exchange("a red ball before an orange wall", "red")
    assert prompt == f"a {other} ball before an orange wall" and other not in ("red", "orange")


def test_what_is_equal_scores_what_it_should():
    """Of the render itself everything is kept, nothing shows a seam, and sound and picture are in time."""
    scene = next(one for one in (sample(seed, 3.0, ["balls"]) for seed in range(9)) if len(one.events) > 1)
    from happyhorse.world.scene import hear, render

    video, audio = render(scene, 192, 96, 25, 75), hear(scene, 16_000, 48_000)
    given, made = Given(scene, scene.captions[0], video, video, audio), Made(video, audio)
    figures = {
        one.name: one.figures(given, made)
        for one in CONDITIONS
        if one.name != "another colour word" and one.learnt is None
    }
    for name in ("first frame", "last frame", "first, key and last frame"):
        assert figures[name]["kept"] == 60
    for name in ("sound", "silent video", "continuation", "span made again"):
        assert figures[name]["untouched"] == 1
    assert figures["sound"]["in time"] == 1 and abs(figures["sound"]["offset"]) < 20
    assert figures["continuation"]["seam"] < 4


def test_an_edit_is_judged_by_the_render_of_what_was_asked_for(monkeypatch):
    """The render of the result has what was asked for, and the rest as it was; the source has not; grey has neither."""
    from happyhorse.data.edits import SILENCE, edit
    from happyhorse.world.scene import hear, render

    monkeypatch.setattr(run, "judge", lambda: Parrot("red"))
    scene = sample(3, 0.5, ["drum"])
    video, audio = render(scene, 96, 64, 25, 12), hear(scene, 16_000, 8_000)
    given = Given(scene, scene.captions[0], video, video, audio)
    every = {one.name: one for one in CONDITIONS}
    for kind in ("colour", "background"):
        asked = edit("drum", 3, 0.5, kind)
        condition = every[f"{kind} edited"]
        assert condition.asks(given)["prompt"] == asked.heldout[0]
        truth = render(asked.result, 96, 64, 25, 12)
        assert condition.figures(given, Made(truth, audio)) == {"followed": 1, "kept": 60, "codec": 60}
        before = condition.figures(given, Made(video, audio))
        assert before["followed"] == 0 and before["kept"] > 50 and before["codec"] == 60
        assert condition.figures(given, Made(np.full_like(video, 99), audio))["kept"] < 25
    asked = edit("drum", 3, 0.5, "sound")
    assert asked.to not in ("drum", SILENCE)
    heard = every["sound edited"].figures(given, Made(video, audio))
    assert heard == {"followed": 0, "kept": 60, "codec": 60}, "the parrot hears a drum"


def test_a_prompt_for_pictures_of_a_subject_leaves_its_colour_to_them():
    scene = sample(3, 0.5, ["drum"])
    color, video = scene.attributes["color"], np.zeros((3, 64, 96, 3), np.uint8)
    line = f"a {color} drum"
    asked = beside.referred(Given(scene, line, video, video, np.zeros(9, np.float32)))
    assert asked["prompt"] == "a drum" and [one.shape for one in asked["references"]] == [(64, 96, 3)] * 2
    assert beside.referred(Given(scene, "a drum", video, video, np.zeros(9, np.float32))) is None


def test_what_a_model_has_not_learnt_is_not_tried(plan, tiny_model):
    some = [one for one in CONDITIONS if one.learnt is not None]
    assert conditions.measure(Plan(str(tiny_model), plan.folder, plan.fields), 1, some) == {}


def test_every_condition_is_tried_and_a_measurement_goes_on(plan, monkeypatch):
    said = []
    found = conditions.measure(plan, 1, progress=lambda *at: said.append(at))
    assert list(found) == [one.name for one in CONDITIONS]
    assert found["silent video"]["untouched"].value == found["sound"]["untouched"].value == 1
    assert found["continuation"]["untouched"].value == found["span made again"]["untouched"].value == 1
    assert 0 < found["first frame"]["kept"].value < found["first frame"]["codec"].value + 3
    assert found["another colour word"]["word followed"].value == 1
    files = {path: path.stat().st_mtime_ns for path in plan.folder.rglob("*.mp4")}
    assert len(files) == len(CONDITIONS) == len(said)
    again = conditions.measure(plan, 1)
    assert {path: path.stat().st_mtime_ns for path in plan.folder.rglob("*.mp4")} == files
    assert again["sound"] == found["sound"]
    monkeypatch.setattr(run, "weights", lambda model: ["others of the same name"])
    conditions.measure(plan, 1, [one for one in CONDITIONS if one.name == "sound"])
    changed = {path for path, at in files.items() if path.stat().st_mtime_ns != at}
    assert len(changed) == 1, "figures of other weights were taken for those of these"


def test_the_command_writes_a_page_with_an_example_of_each(plan, tmp_path, monkeypatch):
    page = tmp_path / "docs" / "conditioning.md"
    page.parent.mkdir()
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(
        app,
        [
            *["eval", "conditions", "--clips", "1", "--steps", "1", "--model"],
            plan.model,
            "--page",
            str(page),
            "-o",
            str(tmp_path),
        ],
    )
    assert result.exit_code == 0, result.output
    text = page.read_text()
    assert all(f"**{one.name}**" in text for one in CONDITIONS)
    assert len(list((page.parent / "assets" / "conditioning").glob("*.webp"))) == len(CONDITIONS)
    refused = CliRunner().invoke(app, ["eval", "conditions", "--family", "balls"])
    assert refused.exit_code and "all families" in refused.output
