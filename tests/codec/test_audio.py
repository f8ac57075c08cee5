"""The audio codec: geometry, the mel scale, the inverse STFT of the vocoder."""

import math

import pytest
import torch

from happyhorse.codec.audio import AudioCodec, AudioCodecConfig
from happyhorse.codec.mel import BANDS, FLOOR, log_mel, mel_filters

SMALL = AudioCodecConfig(width=16, vocoder_width=32, vocoder_blocks=1)


def test_mel_filters_cover_every_band_once():
    filters = mel_filters()
    assert filters.shape == (257, BANDS)
    assert float(filters.max()) <= 1
    assert bool((filters.sum(0) > 0).all()), "a band without any bin would always read silence"


def test_silence_reads_the_floor_and_a_tone_its_amplitude():
    assert torch.allclose(log_mel(torch.zeros(1, 6400)), torch.full((1, 80, BANDS), math.log(FLOOR)))
    time = torch.arange(6400) / 16000
    tone = log_mel(0.5 * torch.sin(2 * math.pi * 1000 * time)[None])[0, 40]
    assert float(tone.exp().max()) == pytest.approx(0.5, rel=0.25)


def test_frame_is_centred_on_its_sample():
    wave = torch.zeros(1, 6400)
    wave[0, 80 * 37 + 40] = 1
    assert int(log_mel(wave).sum(-1).argmax()) == 37


@torch.no_grad()
def test_shapes_and_untrained_mel_is_linear():
    torch.manual_seed(0)
    codec = AudioCodec(SMALL)
    codec.linear.fit([torch.randn(2000, 640)])
    wave = torch.randn(2, 640 * 9) * 0.1
    latents = codec.encode(wave)
    assert latents.shape == (2, 9, 64)
    assert codec.decode(latents).shape == (2, 640 * 9)
    linear = codec.linear.encode(log_mel(wave).reshape(2, 9, 640))
    assert torch.allclose(latents, linear, atol=1e-4)


@torch.no_grad()
def test_vocoder_head_inverts_the_short_time_transform():
    """With the head giving the true spectrum of frames, overlap-add must return the waveform."""
    codec = AudioCodec(SMALL)
    wave = torch.randn(1, 80 * 50)
    left = (codec.config.window - 80) // 2
    padded = torch.nn.functional.pad(wave, (left, left))
    frames = padded.unfold(1, codec.config.window, 80) * codec.window
    spectrum = torch.fft.rfft(frames)
    head = torch.cat([spectrum.abs().clamp_min(1e-12).log(), spectrum.angle()], -1)
    codec.vocoder_out = torch.nn.Identity()
    codec.vocoder_norm = torch.nn.Identity()
    codec.vocoder = torch.nn.ModuleList()
    codec.vocoder_in = Constant(head)
    output = codec.vocode(torch.zeros(1, 50, BANDS))
    assert torch.allclose(output[:, 400:-400], wave[:, 400:-400], atol=1e-4)


class Constant(torch.nn.Module):
    """Stands where the convolution is and returns the wanted head, channels first."""

    def __init__(self, value: torch.Tensor) -> None:
        super().__init__()
        self.value = value

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The value [B, C, n], whatever `x` is."""
        return self.value.transpose(1, 2)


@pytest.mark.parametrize("samples", [0, 100, 641])
def test_wrong_lengths_are_refused(samples: int):
    with pytest.raises(ValueError, match="multiple of 640"):
        AudioCodec(SMALL).encode(torch.zeros(1, samples))
