"""Weights of a run into a package, refused where they do not belong together or are too large."""

import shutil

import pytest

from happyhorse import checkpoint
from happyhorse import release as releases
from happyhorse.codec import latent_version
from happyhorse.generate.load import load
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
