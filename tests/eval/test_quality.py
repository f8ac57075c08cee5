"""Faults on clips that have them by construction."""

import math

import numpy as np
import pytest

from happyhorse.eval import quality

RATE = 16_000


def tone(seconds: float, level: float = 0.5) -> np.ndarray:
    return (level * np.sin(2 * np.pi * 440 * np.arange(round(seconds * RATE)) / RATE)).astype(np.float32)


def test_loudness_and_silence():
    assert quality.loudness(tone(1.0, 1.0)) == pytest.approx(-3.01, abs=0.01)
    assert quality.loudness(np.zeros(100, np.float32)) == -120.0
    half = np.concatenate([tone(1.0), np.zeros(RATE, np.float32)])
    assert quality.silence(half) == pytest.approx(0.5)
    assert quality.silence(tone(1.0, 10 ** (-70 / 20))) == 1.0
    assert quality.silence(np.zeros(0, np.float32)) == 1.0


def test_clipping():
    still = np.zeros((3, 8, 8, 3), np.uint8)
    assert quality.inspect(still, tone(1.0, 0.9)).clipping == 0.0
    squared = np.clip(tone(1.0, 2.0), -1, 1)
    assert quality.inspect(still, squared).clipping == pytest.approx(2 / 3, abs=0.01)  # |sin| > 1/2


def test_jitter_sees_flicker_but_not_a_moving_thing():
    video = np.full((20, 64, 112, 3), 100, np.uint8)
    for f in range(20):
        video[f, 20:40, 3 * f : 3 * f + 20] = 200
    assert quality.jitter(video) == 0.0
    assert quality.inspect(video, tone(0.8)).motion > 1.0
    noisy = video + np.random.default_rng(0).integers(0, 4, video.shape).astype(np.uint8)
    assert quality.jitter(noisy) == pytest.approx(1.25, abs=0.1)  # mean |a - b| of two draws from 0..3
    assert quality.jitter(video[:1]) == 0.0


def test_psnr():
    a = np.zeros((4, 4, 3), np.uint8)
    assert quality.psnr(a, a) == math.inf
    assert quality.psnr(a, a + 1) == pytest.approx(48.13, abs=0.01)
    assert quality.psnr(a, a + 255) == pytest.approx(0.0)
