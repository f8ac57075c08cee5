"""Talking faces to be judged by: the same every time, in every language, saying what no training clip says."""

import numpy as np
import pytest

from happyhorse.eval import talking
from happyhorse.generate.language import read_lines
from happyhorse.world import espeak, words
from happyhorse.world.scene import hear, render
from happyhorse.world.speech import LANGUAGES

pytestmark = pytest.mark.skipif(not espeak.available(), reason="faces need the [speech] extra")


def test_every_language_says_a_held_out_line_that_the_prompt_asks_for():
    asked = [talking.ask(index, 3.0) for index in range(7)]
    assert [scene.attributes["language"] for scene, _ in asked] == list(LANGUAGES)
    for scene, prompt in asked:
        text, language = str(scene.attributes["text"]), str(scene.attributes["language"])
        assert words.heldout(text, language) and prompt in scene.heldout
        _, (line,), _ = read_lines(prompt)
        assert (line.text, line.language) == (text, language)
        assert scene.lines[0].phonemes[-1].end < 3.0 * 16_000


def test_a_face_is_drawn_and_heard_as_those_of_the_world():
    scene, _ = talking.ask(14, 2.8)
    again, _ = talking.ask(14, 2.8)
    wave = hear(scene)
    assert len(wave) == 44_800 and np.array_equal(wave, hear(again)) and 0.2 < np.abs(wave).max() <= 1
    video = render(scene, 112, 64, frames=3)
    assert video.shape == (3, 64, 112, 3) and video.std() > 20
    track = scene.track(np.arange(70) / 25)
    assert track["aperture"].max() > 0.3 and track["aperture"][0] == 0
    assert np.array_equal(track["opening"] > 0, track["aperture"] > 0) and track["mouth"].shape == (70, 2)


def test_a_clip_too_short_for_any_line_is_refused():
    with pytest.raises(ValueError, match="longer clips"):
        talking.ask(0, 0.5)
