"""`happyhorse generate --model FOLDER` with a tiny 15B in the published formats: clips of 3 s in every mode."""

import json

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from happyhorse import media, sizes
from happyhorse.cli import app
from published import SIZES

SMALL = ("--size", "256p")
PLAIN = {"COLUMNS": "200", "NO_COLOR": "1", "TERM": "dumb"}


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A current folder with a picture and the sound of a video, and the small table of sizes."""
    monkeypatch.setattr(sizes, "SIZES", SIZES)
    monkeypatch.chdir(tmp_path)
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (90, 90, 3), np.uint8)).save("face.png")
    noise = np.random.default_rng(1).standard_normal(80 * 640).astype(np.float32) * 0.1
    with media.Writer("voice.mp4", width=64, height=64, fps=25, rate=16_000) as writer:
        writer.sound(noise)
        writer.frames(np.zeros((80, 64, 64, 3), np.uint8))
    return tmp_path


def run(folder, *arguments):
    """Exit code, the facts of the last line, and what was said beside them."""
    command = [
        "generate",
        "a woman says hello",
        "--model",
        folder,
        "--json",
        "-o",
        "x.mp4",
        "--seed",
        1,
        *arguments,
    ]
    result = CliRunner().invoke(app, [str(part) for part in command], env=PLAIN)
    return result.exit_code, json.loads(result.stdout or "{}"), result.stderr, result.exception


@pytest.mark.parametrize(
    ("size", "given"),
    [
        ("256p", ()),
        ("540p", ("--first-frame", "face.png")),
        pytest.param("540p", ("--audio", "voice.mp4"), marks=pytest.mark.slow),
        pytest.param("1080p", ("--audio", "voice.mp4", "--first-frame", "face.png"), marks=pytest.mark.slow),
    ],
)
def test_every_mode(here, published_15b, size, given):
    options = ("--steps", 1, "--size", size, *(("--upscale-steps", 1) if size != "256p" else ()))
    code, facts, said, error = run(
        published_15b, *(options if "--audio" in given else (*options, "--seconds", 3)), *given
    )
    assert code == 0, (said, error)
    picture = next(row.picture for row in SIZES if row.name == size)
    clip = media.read("x.mp4", rate=44_100)
    frames = 81 if "--audio" in given else 73  # 3.2 s, or 3 s: as many of the form 4k + 1 as fit
    assert clip.video.shape == (frames, picture[1], picture[0], 3) and facts["seconds"] == frames / 25
    assert abs(len(clip.audio) - frames * 1764) <= 1 and np.abs(clip.audio).max() > 1e-3
    assert facts["sampler"] == "renoise" and facts["signed"]


def test_mistakes_are_one_sentence(here, published_15b):
    for arguments, sentence in (
        (("--size", "96x96"), "does not make 96x96; ask for one of 256p 96x64"),
        (("--size", "256p", "--ratio", "2:1"), "no size called 256p 2:1"),
        ((*SMALL, "--seconds", "2"), "makes 3 to 15 s"),
        ((*SMALL, "--last-frame", "face.png"), "was not trained with last_frame"),
        ((*SMALL, "--guidance", "4"), "use --model happyhorse-15b/base"),
    ):
        code, _, said, error = run(published_15b, *arguments)
        assert code != 0 and sentence in said + str(error), (said, error)
    assert not (here / "x.mp4").exists()
