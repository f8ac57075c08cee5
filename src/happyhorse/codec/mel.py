"""Log-mel spectrogram at 200 Hz: 80 bands, 16 kHz, hop 80, window 512, frame j centred on sample 80 j + 40."""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from happyhorse.values import PONY

RATE, HOP, WINDOW, BANDS = PONY.rate, 80, 512, 80
FLOOR = 1e-4  # amplitude: -80 dB, the level below which everything is silence


def mel_filters(bands: int = BANDS, window: int = WINDOW, rate: int = RATE) -> Float[Tensor, "bins bands"]:
    """Triangular filters of unit peak on the HTK mel scale `2595 log10(1 + f/700)`, 0 Hz to the Nyquist frequency."""
    top = 2595 * math.log10(1 + rate / 2 / 700)
    edges = 700 * (10 ** (torch.linspace(0, top, bands + 2) / 2595) - 1)
    bins = torch.linspace(0, rate / 2, window // 2 + 1)[:, None]
    low, centre, high = edges[:-2], edges[1:-1], edges[2:]
    return torch.minimum((bins - low) / (centre - low), (high - bins) / (high - centre)).clamp_min(0)


def log_mel(wave: Float[Tensor, "B N"]) -> Float[Tensor, "B frames bands"]:
    """Natural log of mel amplitudes, floored at -80 dB: [B, N] -> [B, N/80, 80]. N must be a multiple of 80."""
    left = (WINDOW - HOP) // 2
    padded = F.pad(wave.float(), (left, WINDOW - HOP - left))
    window = torch.hann_window(WINDOW, device=wave.device)
    spectrum = torch.stft(padded, WINDOW, HOP, window=window, center=False, return_complex=True).abs()
    amplitude = spectrum.transpose(1, 2) * (2 / window.sum())
    return torch.log(amplitude @ mel_filters().to(wave.device) + FLOOR)
