"""The objectives of the codec: what is measured is what is said, both halves learn, and they join."""

import copy
import dataclasses
import math

import numpy as np
import pytest
import torch

from happyhorse import checkpoint
from happyhorse.codec import latent_version, load_codec
from happyhorse.codec.audio import AudioCodec, AudioCodecConfig
from happyhorse.codec.mel import log_mel
from happyhorse.codec.video import VideoCodec, VideoCodecConfig
from happyhorse.train.codec import (
    AudioObjective,
    VideoCropConfig,
    VideoObjective,
    merge,
    moving,
    split_audio,
    stft_error,
)
from happyhorse.train.loop import LoopConfig, read_log, train
from happyhorse.train.optim import OptimConfig

LOOP = LoopConfig(
    steps=30,
    batch=4,
    log_every=1,
    eval_every=1000,
    preview_every=1000,
    save_every=1000,
    ema=0.8,
    autocast=False,
    optim=OptimConfig(muon_lr=0.03, adam_lr=0.01),
)
VIDEO = VideoCodecConfig(
    channels=12,
    width=16,
    encoder_blocks=1,
    decoder_blocks=1,
    mid_width=16,
    mid_blocks=1,
    fine_width=16,
    fine_blocks=1,
)
AUDIO = AudioCodecConfig(channels=16, width=16, vocoder_width=32, vocoder_blocks=1)
CROPS = VideoCropConfig(frames=5, size=32, candidates=2, noise=0.05)


@pytest.fixture(scope="module")
def fitted(raw):
    """An objective whose linear part is fitted: that takes seconds, so it is done once."""
    return VideoObjective(VIDEO, CROPS, LOOP, raw("train", 16), raw("heldout", 6))


@pytest.fixture
def picture(fitted):
    """A fresh copy of the fitted objective."""
    mine = copy.copy(fitted)
    mine.module = copy.deepcopy(fitted.module)
    return mine


@pytest.fixture
def sound(raw):
    return AudioObjective(AUDIO, 4, 0.05, LOOP, raw("train", 16), raw("heldout", 6))


def mean_of(lines, name, part):
    return sum(line[name] for line in lines[part]) / len(lines[part])


def test_video_learns_and_is_better_than_linear(picture, tmp_path):
    linear = picture.evaluate()
    assert 0 < picture.kept < 1
    # a few crops a step, and rounding that differs by processor
    gently = OptimConfig(muon_lr=0.01, adam_lr=0.005)
    train(picture, dataclasses.replace(LOOP, steps=80, optim=gently), tmp_path, {})
    lines = read_log(tmp_path / "log.jsonl")
    assert all(math.isfinite(line["loss"]) for line in lines)
    assert mean_of(lines, "loss", slice(-10, None)) < 0.75 * mean_of(lines, "loss", slice(10))
    assert lines[-1]["psnr"] > linear["psnr"] + 0.1


def test_psnr_is_that_of_the_pixels(picture):
    """By hand on 8-bit values: 10 log10(255^2 / mean squared error), of each clip; then means by family."""
    torch.manual_seed(0)
    for parameter in picture.module.parameters():
        parameter.data += 0.02 * torch.randn_like(parameter)
    scores = {"balls": [], "clock": []}
    for clip, _, record in (picture.heldout[i] for i in range(len(picture.heldout))):
        given = torch.tensor(clip.numpy() / 127.5 - 1, dtype=torch.float32).permute(3, 0, 1, 2)[None]
        with torch.no_grad():
            made = (
                picture.module.decode(picture.module.encode(given))
                .clamp(-1, 1)[0]
                .permute(1, 2, 3, 0)
                .numpy()
            )
        error = np.square((made.astype(np.float64) + 1) * 127.5 - clip.numpy()).mean()
        scores[record["family"]].append(10 * math.log10(255**2 / error))
    figures = picture.evaluate()
    every = scores["balls"] + scores["clock"]
    means = {name: sum(group) / len(group) for name, group in scores.items()}
    assert len(scores["balls"]) == 4 and len(scores["clock"]) == 2
    assert figures == pytest.approx(
        {
            "psnr": sum(every) / 6,
            "psnr_worst_family": min(means.values()),
            "psnr_worst": min(every),
            "psnr_balls": means["balls"],
            "psnr_clock": means["clock"],
        },
        abs=1e-3,
    )


def test_crops_follow_what_moves(picture):
    """Of many candidates the liveliest: it holds the square, which most places do not."""
    picture.crops = dataclasses.replace(CROPS, candidates=40, size=16)
    generator = torch.Generator().manual_seed(0)
    crops = [picture._crop(i, generator) for i in range(8)]
    assert all(crop.shape == (5, 16, 16, 3) and crop.dtype == torch.uint8 for crop in crops)
    assert all(int(crop.max()) == 250 for crop in crops)


def test_moving_marks_the_change_and_two_pixels_around_it():
    video = torch.zeros(1, 3, 4, 12, 12)
    video[0, 1, 2:, 6, 6] = 1  # from frame 2 on: frames 1 and 2 are the two sides of the change
    mask = moving(video)[0, 0]
    assert mask.sum() == 2 * 25 and mask[1:3, 4:9, 4:9].all()
    assert not moving(video + 0.04 * torch.rand(video.shape, generator=torch.Generator().manual_seed(0)))[
        0, 0, 3
    ].any()


def test_latent_noise_is_drawn_by_step_and_part(picture):
    losses = {
        (step, part): float(picture.loss(step, part, 2)[0].detach()) for step in (0, 1) for part in (0, 1)
    }
    assert len(set(losses.values())) == 4
    assert losses[1, 1] == float(picture.loss(1, 1, 2)[0].detach())


def test_audio_learns(sound, tmp_path):
    before = sound.evaluate()
    train(sound, LOOP, tmp_path, {})
    lines = read_log(tmp_path / "log.jsonl")
    assert mean_of(lines, "loss", slice(-8, None)) < 0.7 * mean_of(lines, "loss", slice(8))
    assert lines[-1]["heard_heldout"] < 0.7 * before["heard_heldout"]


def test_log_mel_errors_are_those_of_the_clips(sound):
    figures = sound.evaluate()
    mel, heard = [], []
    for i in range(len(sound.heldout)):
        wave = sound.heldout[i : i + 1]
        with torch.no_grad():
            latents = sound.module.encode(wave)
            mel.append(float((sound.module.decode_mel(latents) - log_mel(wave)).abs().mean()))
            heard.append(float((log_mel(sound.module.decode(latents)) - log_mel(wave)).abs().mean()))
    assert figures == pytest.approx({"mel_heldout": sum(mel) / 6, "heard_heldout": sum(heard) / 6}, rel=1e-4)


def test_stft_error_of_half_the_amplitude():
    """Each magnitude halves: spectral convergence is 0.5 exactly, and logs differ by ln 2 where there is any sound."""
    wave = torch.randn(2, 8000, generator=torch.Generator().manual_seed(0))
    assert float(stft_error(wave, wave)) == 0
    assert float(stft_error(0.5 * wave, wave)) == pytest.approx(0.5 + math.log(2), abs=0.02)


def test_weights_come_from_the_seed_alone(sound, raw):
    clips = raw("train", 16)
    torch.manual_seed(5)
    same = AudioObjective(AUDIO, 4, 0.05, LOOP, clips, clips).module.state_dict()
    other = AudioObjective(
        AUDIO, 4, 0.05, dataclasses.replace(LOOP, seed=1), clips, clips
    ).module.state_dict()
    assert all(torch.equal(value, same[key]) for key, value in sound.module.state_dict().items())
    assert not torch.equal(same["encode_in.weight"], other["encode_in.weight"])
    draws = [VideoCodec(VIDEO, torch.Generator().manual_seed(seed)).state_dict() for seed in (3, 3, 4)]
    assert all(torch.equal(value, draws[1][key]) for key, value in draws[0].items())
    assert not torch.equal(draws[0]["decode_in.weight"], draws[2]["decode_in.weight"])


def test_fresh_weights_leave_the_linear_codec_as_it_is():
    """The ends are zero, so what is learnt adds nothing yet; the vocoder's blocks pass their input on."""
    codec = AudioCodec(AUDIO, torch.Generator().manual_seed(1))
    mel = torch.randn(1, 32, 80, generator=torch.Generator().manual_seed(2))
    codec.linear.basis.copy_(
        torch.linalg.qr(torch.randn(640, 16, generator=torch.Generator().manual_seed(3)))[0].T
    )
    groups = mel.reshape(1, 4, 640)
    assert torch.allclose(codec.encode_mel(mel), codec.linear.encode(groups))
    x = torch.randn(1, 9, 32, generator=torch.Generator().manual_seed(4))
    assert torch.equal(codec.vocoder[0](x), x)
    spread = codec.vocoder_out.weight.abs()  # uniform in +-1/sqrt(32), as PyTorch draws it
    assert float(spread.max().detach()) <= 32**-0.5 and float(spread.mean().detach()) == pytest.approx(
        0.5 * 32**-0.5, rel=0.05
    )


def test_halves_join_to_one_codec(picture, sound, tmp_path):
    paths = [half.release(tmp_path, half.module.state_dict(), {"steps": 3}) for half in (picture, sound)]
    path = merge(*paths, tmp_path / "codec.safetensors", {"name": "x"})
    codec = load_codec(str(path))
    assert codec.video.config == VIDEO and codec.audio.config == AUDIO
    assert checkpoint.load(path).facts == {"name": "x", "video": {"steps": 3}, "audio": {"steps": 3}}
    wave = sound.heldout[:1]
    with torch.no_grad():
        # bfloat16 on disk
        assert torch.allclose(codec.audio.encode(wave), sound.module.encode(wave), atol=0.1)
    with pytest.raises(ValueError, match="'codec-video' part is needed"):
        merge(paths[1], paths[0], tmp_path / "wrong.safetensors", {})


def test_a_codec_is_trained_on_near_its_latents(raw, tiny_model, tmp_path):
    old = tiny_model / "codec.safetensors"
    sizes = load_codec(str(old)).video.config
    moved = {}
    for hold in (0.0, 30.0):
        crops = dataclasses.replace(CROPS, hold=hold)
        one = VideoObjective(sizes, crops, LOOP, raw("train", 16), raw("heldout", 6), old)
        start = one.evaluate()
        assert start["moved"] < 1e-6
        train(one, dataclasses.replace(LOOP, steps=12), tmp_path / str(hold), {})
        end = read_log(tmp_path / str(hold) / "log.jsonl")[-1]
        moved[hold] = end["moved"]
        assert end["psnr"] > start["psnr"] and end["moved"] > 0
    assert moved[30.0] < 0.5 * moved[0.0]
    video, audio = tmp_path / "30.0" / "video.safetensors", tmp_path / "audio.safetensors"
    split_audio(old, audio)
    new = checkpoint.load(merge(video, audio, tmp_path / "codec.safetensors", {})).weights
    kept = checkpoint.load(old).weights
    assert all(
        torch.equal(new[key].bfloat16(), kept[key].bfloat16()) for key in new if key.startswith("audio.")
    )
    assert latent_version(str(tmp_path / "codec.safetensors")) != latent_version(str(old))


def test_previews_are_pictures_of_clip_and_reconstruction(picture, sound, tmp_path):
    from PIL import Image

    picture.preview(None, 3)
    picture.preview(tmp_path / "video", 3)
    sound.preview(tmp_path / "audio", 3)
    assert Image.open(tmp_path / "video" / "000003.png").size == (8 * 48, 6 * 2 * 48)
    assert Image.open(tmp_path / "audio" / "000003.png").size == (72, 6 * 2 * 84)
