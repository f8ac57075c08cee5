"""Weights of a run into a package, refused where they do not belong together or are too large."""

import shutil

import pytest
import torch

from happyhorse import checkpoint
from happyhorse import release as releases
from happyhorse.codec import latent_version
from happyhorse.generate.denoiser import load_denoiser
from happyhorse.generate.load import load
from happyhorse.generate.upscaler import Upscaler, UpscalerConfig
from happyhorse.model.lowrank import Adapted
from happyhorse.release import release


@pytest.fixture
def run(tiny_model, tmp_path):
    """A folder as training leaves it."""
    folder = tmp_path / "run"
    (folder / "flow").mkdir(parents=True)
    shutil.copy(tiny_model / "codec.safetensors", folder)
    part = checkpoint.load(tiny_model / "denoiser.safetensors")
    facts = part.facts | {
        "codec": latent_version(str(folder / "codec.safetensors")),
        "recipe": {"loop": {"steps": 7, "batch": 2}, "clips": 64},
        "ranks": 1,
        "steps": 6,
    }
    whole = checkpoint.Checkpoint("denoiser", part.config, part.weights, facts)
    checkpoint.save(folder / "flow" / "denoiser.safetensors", whole)
    return folder


def test_a_released_model_loads_and_its_card_tells_what_it_is(run, tmp_path):
    report = tmp_path / "report.md"
    report.write_text("# 4 clips\n\n| a | b |\n\n![offsets](offsets.png)\n")
    files = release(run, "small", report, tmp_path / "weights")
    assert {file.name for file in files} == {"codec.safetensors", "denoiser.safetensors", "README.md"}
    load(tmp_path / "weights" / "small")
    card = files[-1].read_text()
    assert "6 steps of 2 clips" in card and "### 4 clips" in card and "![" not in card


def test_a_release_that_fails_leaves_the_one_before(run, tmp_path):
    into = tmp_path / "weights"
    files = release(run, "small", into=into)
    with pytest.raises(OSError, match="nowhere"):
        release(run, "small", tmp_path / "nowhere.md", into)
    assert sorted(into.rglob("*")) == sorted([into / "small", *files])
    load(into / "small")


def test_student_and_super_resolution_go_with_it(run, tmp_path):
    """And a student of other weights does not."""
    latents = latent_version(str(run / "codec.safetensors"))
    base = checkpoint.sha256(run / "flow" / "denoiser.safetensors")
    model = Adapted(
        load_denoiser(run / "flow" / "denoiser.safetensors")[0], ("student",), 2, torch.Generator()
    )
    facts = {"codec": latents, "base": base, "rung": "1-trajectory", "steps": 40}
    facts |= {"defaults": {"steps": 8, "sampler": "euler"}}
    part = checkpoint.Checkpoint("denoiser-lora", {"rank": 2}, model.adapter("student"), facts)
    checkpoint.save(run / "student" / "student.safetensors", part)
    upscaler = Upscaler(UpscalerConfig(width=32, layers=1, head_dim=16, groups=1))
    known = {"codec": latents, "keep": 0.8, "sampler": {"steps": 4, "shift": 3.0}, "steps": 70}
    known |= {"recipe": {"loop": {"batch": 9}}, "world": {"width": 192, "height": 128}}
    whole = checkpoint.Checkpoint("upscaler", upscaler.plain(), upscaler.state_dict(), known)
    checkpoint.save(run / "upscale" / "upscaler.safetensors", whole)
    files = release(run, "small", None, tmp_path / "weights")
    assert {file.stem for file in files} == {"codec", "denoiser", "student", "upscaler", "README"}
    card = files[-1].read_text()
    assert (
        "1-trajectory, 40 steps; it samples in 8 steps (euler)" in card and "192x128: 70 steps of 9" in card
    )
    model = load(tmp_path / "weights" / "small")
    assert model.request("a").steps == 8 and model.request("a").width == 192
    again = checkpoint.Checkpoint("denoiser-lora", part.config, part.weights, part.facts | {"base": "x"})
    checkpoint.save(run / "student" / "student.safetensors", again)
    with pytest.raises(ValueError, match="student of other weights"):
        release(run, "small", None, tmp_path / "weights")


def test_parts_of_different_runs_are_refused(run, tmp_path):
    part = checkpoint.load(run / "flow" / "denoiser.safetensors")
    other = checkpoint.Checkpoint("denoiser", part.config, part.weights, part.facts | {"codec": "0" * 12})
    checkpoint.save(run / "flow" / "denoiser.safetensors", other)
    with pytest.raises(ValueError, match="trained on other latents"):
        release(run, "small", None, tmp_path / "weights")
    assert not (tmp_path / "weights").exists()


def test_the_package_stays_small(run, tmp_path, monkeypatch):
    monkeypatch.setattr(releases, "LARGEST_MB", 0.001)
    with pytest.raises(ValueError, match="at most 0 fit"):
        release(run, "small", None, tmp_path / "weights")
