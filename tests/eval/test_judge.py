"""The judge: what goes into it, a small one that learns, and the shipped recipe's accuracy."""

import numpy as np
import pytest
import torch

from happyhorse.eval import judge, train_judge
from happyhorse.eval.asks import MAIN, SOUGHT, main_color, prompt
from happyhorse.eval.judge import COLORS, PALETTE
from happyhorse.world.scene import available, hear, render, sample


def test_thumbnails_are_means_over_areas():
    video = np.zeros((75, 128, 224, 3), np.uint8)
    video[:, :, 1::2] = 100
    small = judge.thumbnails(video)
    assert small.shape == (8, 64, 112, 3) and (small == 50).all()
    counting = np.arange(75, dtype=np.uint8)[:, None, None, None] * np.ones((1, 64, 112, 3), np.uint8)
    assert judge.thumbnails(counting)[:, 0, 0, 0].tolist() == [0, 11, 21, 32, 42, 53, 63, 74]


def test_whereabouts_of_colours():
    picture = np.zeros((1, 8, 64, 112, 3), np.uint8)
    picture[:] = np.round(np.array(PALETTE["blue"]) * 255)
    picture[:, 4:, :32, :56] = np.round(np.array(PALETTE["yellow"]) * 255)  # appears half way, upper left
    places = judge.whereabouts(judge.pictures(picture))[0].reshape(len(COLORS), 2, 8, 14).square()
    blue, yellow = places[COLORS.index("blue")], places[COLORS.index("yellow")]
    assert blue[0, 6, 10] == pytest.approx(1.0, abs=0.01) and yellow[0, 6, 10] == pytest.approx(0.0, abs=0.01)
    # of the frames 0, 3 and 6 the last has it; yellow has neighbours in the palette that take a little of it
    assert blue[0, 1, 2] == pytest.approx(2 / 3, abs=0.03)
    assert yellow[0, 1, 2] == pytest.approx(1 / 3, abs=0.03)
    assert yellow[1, 1, 2] == pytest.approx(2 / 7, abs=0.02)
    assert yellow[1, 6, 10] == pytest.approx(0.0, abs=0.01)


def test_spectrogram_is_three_seconds_whatever_comes():
    for count in (100, 48_000, 60_000):
        assert judge.spectrogram(torch.zeros(2, count)).shape == (2, 150, 80)


@pytest.fixture(scope="module")
def small() -> judge.Judge:
    return train_judge.train(seed=0, clips=60, colored=20, heldout=20, epochs=8, families=["clock", "rain"])


def test_a_small_judge_learns(small):
    assert small.accuracy["family"] > 0.9 and small.accuracy["sound"] > 0.9 and small.accuracy["color"] > 0.4
    assert "hooves" not in small.accuracy, "there was no horse to learn from"
    scene = sample(5, 3.0, ["clock"])
    rain = sample(5, 3.0, ["rain"])
    verdict = small(render(scene, 224, 128), hear(rain))
    assert verdict.family == "clock" and verdict.sound == "rain"
    with pytest.raises(ValueError, match="resample"):
        small(render(scene, 112, 64), hear(scene, 44_100), 44_100)


def test_a_judge_is_saved_and_read_back(small, tmp_path):
    judge.save(small, tmp_path / "judge.safetensors")
    again = judge.load(tmp_path / "judge.safetensors")
    assert again.families == small.families and again.accuracy == small.accuracy
    scene = sample(6, 3.0, ["clock"])
    frames = judge.pictures(judge.thumbnails(render(scene, 112, 64))[None])
    assert torch.equal(again.eye(frames), small.eye(frames))
    with pytest.raises(ValueError, match="no weights at"):
        judge.load(tmp_path / "none.safetensors")


@pytest.mark.slow
def test_the_recipe_reaches_its_accuracy():
    accuracy = train_judge.train().accuracy
    assert accuracy["family"] > 0.99 and accuracy["sound"] > 0.98 and accuracy["color"] > 0.98
    assert accuracy["hooves"] > 0.95


@pytest.mark.parametrize("family", [name for name in {**MAIN, **SOUGHT} if name in available()])
def test_prompts_name_what_is_measured(family):
    named = 0
    for seed in range(8):
        scene = sample(seed, 3.0, [family])
        color = main_color(scene)
        assert color in COLORS or "color2" in scene.attributes
        for line in (prompt(scene), prompt(scene, heldout=True)):
            if line is not None:
                named += 1
                assert color is None or color in line.lower()
                assert all(
                    str(scene.attributes[k]) in line.lower()
                    for k in SOUGHT.get(family, ())
                    if k in scene.attributes
                )
        assert prompt(scene) is None or prompt(scene) in scene.captions
    assert named >= 6
