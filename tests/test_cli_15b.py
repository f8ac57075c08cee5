"""From files to files by the command line, with a tiny 15B and a small table of sizes: `pull` from what the makers of
its parts published, `plan`, `generate` in every mode.
"""

import json

import av
import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from happyhorse import media, sizes
from happyhorse.cli import app
from published import SIZES

SMALL = ("--size", "256p")
PLAIN = {"COLUMNS": "200", "NO_COLOR": "1", "TERM": "dumb"}


@pytest.fixture(scope="module")
def home(published_15b, tmp_path_factory):
    """A folder of installed models, into which all parts were pulled."""
    import originals

    origin, home = tmp_path_factory.mktemp("origin"), tmp_path_factory.mktemp("home")
    originals.write_all(published_15b, origin)
    command = ["pull", "--from", str(origin), "--variant", "distill,base,sr540,sr1080"]
    result = CliRunner().invoke(app, command, env=PLAIN | {"HAPPYHORSE_HOME": str(home)})
    assert result.exit_code == 0, (result.stderr, result.exception)
    assert all(f"{part}: " in result.stderr for part in ("text", "video", "turbo", "audio", "base", "sr1080"))
    return home


@pytest.fixture
def here(tmp_path, monkeypatch, home):
    """A current folder with a picture and the sound of a video, and the small table of sizes."""
    monkeypatch.setattr(sizes, "SIZES", SIZES)
    monkeypatch.setenv("HAPPYHORSE_HOME", str(home))
    monkeypatch.chdir(tmp_path)
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (90, 90, 3), np.uint8)).save("face.png")
    noise = np.random.default_rng(1).standard_normal(80 * 640).astype(np.float32) * 0.1
    with media.Writer("voice.mp4", width=64, height=64, fps=25, rate=16_000) as writer:
        writer.sound(noise)
        writer.frames(np.zeros((80, 64, 64, 3), np.uint8))
    return tmp_path


def run(verb, *arguments):
    """Exit code, the facts of the last line, and what was said beside them."""
    command = [verb, "a woman says hello", "--json", "--seed", 1, *arguments]
    result = CliRunner().invoke(app, [str(part) for part in command], env=PLAIN)
    return result.exit_code, json.loads(result.stdout or "{}"), result.stderr, result.exception


@pytest.mark.parametrize(
    ("model", "size", "given"),
    [
        ("happyhorse-15b", "256p", ()),
        ("happyhorse-15b", "540p", ("--first-frame", "face.png")),
        pytest.param("happyhorse-15b", "540p", ("--audio", "voice.mp4"), marks=pytest.mark.slow),
        pytest.param("happyhorse-15b/base", "256p", (), marks=pytest.mark.slow),
        pytest.param(
            "happyhorse-15b/base",
            "1080p",
            ("--audio", "voice.mp4", "--first-frame", "face.png"),
            marks=pytest.mark.slow,
        ),
    ],
)
def test_every_mode(here, model, size, given):
    asked = ["--model", model, "--steps", 2, "--size", size, *given]
    asked += ["--upscale-steps", 1] if size != "256p" else []
    asked += [] if "--audio" in given else ["--seconds", 3]
    code, plan, said, error = run("plan", *asked)
    assert code == 0 and plan["fits"], (said, error)
    stages = [stage["stage"] for stage in plan["stages"]]
    assert ("upscale" in stages) == (size != "256p") and ("encode the sound" in stages) == (
        "--audio" in given
    )
    code, facts, said, error = run("generate", *asked, "-o", "x.mp4")
    assert code == 0, (said, error)
    picture = next(row.picture for row in SIZES if row.name == size)
    clip = media.read("x.mp4", rate=44_100)
    # all of a sound of 3.2 s; of 3 s as many of the form 4k + 1 as fit
    frames = 81 if "--audio" in given else 73
    assert clip.video.shape == (frames, picture[1], picture[0], 3) and facts["seconds"] == frames / 25
    assert abs(len(clip.audio) - frames * 1764) <= 1 and np.abs(clip.audio).max() > 1e-3
    assert clip.video[frames // 2].std() > 1 and facts["signed"]
    assert facts["sampler"] == ("unipc" if model.endswith("base") else "renoise")
    with av.open("x.mp4") as file:
        assert [stream.codec_context.name for stream in file.streams] == ["h264", "aac"]
        assert file.streams.video[0].average_rate == 25


def test_mistakes_are_one_sentence(here):
    for arguments, sentence in (
        (("--size", "96x96"), "does not make 96x96; ask for one of 256p 96x64"),
        (("--size", "256p", "--ratio", "2:1"), "no size called 256p 2:1"),
        ((*SMALL, "--seconds", "2"), "makes 3 to 15 s"),
        ((*SMALL, "--last-frame", "face.png"), "was not trained with last_frame"),
        ((*SMALL, "--guidance", "4"), "use --model happyhorse-15b/base"),
    ):
        code, _, said, error = run("generate", "--model", "happyhorse-15b", "-o", "x.mp4", *arguments)
        assert code != 0 and sentence in said + str(error), (said, error)
    assert not (here / "x.mp4").exists()
