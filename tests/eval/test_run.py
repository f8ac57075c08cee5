"""What is measured: prompts that are held out, clips of a model and its floors, in one process or in two."""

import numpy as np
import pytest

from happyhorse import media
from happyhorse.data.source import HELDOUT
from happyhorse.eval import run
from happyhorse.eval.hooves import Stride
from happyhorse.eval.judge import Ear, Eye, Hue, Judge
from happyhorse.eval.run import Plan
from happyhorse.generate.load import load
from happyhorse.world.scene import sample


@pytest.fixture
def plan(tiny_model, tmp_path, monkeypatch) -> Plan:
    judge = Judge(Eye(2), Hue(2), Ear(2), Stride(), ("balls", "rain"), {"family": 1.0})
    monkeypatch.setattr(run, "judge", lambda: judge)
    monkeypatch.setattr(run, "recogniser", lambda: None)
    return Plan(str(tiny_model), tmp_path, {"steps": 1, "seconds": 1.0}, first_frames=True)


def test_prompts_are_of_held_out_seeds_and_wordings():
    asked = list(run.asks(4, 2.0, ["balls", "rain"]))
    assert [one.family for one in asked] == ["balls", "rain"] * 2 and [one.index for one in asked] == [
        0,
        1,
        2,
        3,
    ]
    for one in asked:
        scene = sample(one.seed, 2.0, [one.family])
        assert one.seed >= HELDOUT and one.prompt in (*scene.heldout, *scene.captions)
    assert any(one.prompt in sample(one.seed, 2.0, [one.family]).heldout for one in asked)
    assert list(run.asks(4, 2.0, ["balls", "rain"])) == asked


def test_clips_of_every_source_are_of_one_size(plan):
    asked = list(run.asks(2, run.length(plan), ["balls", "rain"]))
    counted = []
    seen = run.measured(plan, "model", asked, progress=lambda *values: counted.append(values))
    assert counted == [("model", 1, 2), ("model", 2, 2)] and [one.family for one in seen] == ["balls", "rain"]
    files = sorted((plan.folder / "clips").iterdir())
    assert [path.name for path in files][::2] == ["0000-balls.mp4", "0001-rain.mp4"]
    assert files[1].read_text() == asked[0].prompt + "\n"
    assert media.read(files[0]).video.shape == (25, 64, 96, 3)
    assert seen[0].first is not None and seen[0].first < run.measured(plan, "world", asked)[0].first
    assert seen[1].first is None, "one clip in four is given its first frame"
    scene = sample(asked[0].seed, run.length(plan), ["balls"])
    for source in ("codec", "world"):
        video, audio = run.clip(plan, source, scene, asked[0].prompt, 0, "x")
        assert video.shape == (25, 64, 96, 3) and audio.shape == (16_000,) and video.dtype == np.uint8


def test_two_processes_give_what_one_gives(plan):
    done = []
    assert run.spread(len, ["a", "bb", "ccc"], 2, done.append) == [1, 2, 3] and done == [1, 2, 3]
    assert run.spread(len, ["a", "bb"], 1, done.append) == [1, 2]


def test_the_length_is_that_of_the_latents(plan):
    model = load(plan.model)
    shape = model.format.shape(1.0)
    assert run.length(plan) == shape.video.decoded_frames / 25


def test_a_missing_judge_names_its_remedy(monkeypatch, tmp_path):
    monkeypatch.setattr(run, "PACKAGED", tmp_path)
    with pytest.raises(ValueError, match="happyhorse train judge"):
        run._packaged(run.JUDGE, "judge")
