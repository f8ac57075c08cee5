"""The command line: results on standard output, one sentence for a mistake, nothing half-written, ever."""

import json
import os
import re
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from happyhorse import media
from happyhorse.cli import app

PLAIN = {"COLUMNS": "200", "NO_COLOR": "1", "TERM": "dumb"}


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty current folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments, code=0):
    result = CliRunner().invoke(app, [str(a) for a in arguments], env=PLAIN)
    assert result.exit_code == code, (result.exit_code, result.output, result.exception)
    return result


def refused(*arguments, code=2):
    """The sentence of a refusal: exactly one line, no traceback, nothing on standard output."""
    result = run(*arguments, code=code)
    assert result.stdout == "" and "Traceback" not in result.stderr
    (line,) = result.stderr.strip().splitlines()
    assert line.startswith("happyhorse: ")
    return line


def start(*arguments, **options):
    """The real command in a process of its own."""
    environment = (
        os.environ | PLAIN | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "OMP_NUM_THREADS": "1"}
    )
    return subprocess.Popen(
        [sys.executable, "-m", "happyhorse", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        **options,
    )


def test_a_clip_with_a_name_from_its_prompt(here, tiny_model):
    result = run("generate", "A red ball!", "--model", tiny_model, "--seed", 7)
    lines = result.stdout.splitlines()
    assert lines[0] == "a-red-ball-7.mp4"
    assert (
        "A red ball!" in lines[1] and "0.6 s" in lines[2] and "seed 7" in lines[3] and "made in" in lines[4]
    )
    assert media.read("a-red-ball-7.mp4").video.shape == (15, 64, 96, 3)
    before = Path("a-red-ball-7.mp4").read_bytes()
    run("generate", "A red ball!", "--model", tiny_model, "--seed", 7)
    assert sorted(os.listdir()) == ["a-red-ball-7-2.mp4", "a-red-ball-7.mp4"]
    assert Path("a-red-ball-7.mp4").read_bytes() == before
    run("generate", "A red ball!", "--model", tiny_model, "--seed", 7, "--force")
    assert len(os.listdir()) == 2


def test_json_says_what_was_made(here, tiny_model):
    options = ["--size", "64x96", "--seconds", 0.8, "--steps", 2, "--guidance", 2, "--takes", 2, "--seed", 3]
    result = run("generate", "a red ball", "-o", "x.mp4", "--model", tiny_model, "--json", *options)
    one, two = map(json.loads, result.stdout.splitlines())
    assert [one["path"], two["path"]] == ["x-1.mp4", "x-2.mp4"] and [one["seed"], two["seed"]] == [3, 4]
    expected = {
        "width": 64,
        "height": 96,
        "seconds": 0.8,
        "steps": 2,
        "guidance": 2.0,
        "fps": 25,
        "signed": True,
    }
    assert expected.items() <= one.items() and one["model"] == str(tiny_model)
    assert {"load", "condition", "denoise", "decode", "mux", "provenance"} == set(one["timings"])
    assert media.read("x-2.mp4").video.shape == (20, 96, 64, 3)
    assert "trained at 96x64" in result.stderr and result.stderr.count("trained at") == 1


def test_a_first_frame(here, tiny_model):
    Image.fromarray(np.full((50, 50, 3), 128, np.uint8)).save("first.png")
    run("generate", "a ball", "--model", tiny_model, "--first-frame", "first.png", "-o", "x.mp4")
    (here / "first.txt").write_text("no picture")
    message = refused(
        "generate", "a ball", "--model", tiny_model, "--first-frame", "first.txt", "-o", "y.mp4"
    )
    assert "not a picture" in message and "PNG, JPEG or WebP" in message
    message = refused("generate", "a ball", "--model", tiny_model, "--first-frame", "none.png", "-o", "y.mp4")
    assert "no such picture" in message
    assert sorted(os.listdir()) == ["first.png", "first.txt", "x.mp4"]


MISTAKES = {
    "empty prompt": ([""], "prompt is empty"),
    "long prompt": (["x" * 10_000], "use at most 5,000"),
    "binary prompt": (["a\x00b\x01"], "not text"),
    "open quotation mark": (['she says "oh'], "not closed"),
    "size that is none": (["a", "--size", "large"], "width x height"),
    "impossible size": (["a", "--size", "100x64"], "ask for 96x64"),
    "impossible length": (["a", "--seconds", "1000"], "0.4 to 60 s"),
    "no steps": (["a", "--steps", "0"], "1 to 1000"),
    "no takes": (["a", "--takes", "0"], "1 to 1000"),
    "negative guidance": (["a", "--guidance=-1"], "1 (off) to 30"),
    "unknown sampler": (["a", "--sampler", "unpic"], "did you mean 'unipc'"),
    "unknown model": (["a", "--model", "nowhere"], "no model called 'nowhere'"),
    "other suffix": (["a", "-o", "x.gif"], "*.mp4 or *.webm"),
    "missing folder": (["a", "-o", "no/x.mp4"], "mkdir -p no"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_one_sentence_with_its_remedy(here, tiny_model, name):
    arguments, remedy = MISTAKES[name]
    assert remedy in refused("generate", "--model", tiny_model, *arguments)
    assert not os.listdir()


def test_damaged_weights(here, tiny_model):
    Path("model").mkdir()
    for part in ("codec", "denoiser"):
        Path(f"model/{part}.safetensors").write_bytes(b"damaged" * 100)
    assert "damaged" in refused("generate", "a", "--model", "model", "-o", "x.mp4")
    assert os.listdir() == ["model"]


def test_unknown_options_and_verbs_name_the_nearest():
    for arguments, nearest in (["generate", "a", "--sed", "3"], "--seed"), (["generat"], "generate"):
        result = run(*arguments, code=2)
        assert nearest in result.stderr and "Traceback" not in result.stderr


def test_a_fault_of_ours_is_not_blamed_on_the_caller(here, tiny_model, monkeypatch):
    def broken(*_, **__):
        raise RuntimeError("an invariant broke")

    monkeypatch.setattr("happyhorse.generate.pipeline.denoise", broken)
    arguments = ["generate", "a", "--model", tiny_model]
    message = refused(*arguments, code=1)
    assert "please report" in message and "an invariant broke" in message and "--debug" in message
    result = CliRunner().invoke(app, ["--debug", *map(str, arguments)])
    assert isinstance(result.exception, RuntimeError)


@pytest.mark.parametrize(
    ("number", "words"), [(28, "disk is full"), (30, "read-only"), (13, "no permission"), (122, "quota")]
)
def test_disks_that_cannot_be_written(here, tiny_model, monkeypatch, number, words):
    real = os.open

    def failing(path, *arguments, **options):
        if str(path).endswith(".part"):
            raise OSError(number, os.strerror(number), path)
        return real(path, *arguments, **options)

    monkeypatch.setattr("happyhorse.media.os.open", failing)
    message = refused("generate", "a", "--model", tiny_model)
    assert words in message and "--output" in message and not os.listdir()


def test_a_disk_that_fills_up_half_way(here, tiny_model):
    process = start(
        "generate", "a red ball", "--model", tiny_model, "--size", "256x256",
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, 30_000)),
    )  # fmt: skip
    out, errors = process.communicate(timeout=60)
    assert process.returncode == 2 and out == "", errors
    assert errors.strip().splitlines()[-1].startswith("happyhorse: ") and "Traceback" not in errors
    assert not os.listdir()


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -signal.SIGKILL)]
)
def test_killed_at_any_moment(here, tiny_model, number, code):
    process = start(
        "generate", "a red ball", "--model", tiny_model, "--steps", 1000, "--size", "256x256", "--debug",
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # behind `&` a shell ignores it for all
    )  # fmt: skip
    time.sleep(2.5)
    process.send_signal(number)
    out, errors = process.communicate(timeout=30)
    assert process.returncode == code, errors
    assert out == "" and "Traceback" not in errors
    assert not [name for name in os.listdir() if not name.startswith(".")]


def test_debug_may_stand_anywhere(here):
    process = start("generate", "", "--debug")
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1 and "Traceback" in errors and "prompt is empty" in errors


def test_help_loads_nothing_heavy_and_is_in_life_order():
    told = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "happyhorse", "--help"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    out, loaded = told.stdout, {line.split("|")[-1].strip() for line in told.stderr.splitlines()}
    assert "typer" in loaded and not loaded & {"torch", "numpy", "av", "PIL", "safetensors", "c2pa"}
    verbs = re.findall(r"^\W+(world|data|train|generate|models)\s", out, re.MULTILINE)
    assert verbs == ["world", "data", "train", "generate", "models"]


def test_version():
    assert re.fullmatch(r"happyhorse \d+\.\d+\.\d+\n", run("--version").stdout)


def test_world_preview(here):
    result = run("world", "preview", "-o", "look", "--count", 2, "--family", "balls", "--json")
    assert json.loads(result.stdout) == {"path": "look/sheet.png", "clips": 2}
    assert sorted(os.listdir("look")) == ["0-balls.mp4", "1-balls.mp4", "sheet.png"]
    assert Image.open("look/sheet.png").size == (7 * 224, 2 * (128 + 14))
    assert media.read("look/0-balls.mp4").seconds == 3
    assert "did you mean 'balls'" in refused("world", "preview", "--family", "bals")


def test_recipes_are_strict(here):
    assert "no such recipe" in refused("train", "flow", "--recipe", "none.toml")
    Path("x.toml").write_text('name = "x"\nwrold = 3\n')
    assert "did you mean 'world'" in refused("data", "make", "--recipe", "x.toml")


def test_models_lists_what_comes_with_the_package(tiny_model, tmp_path, monkeypatch):
    (tmp_path / "small").symlink_to(tiny_model)
    monkeypatch.setattr("happyhorse.generate.load.PACKAGED", tmp_path)
    (facts,) = map(json.loads, run("models", "--json").stdout.splitlines())
    assert facts["name"] == "small" and facts["steps"] == 3 and facts["parameters"] > 10_000
    assert run("models").stdout.startswith("small\n")
