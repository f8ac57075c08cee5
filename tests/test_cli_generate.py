"""`happyhorse generate` with something given besides the prompt: what comes out, and one sentence for each mistake."""

import json
import os

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from happyhorse import media
from happyhorse.cli import app
from happyhorse.values import Clip

PLAIN = {"COLUMNS": "200", "NO_COLOR": "1", "TERM": "dumb"}
TONE = (0.2 * np.sin(np.arange(25 * 640) / 16_000 * 2 * np.pi * 440)).astype(np.float32)


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A current folder with two pictures, a clip of 1 s that fades from black to white, and a text."""
    monkeypatch.chdir(tmp_path)
    for name, level in (("black", 0), ("white", 255)):
        Image.new("RGB", (96, 64), (level,) * 3).save(f"{name}.png")
    fade = np.linspace(0, 250, 25).astype(np.uint8)[:, None, None, None]
    media.write(Clip(video=np.broadcast_to(fade, (25, 64, 96, 3)).copy(), audio=TONE), "clip.mp4")
    (tmp_path / "text.txt").write_text("no clip")
    return tmp_path


def run(model, *arguments, code=0):
    command = ["generate", "a red ball", "--model", model, "--json", "-o", "x.mp4", "--seed", 1, *arguments]
    result = CliRunner().invoke(app, [str(part) for part in command], env=PLAIN)
    assert result.exit_code == code, (result.output, result.stderr, result.exception)
    return result


def made(model, *arguments):
    """Facts, notes and the clip that was made."""
    result = run(model, *arguments)
    return json.loads(result.stdout), result.stderr, media.read("x.mp4")


def test_pictures(here, tiny_model):
    arguments = ("--first-frame", "black.png", "--key-frame", "0.24=white.png", "--last-frame", "black.png")
    facts, _, clip = made(tiny_model, *arguments)
    assert facts["first_frame"] == facts["last_frame"] == "black.png" and facts["key_frames"] == [
        [0.24, "white.png"]
    ]
    assert len(clip.video) == 15 and facts["seconds"] == 0.6


def test_a_sound_is_in_the_file(here, tiny_model):
    facts, notes, clip = made(tiny_model, "--audio", "clip.mp4", "--seconds", 0.8)
    assert facts["audio"] == "clip.mp4" and facts["seconds"] == 0.8 and "first 0.8 s are used" in notes
    heard = clip.audio[800 : 20 * 640 - 800]
    assert np.corrcoef(heard, TONE[800 : 20 * 640 - 800])[0, 1] > 0.95  # two AAC encoders between
    assert made(tiny_model, "--audio", "clip.mp4")[0]["seconds"] == 1.0


def test_a_video_gets_a_sound(here, tiny_model):
    facts, notes, clip = made(tiny_model, "--video", "clip.mp4")
    assert (facts["seconds"], facts["width"], facts["height"]) == (
        1.0,
        96,
        64,
    ) and "sound of the video is replaced" in notes
    assert np.abs(clip.video[:, 32, 48, 0] - np.linspace(0, 250, 25)).max() < 6
    assert abs(np.corrcoef(clip.audio[800:-800], TONE[800:-800])[0, 1]) < 0.5


def test_a_clip_goes_on(here, tiny_model):
    facts, _, clip = made(tiny_model, "--extend", "clip.mp4", "--seconds", 0.4, "--last-frame", "black.png")
    assert facts["seconds"] == 1.4 and facts["extend"] == "clip.mp4" and len(clip.video) == 35
    assert np.abs(clip.video[:25, 32, 48, 0] - np.linspace(0, 250, 25)).max() < 6


def test_pictures_of_a_subject(here, learnt_model):
    facts, _, clip = made(learnt_model, "--reference", "black.png", "--reference", "white.png")
    assert facts["references"] == ["black.png", "white.png"] and len(clip.video) == 15
    assert "give 1 to 3 pictures" in run(learnt_model, *["--reference", "black.png"] * 4, code=2).stderr


def test_a_clip_is_edited(here, learnt_model, tiny_model):
    facts, _, clip = made(learnt_model, "--edit", "clip.mp4", "--keep", "picture")
    assert facts["edit"] == "clip.mp4" and facts["keep"] == "picture" and facts["seconds"] == 1.0
    assert np.abs(clip.video[:, 32, 48, 0] - np.linspace(0, 250, 25)).max() < 6
    assert abs(np.corrcoef(clip.audio[800:-800], TONE[800:-800])[0, 1]) < 0.5
    facts, _, clip = made(learnt_model, "--edit", "clip.mp4", "--keep", "sound")
    assert np.corrcoef(clip.audio[800:-800], TONE[800:-800])[0, 1] > 0.95
    refused = run(tiny_model, "--edit", "clip.mp4", code=2).stderr
    assert "was not trained with editing a clip (edit)" in refused and "Traceback" not in refused
    both = run(learnt_model, "--edit", "clip.mp4", "--first-frame", "black.png", code=2).stderr
    assert "leave out first_frame" in both


def test_a_span_is_made_anew(here, tiny_model):
    facts, notes, clip = made(tiny_model, "--retake", "clip.mp4", "--span", "0.4-0.6")
    assert facts["span"] == [0.4, 0.6] and facts["seconds"] == 1.0 and "made to end at 0.72 s" in notes
    kept = np.r_[0:10, 18:25]
    assert np.abs(clip.video[kept, 32, 48, 0] - np.linspace(0, 250, 25)[kept]).max() < 6


MISTAKES = {
    "key frame without a time": (["--key-frame", "a.png"], "give seconds=path"),
    "key frame at no time": (["--key-frame", "x=a.png"], "for example --key-frame 1.5=jump.png"),
    "key frame of nothing": (["--key-frame", "1="], "give seconds=path"),
    "key frame after the end": (
        ["--key-frame", "1=black.png", "--seconds", "0.8"],
        "not inside the clip of 0.8 s",
    ),
    "two first frames": (["--first-frame", "black.png", "--key-frame", "0=white.png"], "two first frames"),
    "two at once": (
        ["--last-frame", "black.png", "--key-frame", "0.55=white.png", "--seconds", "0.6"],
        "fall together",
    ),
    "no picture": (["--last-frame", "text.txt"], "not a picture"),
    "no sound": (["--audio", "text.txt"], "not a sound that can be read"),
    "no video": (["--video", "text.txt"], "text.txt cannot be used"),
    "no clip": (["--extend", "none.mp4"], "none.mp4"),
    "a span of nothing": (["--span", "1-2"], "retake and span go together"),
    "a retake without a span": (["--retake", "clip.mp4"], "such as 1-2.5"),
    "a span in words": (["--retake", "clip.mp4", "--span", "early"], "for example --span 1-2.5"),
    "a span backwards": (["--retake", "clip.mp4", "--span", "2-1"], "from 2 to 1 s is impossible"),
    "a span after the end": (["--retake", "clip.mp4", "--span", "0.5-3"], "which lasts 1 s"),
    "a length for a retake": (
        ["--retake", "clip.mp4", "--span", "0-0.5", "--seconds", "3"],
        "leave out seconds",
    ),
    "two clips": (["--retake", "clip.mp4", "--span", "0-0.5", "--extend", "clip.mp4"], "contradict"),
    "nothing left": (["--video", "clip.mp4", "--audio", "clip.mp4"], "nothing is left to make"),
    "a language": (["--lang", "es"], "choose one of English (en), Mandarin (zh)"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_one_sentence_with_its_remedy(here, tiny_model, name):
    arguments, remedy = MISTAKES[name]
    before = sorted(os.listdir())
    result = run(tiny_model, *arguments, code=2)
    (line,) = result.stderr.strip().splitlines()
    assert line.startswith("happyhorse: ") and remedy in line and result.stdout == ""
    assert sorted(os.listdir()) == before
