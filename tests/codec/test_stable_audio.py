"""The audio codec of the 15B: its clock, its posterior, and resampling against the waves themselves."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from happyhorse.codec.stable_audio import HOP, SAMPLES, load_stable_audio, resample


@pytest.fixture(scope="module")
def codec(published_15b):
    return load_stable_audio(published_15b / "stable-audio-open-1.0" / "vae", "cpu")


@settings(max_examples=30)
@given(st.integers(3, 60), st.integers(2, 60), st.floats(0, 6.3))
def test_waves_below_half_the_lower_rate_are_exact(count, target, phase):
    """A band-limited periodic wave is resampled without error, however the lengths relate."""
    cycles = (min(count, target) - 1) // 2

    def wave(n):
        t = torch.arange(n, dtype=torch.float64) / n * 2 * math.pi
        return 0.5 + torch.cos(cycles * t + phase)

    torch.testing.assert_close(resample(wave(count), target), wave(target), atol=1e-9, rtol=0)


def test_waves_above_half_the_lower_rate_are_gone_and_at_half_are_kept_once():
    t = torch.arange(64, dtype=torch.float64) / 64 * 2 * math.pi
    assert resample(torch.cos(20 * t), 32).abs().max() < 1e-9
    half = resample(torch.cos(16 * t), 32)  # both ends of the spectrum fold onto one bin
    torch.testing.assert_close(half, torch.cos(math.pi * torch.arange(32, dtype=torch.float64)))
    up = resample(torch.cos(math.pi * torch.arange(8, dtype=torch.float64)), 16)
    torch.testing.assert_close(up, torch.cos(4 * torch.arange(16, dtype=torch.float64) / 16 * 2 * math.pi))


def test_1764_samples_a_latent(codec):
    assert SAMPLES == 1764 == 44_100 // 25
    latents = torch.randn(1, 3, 64, generator=torch.Generator().manual_seed(0))
    wave = codec.decode(latents)
    assert wave.shape == (1, 2, 3 * 1764) and wave.abs().max() > 1e-3
    with torch.inference_mode():
        inner = codec.vae.decode(latents.transpose(1, 2)).sample
    assert inner.shape[2] == 3 * HOP and torch.equal(wave, resample(inner, 5292))


def test_a_sample_of_the_posterior(codec):
    wave = torch.randn(1, 2 * HOP, generator=torch.Generator().manual_seed(0)) * 0.1
    still = codec.encode(wave, torch.zeros(1, 2, 64))
    moved = codec.encode(wave, torch.ones(1, 2, 64))
    with torch.inference_mode():
        mean, scale = codec.vae.encoder(wave[:, None].repeat(1, 2, 1)).chunk(2, 1)
    torch.testing.assert_close(still, mean.transpose(1, 2))
    torch.testing.assert_close(
        moved - still, (torch.log1p(torch.exp(scale)) + 1e-4).transpose(1, 2), atol=1e-5, rtol=1e-5
    )


@pytest.mark.parametrize("samples", [0, 1, HOP + 1])
def test_only_whole_latents(codec, samples):
    with pytest.raises(ValueError, match="a positive multiple of 2048"):
        codec.encode(torch.zeros(1, samples), torch.zeros(1, 1, 64))
