"""Whatever the policy, the clip is the same; what would not finish is refused before it begins."""

import dataclasses
import os
import shutil
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from happyhorse import media, sizes
from happyhorse.engine import prepare as preparing
from happyhorse.engine.device import of_memory
from happyhorse.engine.lend import lending
from happyhorse.engine.plan import Policy
from happyhorse.engine.prepare import imagined, prepare
from happyhorse.generate.load import load, load_published
from happyhorse.generate.pipeline import make
from happyhorse.values import HAPPYHORSE_15B

CPU = torch.device("cpu")


@pytest.fixture
def model(published_15b, monkeypatch):
    """The tiny 15B, which makes clips of five frames at the sizes of `published`."""
    from published import SIZES

    monkeypatch.setattr(sizes, "SIZES", SIZES)
    short = replace(HAPPYHORSE_15B, lengths=(0.1, 15.0), width=96, height=64, seconds=0.2)
    return replace(load_published(published_15b, "distill", CPU), format=short)


def frames(model, request):
    making = make(request, model)
    return np.concatenate(list(making.frames)), making.audio


@pytest.mark.slow  # the text encoder and the codecs come from large libraries
@pytest.mark.parametrize(
    "policy", [Policy(), Policy(swap=True, streamed=(2, 2), strips=2, text_on_host=True)]
)
def test_one_seed_one_clip_under_every_policy(model, published_15b, policy):
    request = model.request("a horse", seed=3, steps=2, width=160, height=96, upscale_steps=2)
    picture, sound = frames(model, request)
    lend = lending(published_15b, CPU, policy)
    for _ in range(2):  # a resident part, or one that is read again, does it once more
        other, heard = frames(replace(model, lend=lend), request)
        assert np.array_equal(sound, heard)
        assert np.abs(picture.astype(int) - other).max() <= (policy.strips > 1)


@pytest.mark.slow
def test_prepared_models_are_planned(model, monkeypatch):
    request = model.request("a horse", seed=3, steps=2)
    ready = prepare(model, request)
    assert ready.plan is not None and ready.plan.refusal is None and ready.rank == 0
    assert np.array_equal(frames(ready.model, ready.request)[0], frames(model, request)[0])
    monkeypatch.setattr(preparing, "this", lambda device, processes: of_memory(1))
    monkeypatch.setattr(preparing, "lending", pytest.fail)
    with pytest.raises(ValueError, match=r"a GPU of 1 GB is too small: to .* takes .* GB of its memory"):
        prepare(model, request)


def test_the_small_model_needs_no_plan(tiny_model):
    model = load(tiny_model)
    request = model.request("a ball", seed=1)
    ready = prepare(model, request)
    assert ready.model is model and ready.request is request and ready.plan is None
    with pytest.raises(ValueError, match="leave --weights and --compile to happyhorse-15b"):
        prepare(model, request, weights="fp8")


def test_plans_before_anything_is_installed(tmp_path, monkeypatch, tiny_model):
    monkeypatch.setenv("HAPPYHORSE_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    model, request = imagined("happyhorse-15b/base", "x", {"width": 1920, "height": 1080})
    assert model.variant == "base" and request.steps == 32 and request.guidance == 5
    assert imagined("happyhorse-15b", "x", {})[1].steps == 8
    with pytest.raises(ValueError, match="needs no plan"):
        imagined(str(tiny_model), "x", {})
    with pytest.raises(ValueError, match="was not trained with retake"):
        imagined("happyhorse-15b", "x", {"retake": tmp_path / "a.mp4", "span": (0.0, 1.0)})


def together_and_alone(tmp_path, *arguments):
    """Run the command in two processes and in one; the files that they wrote. Without --seed the second takes that of
    the first.
    """
    alone = ["-m", "happyhorse", *map(str, arguments), "--json"]
    together = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", *alone]
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
    }
    files = []
    for name, command in (("together", together), ("alone", alone)):
        folder = tmp_path / name
        folder.mkdir()
        run = subprocess.run(
            [sys.executable, *command], cwd=folder, env=environment, capture_output=True, text=True
        )
        assert run.returncode == 0, run.stderr[-2000:]
        assert len(run.stdout.splitlines()) == 1  # only the first process speaks
        (file,) = folder.iterdir()
        files.append(file)
        if "--seed" not in alone:
            alone += ["--seed", file.stem.rsplit("-", 1)[1]]
    return files


@pytest.mark.slow
@pytest.mark.parametrize("seed", [("--seed", "4"), ()])
def test_torchrun_makes_the_clip_of_one_process(tiny_model, tmp_path, seed):
    """Two processes share the small model; without --seed they agree on one. Only the first one writes."""
    from happyhorse import checkpoint, config
    from happyhorse.generate.denoiser import Denoiser
    from happyhorse.model.presets import HorseConfig

    part = checkpoint.load(tiny_model / "denoiser.safetensors")
    settings = config.build(HorseConfig, part.config["horse"])
    wide = Denoiser(dataclasses.replace(settings, num_query_groups=2), _text(part), seed=1)
    with torch.no_grad():
        for parameter in wide.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(2)))
    whole = checkpoint.Checkpoint("denoiser", wide.plain(), wide.state_dict(), part.facts)
    checkpoint.save(tmp_path / "model" / "denoiser.safetensors", whole)
    (tmp_path / "model" / "codec.safetensors").write_bytes((tiny_model / "codec.safetensors").read_bytes())
    files = together_and_alone(tmp_path, "generate", "a red ball", "--model", tmp_path / "model", *seed)
    one, other = (media.read(file) for file in files)
    assert files[0].name == files[1].name
    assert np.abs(one.video.astype(int) - other.video).mean() < 1 and one.audio.shape == other.audio.shape


@pytest.mark.slow
def test_torchrun_makes_the_clip_of_one_process_with_the_15b(published_15b, tmp_path):
    """Every process plans, reads and samples; the first one decodes and writes."""
    from PIL import Image

    from published import HORSE, write_denoiser

    folder = tmp_path / "model"
    shutil.copytree(published_15b, folder, ignore=lambda *_: ["distill"], copy_function=os.link)
    shared = dataclasses.replace(HORSE, hidden_size=64, num_query_groups=2)
    write_denoiser(folder / "distill", shared, torch.Generator().manual_seed(1))
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (90, 90, 3), np.uint8)).save(
        tmp_path / "face.png"
    )
    asked = ("--seconds", 3, "--steps", 2, "--seed", 4, "--first-frame", tmp_path / "face.png")
    files = together_and_alone(tmp_path, "generate", "a horse", "--model", folder, *asked)
    one, other = (media.read(file, rate=44_100) for file in files)
    assert one.video.shape == other.video.shape == (73, 256, 448, 3) and one.video.std() > 1
    assert np.abs(one.video.astype(int) - other.video).mean() < 1
    assert np.abs(one.audio - other.audio).mean() < 0.02 * np.abs(one.audio).mean()


def _text(part):
    from happyhorse import config
    from happyhorse.codec.text import TextConfig

    return config.build(TextConfig, part.config["text"])
