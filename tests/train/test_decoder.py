"""The objective of the decoder alone: what it learns from, what it leaves as it was, and that it learns."""

import shutil

import pytest
import torch

from happyhorse import checkpoint
from happyhorse.codec import latent_version, load_codec
from happyhorse.codec.video import STRIDE_T
from happyhorse.data.shards import Shards
from happyhorse.flow import schedules
from happyhorse.generate.denoiser import load_denoiser
from happyhorse.generate.load import parts_of
from happyhorse.train import resample
from happyhorse.train.decoder import WARM, DecoderConfig, DecoderObjective
from happyhorse.train.loop import LoopConfig, read_log, train
from happyhorse.train.optim import OptimConfig

LOOP = LoopConfig(
    steps=40, batch=6, log_every=1, eval_every=40, preview_every=40, save_every=100, ema=0.8, autocast=False,
    optim=OptimConfig(muon_lr=3e-3, adam_lr=3e-3),
)  # fmt: skip


@pytest.fixture
def objective(makers) -> DecoderObjective:
    made = makers["decoder"]()
    made.loop, made.settings = LOOP, DecoderConfig(2, 2, own=1.0)
    return made


def test_it_learns_to_show_what_it_makes_and_encodes_as_before(objective, tiny_model, tmp_path):
    old = tiny_model / "codec.safetensors"
    before = objective.evaluate()
    assert before["psnr_own"] < before["psnr_exact"]
    train(objective, LOOP, tmp_path, {"from": "a test"})
    lines = read_log(tmp_path / "log.jsonl")
    assert lines[-1]["psnr_own"] > before["psnr_own"] + 1
    new = tmp_path / "codec.safetensors"
    assert latent_version(str(new)) == latent_version(str(old)) and checkpoint.sha256(
        new
    ) != checkpoint.sha256(old)
    assert checkpoint.load(new).facts["decoder"] == {"from": "a test", "steps": 40, "ranks": 1}
    latents = objective.heldout.own[0][0][None].float()
    with torch.no_grad():
        shown, expected = (load_codec(str(path)).video.decode(latents) for path in (new, old))
    assert not torch.allclose(shown, expected)
    assert (tmp_path / "preview" / "000040.png").is_file()


def test_pixels_of_a_crop_are_those_of_its_latents(objective):
    """Frames of a later crop count only where the decoder has seen enough before them."""
    objective.settings = DecoderConfig(2, 3, own=0.0, noise=0)
    whole = [objective.known.exact[i][0].float() for i in range(len(objective.known))]
    late = 0
    for seed in range(12):
        clip = seed % len(whole)
        pixels, latents, counts = objective._crop(clip, torch.Generator().manual_seed(seed))
        assert pixels.shape == (3, STRIDE_T + 1, 48, 48) and latents.shape == (48, 2, 3, 3)
        (start,) = (t for t in (0, 1) if torch.equal(whole[clip][:, t : t + 2], latents))
        video = objective.known.pixels[clip][0].permute(3, 0, 1, 2).float() / 127.5 - 1
        assert torch.equal(pixels, video[:, STRIDE_T * start : STRIDE_T * (start + 1) + 1])
        late += start
        assert counts.flatten().tolist() == ([0] * min(STRIDE_T * WARM, 5) if start else [1] * 5)
    assert 0 < late < 12


@pytest.mark.parametrize(("share", "least", "most"), [(0.0, 0, 0), (0.5, 10, 30), (1.0, 40, 40)])
def test_the_share_of_its_own_making(objective, share, least, most):
    objective.settings = DecoderConfig(3, 3, own=share, noise=0)
    found = [objective._crop(1, torch.Generator().manual_seed(seed))[1] for seed in range(40)]
    assert least <= sum(torch.equal(one, objective.known.own[1][0].float()) for one in found) <= most


def test_a_student_goes_on_from_a_level_of_its_own(teacher, monkeypatch):
    model, small = load_denoiser(teacher / "denoiser.safetensors")[0], Shards(teacher / "data")
    grid, seen = schedules.shifted(4, 3.0), []
    monkeypatch.setattr(resample.samplers, "euler", lambda _, noise, levels: seen.append(levels) or noise)
    for first in range(4):
        resample._anew(model, small, [first], False, grid)
    for levels in seen:
        video = levels["video"]
        assert torch.equal(video, grid[-len(video) :]) and resample.LOW <= video[0] <= resample.HIGH
        assert not levels["audio"].any(), "its sound is given"
    assert len({len(levels["video"]) for levels in seen}) > 1


def test_clips_of_a_student_are_kept_beside_those_of_its_base(tiny_parts, latents, tmp_path, monkeypatch):
    monkeypatch.setenv("HAPPYHORSE_CACHE", str(tmp_path))
    small, files = latents("small", 4), parts_of(str(tiny_parts))
    base = resample.make(files["denoiser"], None, small, False)
    own = resample.make(files["denoiser"], None, small, False, student=files["student"])
    assert base.names != own.names and base[0][0].shape == own[0][0].shape == small[0][0].shape
    assert not torch.equal(base[0][0], own[0][0])


def test_a_decoder_that_was_trained_on_is_preferred(tiny_parts, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(tiny_parts, run)
    assert parts_of(str(run))["codec"] == run / "codec.safetensors"
    (run / "decoder").mkdir()
    shutil.copy(run / "codec.safetensors", run / "decoder")
    assert parts_of(str(run))["codec"] == run / "decoder" / "codec.safetensors"
    assert parts_of(str(run / "student"))["codec"].resolve() == run / "decoder" / "codec.safetensors"
