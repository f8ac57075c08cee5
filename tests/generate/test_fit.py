"""Given pictures and clips in the size and on the clock of the clip."""

import numpy as np
import pytest
from PIL import Image

from happyhorse import media
from happyhorse.generate.fit import fit, fit_clip, fit_picture
from happyhorse.values import PONY, Clip

NOISE = np.random.default_rng(0)


def test_a_picture_is_covered_and_cut_evenly():
    picture = np.zeros((100, 300, 3), np.uint8)
    picture[:, 100:200] = (200, 0, 0)  # the middle third stays
    fitted = fit(picture, 64, 64)
    assert fitted.shape == (64, 64, 3)
    assert np.abs(fitted[:, 2:-2].astype(int) - [200, 0, 0]).max() <= 2  # the filter reaches over the edge
    assert fitted[:, [0, -1], 0].min() > 180
    tall = np.zeros((300, 100, 3), np.uint8)
    tall[100:200] = (0, 200, 0)
    assert np.abs(fit(tall, 96, 96)[2:-2].astype(int) - [0, 200, 0]).max() <= 2
    same = NOISE.integers(0, 255, (64, 96, 3), np.uint8)
    assert np.array_equal(fit(same, 96, 64), same)


def test_what_is_cut_off_is_told():
    wide, notes = fit_picture(np.zeros((100, 300, 3), np.uint8), "the first frame", 64, 64)
    assert wide.shape == (64, 64, 3)
    assert notes == [
        "the first frame (300x100) has another shape than the clip; 67% of it is cut off on the left and right"
    ]
    assert "at the top and bottom" in fit_picture(np.zeros((300, 100, 3), np.uint8), "it", 64, 64)[1][0]
    assert fit_picture(np.zeros((128, 224, 3), np.uint8), "it", 448, 256)[1] == []


def test_transparency_lies_on_white_and_is_told(tmp_path):
    for mode, alpha, told in (("RGBA", 0, True), ("RGBA", 255, False), ("LA", 0, True)):
        color = (10, 10, 10, alpha) if mode == "RGBA" else (10, alpha)
        Image.new(mode, (64, 64), color).save(tmp_path / "x.png")
        pixels, notes = fit_picture(tmp_path / "x.png", "the last frame", 64, 64)
        assert pixels.mean() == (255 if alpha == 0 else 10)
        assert notes == (["the last frame is transparent in places; white is laid behind it"] if told else [])


def test_a_clip_is_brought_onto_the_clock(tmp_path):
    """10 frames a second and 8 kHz become 25 and 16 kHz, in memory as from a file."""
    video = np.repeat(np.arange(10, dtype=np.uint8) * 25, 96 * 64 * 3).reshape(10, 64, 96, 3)
    tone = np.sin(np.arange(8_000) / 8_000 * 2 * np.pi * 200).astype(np.float32)
    clip = Clip(video=video, audio=tone, fps=10, rate=8_000)
    fitted, notes = fit_clip(clip, "the clip", PONY, 96, 64)
    assert fitted.video.shape == (25, 64, 96, 3) and fitted.audio.shape == (16_000,) and notes == []
    assert fitted.video[:, 0, 0, 0].tolist() == [k * 10 // 25 * 25 for k in range(25)]
    assert np.abs(fitted.audio[::2] - tone)[200:-200].max() < 0.01
    media.write(Clip(video=fitted.video, audio=fitted.audio), tmp_path / "x.mp4")
    read, notes = fit_clip(tmp_path / "x.mp4", "the clip", PONY, 64, 64)
    assert read.video.shape == (25, 64, 64, 3) and "the clip (96x64) has another shape" in notes[0]
    assert np.abs(read.video[:, 32, 32, 0].astype(int) - fitted.video[:, 0, 0, 0]).max() <= 4


def test_a_clip_longer_than_any_is_refused():
    clip = Clip(video=np.zeros((610, 32, 32, 3), np.uint8), audio=np.zeros(0, np.float32), fps=10)
    with pytest.raises(ValueError, match="the clip lasts more than the 60 s that pony makes; cut it first"):
        fit_clip(clip, "the clip", PONY, 64, 64)
