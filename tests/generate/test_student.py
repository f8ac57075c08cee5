"""A model of several parts: the student in its place, clips twice as large, and each of them left out."""

import shutil

import numpy as np
import pytest

import happyhorse
from happyhorse import checkpoint
from happyhorse.generate import load as loading
from happyhorse.generate.load import load
from happyhorse.generate.pipeline import make


def test_clips_are_of_the_student_and_twice_as_large(tiny_parts):
    model = load(tiny_parts)
    request = model.request("a red ball", seed=3)
    assert (request.width, request.height, request.steps, request.sampler) == (192, 128, 2, "euler")
    assert request.guidance == request.audio_guidance == 1 and request.upscale_steps == 2
    stages = []
    making = make(request, model, report=lambda stage, done, total: stages.append(stage))
    video = np.concatenate(list(making.frames))
    assert video.shape == (15, 128, 192, 3) and making.audio.shape == (15 * 640,)
    assert stages.count("denoise") == 2 and stages.count("upscale") == 2
    small = happyhorse.generate("a red ball", model=tiny_parts, seed=3, upscale=False)
    assert small.video.shape == (15, 64, 96, 3) and np.array_equal(small.audio, making.audio)
    by_size = happyhorse.generate("a red ball", model=tiny_parts, seed=3, width=96, height=64)
    assert np.array_equal(by_size.video, small.video)


def test_the_base_is_beside_its_student(tiny_parts):
    base, student = load(tiny_parts / "flow"), load(tiny_parts)
    assert base.request("a").steps == 3 and base.upscaler is None
    assert student.facts["vocabulary"] == base.facts["vocabulary"]
    one, two = (
        happyhorse.generate(
            "a red ball",
            model=m,
            seed=3,
            steps=2,
            sampler="euler",
            guidance=1.0,
            audio_guidance=1.0,
            width=96,
            height=64,
        ).video
        for m in (base, student)
    )
    assert not np.array_equal(one, two)
    alone = load(tiny_parts / "student" / "student.safetensors")
    assert alone.request("a").steps == 2 and alone.upscaler is None


def test_names_in_the_package(tiny_parts, tmp_path, monkeypatch):
    folder = tmp_path / "weights" / "foal"
    folder.mkdir(parents=True)
    for part in ("codec", "flow/denoiser", "student/student", "upscale/upscaler"):
        shutil.copy(tiny_parts / f"{part}.safetensors", folder)
    monkeypatch.setattr(loading, "PACKAGED", tmp_path / "weights")
    assert loading.packaged() == ["foal", "foal-base"]
    foal, base = loading.load_pony("foal"), loading.load_pony("foal-base")
    assert foal.request("a").steps == 2 and base.request("a").steps == 3
    assert foal.upscaler is not None and base.upscaler is not None and base.name == "foal-base"
    facts = loading.describe("foal")
    assert facts["width"] == 192 and facts["megabytes"] > loading.describe("foal-base")["megabytes"]
    (folder / "student.safetensors").unlink()
    assert loading.packaged() == ["foal"]
    with pytest.raises(ValueError, match=r"no model called 'fole-base'.*foal"):
        loading.load_pony("fole-base")


def test_a_first_frame_is_encoded_at_both_sizes(tiny_parts):
    model = load(tiny_parts)
    picture = np.zeros((128, 192, 3), np.uint8)
    picture[::2] = 255  # lines that the small size cannot show
    clip = happyhorse.generate("a red ball", model=model, seed=1, first_frame=picture)
    expected = next(model.decode_video(model.encode_video(picture[None])[0]))[0]
    assert np.abs(clip.video[0].astype(int) - expected).mean() < 1


@pytest.mark.parametrize("kind", ["video", "extend", "retake"])
def test_given_clips_are_made_at_both_sizes(tiny_parts, kind):
    """What is kept of a large clip is kept as it is, at its size."""
    model = load(tiny_parts)
    source = happyhorse.generate("a red ball", model=model, seed=2, seconds=0.8)
    more = {"span": (0.3, 0.5)} if kind == "retake" else {"seconds": 0.6} if kind == "extend" else {}
    clip = happyhorse.generate("a blue ball", model=model, seed=4, **{kind: source}, **more)
    assert clip.video.shape[1:] == (128, 192, 3)
    assert np.array_equal(clip.video[:7], source.video[:7])
    assert len(clip.video) == (35 if kind == "extend" else 20)


def test_a_given_picture_is_not_upscaled(tiny_parts):
    model, stages = load(tiny_parts), []
    source = happyhorse.generate("a red ball", model=model, seed=2, seconds=0.8)
    happyhorse.generate("a ball", model=model, video=source, report=lambda stage, *_: stages.append(stage))
    assert "denoise" in stages and "upscale" not in stages


def test_what_does_not_belong_together_is_refused(tiny_parts, tmp_path):
    broken = shutil.copytree(tiny_parts, tmp_path / "broken")
    part = checkpoint.load(broken / "flow" / "denoiser.safetensors")
    again = checkpoint.Checkpoint("denoiser", part.config, part.weights, part.facts | {"more": 1})
    checkpoint.save(broken / "flow" / "denoiser.safetensors", again)
    with pytest.raises(ValueError, match="made from other weights"):
        load(broken)
    (broken / "student" / "student.safetensors").unlink()
    path = broken / "upscale" / "upscaler.safetensors"
    part = checkpoint.load(path)
    checkpoint.save(
        path, checkpoint.Checkpoint("upscaler", part.config, part.weights, part.facts | {"codec": "x"})
    )
    with pytest.raises(ValueError, match=r"upscaler\.safetensors was trained on another codec"):
        load(broken / "flow" / "..")
    with pytest.raises(ValueError, match="192x128 is made by super-resolution; without it ask for 96x64"):
        load(tiny_parts).request("a", width=192, height=128, upscale=False)
    with pytest.raises(ValueError, match="multiples of 64 between 128 and 1024 pixels; ask for 320x192"):
        load(tiny_parts).request("a", width=300, height=200)
    with pytest.raises(ValueError, match="has no upscale_guidance"):
        load(tiny_parts).request("a", upscale_guidance=2.0)
