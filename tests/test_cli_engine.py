"""The verbs around the 15B, with a tiny one: pulled from a folder, listed, planned, made."""

import json
import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from happyhorse import media
from happyhorse.cli import app

PLAIN = {"COLUMNS": "200", "NO_COLOR": "1", "TERM": "dumb"}
MODEL = ("--model", "happyhorse-15b")


@pytest.fixture
def home(tmp_path, monkeypatch):
    """An empty folder, where models are installed and where the caller is."""
    monkeypatch.setenv("HAPPYHORSE_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments, code=0):
    result = CliRunner().invoke(app, [str(a) for a in arguments], env=PLAIN)
    assert result.exit_code == code, (result.exit_code, result.output, result.exception)
    return result


def refused(*arguments):
    (line,) = run(*arguments, code=2).stderr.strip().splitlines()
    return line


def test_a_plan_before_anything_is_installed(home):
    text = run("plan", "a woman speaks", *MODEL, "--size", "1080p", "--gpu", "RTX4090").stdout
    assert "denoise" in text and "upscale" in text and "layers of the super-resolution network visit" in text
    assert text.rstrip().endswith("fits") and "does not fit" not in text
    facts = json.loads(run("plan", "a woman speaks", *MODEL, "--gpu-memory", "8", "--json").stdout)
    assert facts["fits"] and facts["seconds"] is None and facts["streamed"][0] > 0
    assert [stage["stage"] for stage in facts["stages"]][:2] == ["read the prompt", "denoise"]
    small = run("plan", "a woman speaks", *MODEL, "--size", "1080p", "--gpu-memory", "8").stdout
    assert "does not fit: a GPU of 8 GB is too small" in small and "would fit: --size 448x256" in small


def test_a_plan_for_several_gpus(home):
    asked = ("plan", "a woman speaks", *MODEL, "--size", "1080p", "--gpu", "h100")
    one, four = (json.loads(run(*asked, "--gpus", n, "--json").stdout) for n in (1, 4))
    times = [{stage["stage"]: stage["seconds"] for stage in facts["stages"]} for facts in (one, four)]
    assert (one["devices"], four["devices"]) == (1, 4)
    assert times[1]["upscale"] < times[0]["upscale"] / 2 and times[1]["decode the picture"] > 0
    assert run(*asked, "--gpus", 4).stdout.startswith("4 x h100, each: 79.5 of 80.0 GB free")
    assert "start at most 8" in refused(*asked, "--gpus", 9)


def test_plans_that_cannot_be(home):
    assert "needs no plan" in refused("plan", "a red ball")
    assert "and so are the folders of happyhorse-15b" in refused("plan", "x", "--model", home)
    assert "did you mean 'rtx4090'" in refused("plan", "x", *MODEL, "--gpu", "rtx409")
    assert "give one of them" in refused("plan", "x", *MODEL, "--gpu", "h100", "--gpu-memory", "80")
    assert "was not trained with" in refused("plan", "x", *MODEL, "--last-frame", "a.png")
    assert "cannot be made" in refused("plan", "x", *MODEL, "--seconds", "40")
    no_upscaling = ("plan", "x", *MODEL, "--size", "1080p", "--no-upscale", "--gpu", "h100")
    assert "is made by super-resolution; without it ask for 448x256" in refused(*no_upscaling)
    assert "say which GPUs to plan for with --gpu or --gpu-memory" in refused(
        "plan", "x", *MODEL, "--gpus", torch.accelerator.device_count() + 2
    )


def test_plan_takes_the_options_of_generate():
    of = {verb: set(run(verb, "--help").stdout.split()) for verb in ("plan", "generate")}
    options = {verb: {word for word in words if word.startswith("--")} for verb, words in of.items()}
    assert options["generate"] - options["plan"] == {
        "--output",
        "--force",
        "--compile",
        "--enhance",
        "--enhance-model",
    }
    assert options["plan"] - options["generate"] == {"--gpu", "--gpu-memory", "--gpus"}


def test_pull_and_models(home, weights_folder):
    folder = home / "home" / "models" / "happyhorse-15b"
    pulled = run("pull", "--from", weights_folder, "--variant", "distill, sr540")
    assert pulled.stdout.splitlines()[0] == str(folder) and "Gemma Terms of Use" in pulled.stderr
    facts = json.loads(run("pull", "--from", weights_folder, "--json").stdout)
    assert facts == {"path": str(folder), "fetched": []}
    path = folder / "distill" / "model-00001-of-00002.safetensors"
    path.write_bytes(path.read_bytes()[:-4])
    (folder / "turbo_vae" / "checkpoint-340000.ckpt").unlink()
    lines = run("models").stdout.splitlines()
    assert any("distill" in line and "broken" in line and "model-00001" in line for line in lines)
    assert any("turbo" in line and "incomplete, lacks turbo_vae/*.ckpt" in line for line in lines)
    assert any("base" in line and line.endswith("not pulled") for line in lines)
    listed = [json.loads(line) for line in run("models", "--json").stdout.splitlines()]
    states = {name: part["state"] for name, part in listed[-1]["parts"].items()}
    assert states["distill"] == "broken" and states["sr540"] == "complete" and states["base"] == "absent"


def test_pulls_that_cannot_be(home):
    assert "no weights of 'pony' are published" in refused("pull", "pony")
    assert "did you mean 'distill'" in refused("pull", "--variant", "distil")
    assert "is no folder" in refused("pull", "--from", home / "nowhere")


def test_options_that_would_do_nothing(home, tiny_model):
    assert "leave --weights and --compile" in refused(
        "generate", "x", "--model", tiny_model, "--weights", "fp8"
    )
    assert "--enhance URL writes prompts" in refused(
        "generate", "x", "--model", tiny_model, "--enhance", "http://a"
    )


@pytest.mark.slow
@pytest.mark.parametrize("given", ["nothing", "picture", "sound", "both"])
def test_from_folder_to_file(home, published_15b, given):
    """The whole way with the tiny model, at a real size: pulled, planned, made, in every mode."""
    run("pull", "--from", published_15b)
    Image.fromarray(np.full((300, 500, 3), 90, np.uint8)).save("start.png")
    wave = 0.1 * np.sin(np.arange(3 * 16_000, dtype=np.float32) / 9)
    still = np.zeros((75, 64, 64, 3), np.uint8)
    with media.Writer("sound.mp4", width=64, height=64, fps=25, rate=16_000) as writer:
        writer.frames(still)
        writer.sound(wave)
    options = ["--first-frame", "start.png"] * (given in ("picture", "both"))
    options += ["--audio", "sound.mp4"] * (given in ("sound", "both"))
    asked = [
        "a woman says hello",
        *MODEL,
        "--seconds",
        "3",
        "--steps",
        "2",
        "--seed",
        "1",
        *options,
        "--json",
    ]
    plan = json.loads(run("plan", *asked).stdout)
    assert plan["fits"] and len(plan["stages"]) == 5 + len(options) // 2
    made = run("generate", *asked, "-o", "clip.mp4")
    assert "note: the prompt describes the scene in 4 words" in made.stderr
    clip = media.read("clip.mp4", rate=44_100)
    assert (
        clip.video.shape == (73, 256, 448, 3)
        and len(clip.audio) == 73 * 1764
        and np.abs(clip.audio).max() > 1e-3
    )
    shutil.rmtree(home / "home" / "models" / "happyhorse-15b" / "distill")
    assert "get it with: happyhorse pull happyhorse-15b" in refused("generate", *asked)
