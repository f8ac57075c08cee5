"""Weights that are missing, damaged, foreign, or do not belong together."""

import shutil

import pytest

from happyhorse import checkpoint
from happyhorse.codec import latent_version
from happyhorse.generate.load import load


@pytest.fixture
def copy(tiny_model, tmp_path):
    return shutil.copytree(tiny_model, tmp_path / "copy")


def test_a_folder_a_file_and_what_training_writes_are_models(copy, tmp_path):
    assert load(copy).denoiser is load(copy).denoiser  # kept
    assert load(copy / "denoiser.safetensors").facts["defaults"]["steps"] == 3
    run = tmp_path / "runs"
    (run / "flow").mkdir(parents=True)
    shutil.copy(copy / "codec.safetensors", run)
    shutil.copy(copy / "denoiser.safetensors", run / "flow")
    for place in (run, run / "flow"):
        assert load(place).request("a").steps == 3


def test_what_is_asked_comes_before_the_defaults_of_the_model(copy):
    request = load(copy).request("a", steps=7, width=None)
    assert (request.steps, request.width, request.height, request.seconds) == (7, 96, 64, 0.6)


def test_missing(copy, tmp_path):
    with pytest.raises(ValueError, match=r"no model called 'none'.*no folder"):
        load("none")
    (copy / "codec.safetensors").unlink()
    with pytest.raises(ValueError, match=r"codec\.safetensors is missing.*train it"):
        load(copy)
    with pytest.raises(ValueError, match=r"denoiser\.safetensors is missing"):
        load(tmp_path)


@pytest.mark.parametrize("part", ["codec", "denoiser"])
@pytest.mark.parametrize("fault", ["truncated", "garbage", "empty", "swapped"])
def test_damaged(copy, part, fault):
    file = copy / f"{part}.safetensors"
    whole = file.read_bytes()
    other = {"codec": "denoiser", "denoiser": "codec"}[part]
    swapped = (copy / f"{other}.safetensors").read_bytes()
    file.write_bytes(
        {"truncated": whole[:-100], "garbage": b"x" * 999, "empty": b"", "swapped": swapped}[fault]
    )
    with pytest.raises(ValueError, match=f"{part}.safetensors"):
        load(copy)


def test_a_denoiser_of_another_codec(copy):
    part = checkpoint.load(copy / "denoiser.safetensors")
    right = latent_version(str(copy / "codec.safetensors"))
    for digest, fits in ((right, True), ("0" * 12, False)):
        facts = part.facts | {"codec": digest}
        named = copy / f"{fits}"
        shutil.copytree(copy, named, ignore=lambda *_: ["True", "False"])
        checkpoint.save(
            named / "denoiser.safetensors",
            checkpoint.Checkpoint("denoiser", part.config, part.weights, facts),
        )
        if fits:
            load(named)
        else:
            with pytest.raises(ValueError, match="trained on another codec"):
                load(named)
