"""The objective of super-resolution: what it learns from, what it is judged by, and that it learns."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from happyhorse.codec import load_codec
from happyhorse.data.shards import Shards
from happyhorse.flow import path, schedules
from happyhorse.generate.denoiser import load_denoiser
from happyhorse.generate.upscaler import UpscalerConfig, load_upscaler
from happyhorse.train import resample
from happyhorse.train.loop import LoopConfig, read_log, train
from happyhorse.train.optim import OptimConfig
from happyhorse.train.upscale import Pairs, UpscaleConfig, UpscaleObjective, _compare, _flicker

NETWORK = UpscalerConfig(width=48, layers=2, head_dim=16, groups=1)
SETTINGS = UpscaleConfig(frames=2, rows=4, columns=4, first=0.5, steps=2)
LOOP = LoopConfig(
    steps=50, batch=8, log_every=1, eval_every=50, preview_every=50, save_every=100, ema=0.8, autocast=False,
    optim=OptimConfig(muon_lr=0.02, adam_lr=0.02),
)  # fmt: skip


def kept(folder: Path, video: torch.Tensor) -> Shards:
    folder.mkdir(parents=True)
    audio = torch.zeros(len(video), 5, 64).bfloat16()
    save_file({"video": video.bfloat16(), "audio": audio}, folder / "00000.safetensors")
    row = {"captions": ["a red ball"], "heldout": ["look, red"], "phones": [], "family": "balls", "seed": 0}
    (folder / "00000.jsonl").write_text("".join(json.dumps(row) + "\n" for _ in range(len(video))))
    return Shards(folder)


@pytest.fixture(scope="module")
def pairs(tmp_path_factory) -> Pairs:
    """Latents [n, 48, 2, 4, 8] of two scenes by turns: what sharp ones have more no linear map can tell."""
    folder, draw = tmp_path_factory.mktemp("pairs"), torch.Generator().manual_seed(0)
    sign = torch.tensor([1.0 - 2 * (i % 2) for i in range(12)])[:, None, None, None, None]
    small = sign * torch.randn(48, 2, 2, 4, generator=draw)
    small = small + 0.2 * torch.randn(12, 48, 2, 2, 4, generator=draw)
    enlarged = small.repeat_interleave(2, 3).repeat_interleave(2, 4)
    return Pairs(kept(folder / "sharp", enlarged + 0.7 * enlarged.abs()), kept(folder / "enlarged", enlarged))


@pytest.fixture(scope="module")
def pixels() -> list[tuple[np.ndarray, np.ndarray]]:
    """Pictures of two scenes [5, 64, 128, 3]: noise that stands still, and the same with less contrast."""
    draw = np.random.default_rng(0)
    sharp = [np.repeat(draw.integers(0, 256, (1, 64, 128, 3), np.uint8), 5, 0) for _ in range(2)]
    return [(one, (one // 2 + 64).astype(np.uint8)) for one in sharp]


@pytest.fixture
def objective(pairs, pixels, tiny_model) -> UpscaleObjective:
    codec = load_codec(str(tiny_model / "codec.safetensors"))
    return UpscaleObjective(NETWORK, SETTINGS, LOOP, pairs, None, pairs, pixels, codec)


def test_it_learns_and_leaves_a_model_with_what_its_sampler_needs(objective, tmp_path):
    before = objective.evaluate()
    figures = ("psnr_picture", "sharpness", "flicker")
    assert set(before) == {"video_heldout"} | {
        figure + of for figure in figures for of in ("", "_bicubic", "_guess", "_codec")
    }
    assert 0.5 < objective.explained < 1
    train(objective, LOOP, tmp_path, {"world": {"width": 8}})
    lines = read_log(tmp_path / "log.jsonl")
    assert sum(line["loss"] for line in lines[-5:]) < 0.92 * sum(line["loss"] for line in lines[:5])
    assert lines[-1]["video_heldout"] < 0.95 * before["video_heldout"]
    model, facts = load_upscaler(tmp_path / "upscaler.safetensors")
    assert model.config == NETWORK and facts["world"] == {"width": 8}
    assert facts["keep"] == pytest.approx(0.9416801) and facts["sampler"] == {"steps": 2, "shift": 3.0}
    assert (tmp_path / "preview" / "000050.png").exists()


def test_a_perfect_model_has_no_error_and_given_frames_are_clean(objective, monkeypatch):
    """The velocity at a level s of the path from c to x0 is (x_s - x0) / s; what is given is x0, and not judged."""
    seen = {}

    def perfect(x, guess, given):
        seen["x"], seen["given"] = x, given
        apart = torch.full_like(x, 1e3)
        return torch.where(given[:, None, :, None, None], apart, (x - seen["sharp"]) / seen["levels"])

    wrong = objective._wrong

    def spy(sharp, guess, given, levels, generator):
        seen["sharp"], seen["levels"] = sharp, levels.reshape(-1, 1, 1, 1, 1)
        return wrong(sharp, guess, given, levels, generator)

    objective.module.forward = perfect
    monkeypatch.setattr(objective, "_wrong", spy)
    loss, values = objective.loss(0, 0, 1)
    assert float(loss) == pytest.approx(0, abs=1e-6) and set(values) == {"video"}
    objective.settings = replace(objective.settings, seen=1.0, edges=1.0)
    _, values = objective.loss(0, 0, 1)
    assert set(values) == {"video", "seen", "edges"} and max(values.values()) < 1e-5
    given = seen["given"]
    assert given[:, 0].any() and not given[:, 1:].any()
    assert torch.equal(seen["x"].transpose(1, 2)[given], seen["sharp"].transpose(1, 2)[given])
    assert not torch.equal(seen["x"].transpose(1, 2)[~given], seen["sharp"].transpose(1, 2)[~given])


def test_the_path_begins_at_the_corrupted_guess(objective):
    """At level 1 the variance is that of a guess a times and of noise sqrt(1 - a^2) times."""
    captured = []
    objective.module.forward = lambda x, guess, given: (captured.append(x), torch.zeros_like(x))[1]
    sharp = torch.randn(64, 48, 2, 4, 4, generator=torch.Generator().manual_seed(1))
    guess = 2 * torch.randn(sharp.shape, generator=torch.Generator().manual_seed(2))
    draw, none = torch.Generator().manual_seed(3), torch.zeros(64, 2).bool()
    objective._wrong(sharp, guess, none, torch.ones(64), draw)
    a = objective.settings.keep
    assert float(captured[0].var()) == pytest.approx(4 * a * a + 1 - a * a, rel=0.02)
    corrupted = path.corrupt(guess, (captured[0] - a * guess) / (1 - a * a) ** 0.5, a)
    assert torch.allclose(corrupted, captured[0], atol=1e-5)


def test_channels_count_by_their_weights(objective):
    """An error in one channel alone, of a velocity that is 0 everywhere: it counts as much as the channel does."""
    x = torch.zeros(2, 48, 2, 4, 4)
    objective.module.forward = lambda x, guess, given: torch.cat([torch.ones_like(x[:, :1]), x[:, 1:] * 0], 1)
    objective.settings = replace(objective.settings, corruption=0)  # next to no noise
    objective.channels = torch.ones(48)
    plain, weighted = torch.zeros(2), torch.zeros(2)
    for found, first in ((plain, 1.0), (weighted, 9.0)):
        objective.channels[0] = first
        given, draw = torch.zeros(2, 2).bool(), torch.Generator().manual_seed(0)
        wrong = objective._wrong(x, x, given, torch.ones(2), draw)
        found += objective._weighed(wrong, given).detach()
    assert weighted == pytest.approx(9 * plain, rel=0.05)


def test_levels_are_those_that_the_sampler_meets(objective):
    """From a little below the last of several up; of one step the one it begins at, where nothing sharp is known."""
    drawn = torch.linspace(0, 1, 5)
    two = schedules.shifted(2, 3.0)
    assert objective._met(drawn).tolist() == pytest.approx(
        torch.linspace(0.8 * float(two[1]), 1, 5).tolist(), rel=1e-6
    )
    objective.settings = replace(objective.settings, steps=1)
    begins = float(schedules.shifted(1, 3.0)[0])
    assert objective._met(drawn).tolist() == pytest.approx([begins] * 5) and begins > 0.999


def test_what_is_seen_of_an_error_is_that_of_the_decoded_estimate(objective):
    """The estimate is x_s - s v, whatever is off; of a given frame there is nothing to see."""
    draw = torch.Generator().manual_seed(4)
    sharp, guess = (torch.randn(3, 48, 2, 4, 4, generator=draw) for _ in range(2))
    levels, given = torch.tensor([1.0, 0.5, 0.25]), torch.tensor([[0, 0], [1, 0], [1, 1]]).bool()
    said = {}

    def off(x, guess, given):
        said["x"], said["v"] = x, torch.randn(x.shape, generator=draw)
        return said["v"]

    objective.module.forward = off
    wrong = objective._wrong(sharp, guess, given, levels, draw)
    seen, edges = objective._seen(sharp, wrong, given, levels)
    estimate = said["x"] - levels[:, None, None, None, None] * said["v"]
    estimate = torch.where(given[:, None, :, None, None], sharp, estimate)
    apart = objective.codec.video.decode(estimate) - objective.codec.video.decode(sharp)
    assert float(seen) == pytest.approx(float(apart.square().mean()), rel=1e-3) and float(seen) > 0
    steps = apart.diff(dim=-1).abs().mean() + apart.diff(dim=-2).abs().mean()
    assert float(edges) == pytest.approx(float(steps), rel=1e-3)
    assert float(objective._seen(sharp[2:], wrong[2:], given[2:], levels[2:])[0]) == 0


def test_crops_of_both_are_of_the_same_place(objective):
    """The guess at a crop is the crop of the guess: its border is that of the picture, not of the crop."""
    whole = objective.module.guess(objective.train.enlarged[3][0][None].float())[0].detach()
    sharp = objective.train.sharp[3][0].float()
    firsts = set()
    for seed in range(12):
        crop, guess, first = objective._crop(3, torch.Generator().manual_seed(seed))
        assert crop.shape == guess.shape == (48, 2, 4, 4)
        at = next(x for x in (0, 2, 4) if torch.equal(sharp[:, :, :, x : x + 4], crop))
        assert torch.allclose(whole[:, :, :, at : at + 4], guess)
        firsts.add((at, first))
    assert {at for at, _ in firsts} == {0, 2, 4} and all(first for _, first in firsts)


def test_pictures_are_compared_with_renders_and_not_with_what_the_codec_makes_of_them(objective, monkeypatch):
    monkeypatch.setattr(objective, "_enlarged", lambda: objective._references()["_render"])
    found = objective.evaluate()
    assert found["psnr_picture"] == float("inf") and found["sharpness"] == 1
    # half the contrast is a quarter of the energy of differences; the error is a grey level of [0, 1] less its half
    assert found["sharpness_bicubic"] == pytest.approx(0.25, rel=0.02)
    assert found["psnr_picture_bicubic"] == pytest.approx(-10 * np.log10(1 / 48), abs=0.1)
    assert found["psnr_picture_codec"] < 15, "this codec was trained on nothing"


def test_what_trembles_flickers_and_what_moves_in_one_place_does_not():
    still = torch.rand(2, 3, 1, 8, 8, generator=torch.Generator().manual_seed(0)).expand(-1, -1, 5, -1, -1)
    moving = still.clone()
    moving[:, :, 2, :3] += 1
    shaking = still + 0.1 * torch.rand(2, 3, 5, 8, 8, generator=torch.Generator().manual_seed(1))
    assert _flicker(still) == _flicker(moving) == 0 and 0.01 < _flicker(shaking) < 0.1
    assert _compare(shaking, shaking) == {"psnr_picture": float("inf"), "sharpness": 1, "flicker": 0}
    assert _compare(shaking, still)["flicker"] == pytest.approx(127.5 * _flicker(shaking))


def test_a_share_of_the_clips_is_of_the_models_own_making(
    pairs, pixels, teacher, tmp_path, monkeypatch, tiny_model
):
    monkeypatch.setenv("HAPPYHORSE_CACHE", str(tmp_path))
    counted, codec = [], tiny_model / "codec.safetensors"
    draw = torch.Generator().manual_seed(1)
    small = kept(tmp_path / "small", torch.randn(6, 48, 2, 2, 4, generator=draw))
    base = teacher / "denoiser.safetensors"
    own = resample.make(base, codec, small, False, lambda *at: counted.append(at))
    assert len(own) == 6 and counted == [(6, 6)] and own[0][0].shape == (48, 2, 4, 8)
    file = own.files[0]
    time = file.stat().st_mtime_ns
    again = resample.make(base, codec, small, False)
    assert again.files == [file] and file.stat().st_mtime_ns == time, "made once"
    always = replace(SETTINGS, own=1.0)
    mixed = UpscaleObjective(NETWORK, always, LOOP, pairs, own, pairs, pixels, load_codec(str(codec)))
    draws = torch.Generator().manual_seed(0), torch.Generator().manual_seed(0)
    inside, outside = (mixed._crop(clip, draw)[1] for clip, draw in zip((2, 9), draws, strict=True))
    sources = (own, 2), (pairs.enlarged, 9)
    expected = [mixed.module.guess(source[i][0][None].float())[0] for source, i in sources]
    for found, whole in zip((inside, outside), expected, strict=True):
        assert any(torch.allclose(whole[:, :, :, x : x + 4], found) for x in (0, 2, 4))


def test_the_higher_the_level_the_more_is_made_anew(teacher, monkeypatch):
    model, small = load_denoiser(teacher / "denoiser.safetensors")[0], Shards(teacher / "data")
    old, distances = torch.stack([small[i][0].float() for i in range(8)]), []
    for level in (0.01, 0.4, 0.9):
        monkeypatch.setattr(resample, "LOW", level)
        monkeypatch.setattr(resample, "HIGH", level)
        new = resample._anew(model, small, list(range(8)), False)
        assert new.shape == old.shape
        distances.append(float((new - old).square().mean()))
    assert distances[0] < 0.01 < distances[1] < distances[2]


def test_pairs_of_another_size_are_refused(pairs, pixels, tiny_model, tmp_path):
    codec = load_codec(str(tiny_model / "codec.safetensors"))
    small = Pairs(pairs.sharp, kept(tmp_path / "small", torch.zeros(2, 48, 2, 2, 4)))
    with pytest.raises(ValueError, match=r"\[48, 2, 4, 8\] and \[48, 2, 2, 4\] are no pair"):
        UpscaleObjective(NETWORK, SETTINGS, LOOP, small, None, pairs, pixels, codec)
