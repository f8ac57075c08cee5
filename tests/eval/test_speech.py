"""Measuring speech: figures by language from clips whose answers are known, and the page that shows them."""

import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from happyhorse.eval import report, run, speech, speech_page, strip
from happyhorse.eval.lips import Speech
from happyhorse.eval.recogniser import Recogniser, RecogniserConfig
from happyhorse.eval.run import Plan
from happyhorse.eval.speech import Said, SpeechReport
from happyhorse.world import espeak
from happyhorse.world.speech import LANGUAGES


def said(language: str, heard: str, known: bool | None = None, heard_in: str | None = None) -> Said:
    """A clip in which "abcd" was asked for, with a mouth that opens twice, 20 ms after the voice."""
    times = np.arange(75) / 25
    grid = (np.arange(300) + 0.5) / 100
    opening = 0.016 + 0.08 * (np.sin(4 * times) > 0.5)
    asked = (np.sin(4 * (grid + 0.02)) > 0.5).astype(float)
    mouth = Speech(opening, asked, ((0.0, 0.08),), times < 0.1)
    return Said(language, tuple("abcd"), tuple(heard), heard_in or language, mouth, known)


@pytest.fixture(scope="module")
def figures() -> SpeechReport:
    clips = [said("en", "abcd", True), said("en", "abxd", False), said("ja", "ab", heard_in="ko")]
    return speech.gather(clips, {"error": 0.05, "error_en": 0.04, "language_error": 0.01})


def test_errors_are_edits_over_what_was_asked(figures):
    assert figures.total.error.value == pytest.approx(3 / 12) and figures.total.phonemes == 12
    assert figures.languages["en"].error.value == pytest.approx(1 / 8)
    assert figures.languages["ja"].error.value == pytest.approx(2 / 4)
    assert figures.languages["en"].language.value == 1.0 and figures.languages["ja"].language.value == 0.0
    assert figures.languages["en"].known.value == 0.5 and figures.languages["ja"].known is None
    assert set(figures.languages) == {"en", "ja"}


def test_lips_are_measured_beside_strangers(figures):
    assert figures.total.lips.met.value == 1.0 and figures.total.lips.rest.value == 1.0
    assert abs(figures.total.lips.lag.value) <= 40 and figures.total.lips_control.clips == 3
    assert figures.languages["ja"].lips_control is None


def test_the_page_has_a_row_for_each_language_and_source(figures, tmp_path):
    (tmp_path / "clips").mkdir()
    for name in ("0000-en", "0007-en", "0014-en", "0003-ja"):
        Image.new("RGB", (8, 8)).save(tmp_path / f"{name}.webp")
        (tmp_path / "clips" / f"{name}.txt").write_text(f"prompt of {name}")
    page = tmp_path / "docs" / "speech.md"
    page.parent.mkdir()
    reports = {"model": figures, "world": figures}
    text = speech_page.write(reports, "Model x, 3 clips.", tmp_path, page).read_text(encoding="utf-8")
    assert "| English | model | 2 | 8 |" in text and "| Japanese | world |" in text
    assert "4.0 %" in text and "nan" not in text.lower()
    assert text.count("![") == 3, "two clips of English, one of Japanese"
    assert sorted(p.name for p in (page.parent / "assets" / "speech").iterdir()) == [
        "0000-en.webp",
        "0003-ja.webp",
        "0007-en.webp",
    ]
    for table in text.split("\n\n"):
        if table.startswith("|"):
            assert len({row.count("|") for row in table.splitlines()}) == 1
    assert json.dumps(report.as_dict(reports))


def test_a_strip_shows_frames_voice_and_mouth():
    clip = said("en", "abcd").speech
    video = np.full((75, 128, 224, 3), 200, np.uint8)
    audio = (0.1 * np.sin(np.arange(48_000) * 0.3)).astype(np.float32)
    picture = np.asarray(strip.sheet(video, audio, clip))
    assert picture.shape[1] == strip.WIDTH
    mouth = picture[-strip.LIPS :]
    assert (mouth == strip.DONE).all(-1).any() and (mouth == strip.ASKED).all(-1).any()
    assert (mouth == strip.MET).all(-1)[:, :40].any()
    nothing = replace(clip, opening=np.full(75, np.nan))
    assert not (np.asarray(strip.sheet(video, audio, nothing)) == strip.DONE).all(-1).any()


@pytest.mark.skipif(not espeak.available(), reason="faces need the [speech] extra")
def test_clips_of_a_model_are_made_heard_and_drawn(tiny_model, tmp_path, monkeypatch):
    module = Recogniser(RecogniserConfig(("a", "i", "n", "t"), width=16, blocks=1)).eval()
    monkeypatch.setattr(run, "recogniser", lambda: module)
    plan = Plan(str(tiny_model), tmp_path, {"steps": 1, "seconds": 3.0})
    found = speech.measured(plan, "model", 2)
    assert found.total.clips == 2 and set(found.languages) == {"en", "zh"}
    assert {path.suffix for path in (tmp_path / "clips").iterdir()} == {".mp4", ".txt"}
    assert Image.open(tmp_path / "0000-en.webp").width == strip.WIDTH
    assert list(LANGUAGES)[:2] == ["en", "zh"]
