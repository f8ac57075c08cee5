"""English heard by pocketsphinx: the line is picked out, and its words stand where they were said."""

import numpy as np
import pytest

from happyhorse.eval import sphinx
from happyhorse.world import espeak, speech

pytestmark = pytest.mark.skipif(
    not (sphinx.available() and espeak.available()), reason="needs the [asr] and [speech] extras"
)
LINES = ("the horse runs away", "put the cup on the table.", "Good morning Sam!")


def wave(line: str) -> np.ndarray:
    return np.pad(speech.synthesise(line, "en").wave, (8000, 4000))


def test_the_line_that_is_said_is_picked_out():
    assert sphinx.which(wave(LINES[1]), LINES) == "put the cup on the table"
    assert sphinx.which(wave(LINES[2]), LINES) == sphinx.plain(LINES[2]) == "good morning sam"
    assert sphinx.which(wave("xyzzyq"), ("xyzzyq",)) is None, "a word that it does not know is never heard"


def test_words_stand_where_they_are_said():
    found = sphinx.words(wave(LINES[0]), LINES[0])
    assert [word.symbol for word in found] == ["the", "horse", "runs", "away"]
    spoken = speech.synthesise(LINES[0], "en").phonemes
    first, last = 0.5 + spoken[0].start / 16_000, 0.5 + spoken[-1].end / 16_000
    assert found[0].start == pytest.approx(first, abs=0.08) and found[-1].end == pytest.approx(last, abs=0.1)
    assert sphinx.words(wave(LINES[0]), "xyzzyq") == ()


def test_without_pocketsphinx_the_remedy_is_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pocketsphinx", None)
    with pytest.raises(ValueError, match=r"happyhorse\[asr\]"):
        sphinx.which(np.zeros(16_000, np.float32), LINES)
