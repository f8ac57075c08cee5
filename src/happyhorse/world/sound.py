"""The sounds of the procedural world: damped modes, shaped noise, impacts by material, placing and levelling.

Everything is a pure function of a sample rate in Hz and returns float32 at that rate; times are seconds, levels are
linear unless a name says dB. Ground truth onsets are counted at 16 kHz (`scene.RATE`); `onset` converts them.

Struck bodies are sums of exponentially damped sines (Adrien, "The missing link: modal synthesis", 1991),
with mode ratios of the free bar (1 : 2.756 : 5.404 : 8.933), the circular membrane (zeros of Bessel functions,
1 : 1.594 : 2.136 : ...) and of shells; drops are bubbles whose pitch rises (van den Doel, "Physically based models for
liquid sounds", 2005).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from happyhorse.world.scene import RATE

LEVEL_DB = -20.0
CEILING = 0.94
BAR = (1.0, 2.756, 5.404, 8.933)
MEMBRANE = (1.0, 1.594, 2.136, 2.296, 2.653, 2.918, 3.156)

Values = Sequence[float] | np.ndarray


@dataclass(frozen=True)
class Material:
    """What a body made of this sounds like when struck.

    base: lowest mode in Hz at size 0.5; ratios: modes over the base; t60: seconds in which that mode falls by 60 dB;
    tilt: amplitude of a mode is ratio ** -tilt; noise: share of contact noise against the modes, 0..1;
    low, high: band of that noise in Hz; noise_t60: its decay in seconds; grains: bursts the noise is broken into
    (0 = one smooth burst), which makes snow crunch and sand trickle.
    """

    base: float
    ratios: tuple[float, ...]
    t60: float
    tilt: float
    noise: float
    low: float
    high: float
    noise_t60: float
    grains: int = 0


MATERIALS: dict[str, Material] = {
    "wood": Material(230.0, BAR, 0.28, 0.7, 0.25, 300, 3500, 0.03),
    "stone": Material(780.0, (1.0, 1.58, 2.24, 2.92, 4.1), 0.09, 0.2, 0.45, 1200, 7500, 0.035),
    "metal": Material(520.0, (1.0, 1.003, 2.756, 2.77, 5.404, 8.933), 1.3, 0.35, 0.15, 2500, 8000, 0.02),
    "glass": Material(1500.0, (1.0, 2.32, 4.25, 6.63), 0.55, 0.5, 0.2, 3000, 8000, 0.02),
    "skin": Material(125.0, MEMBRANE, 0.5, 0.8, 0.2, 150, 2200, 0.05),
    "rubber": Material(150.0, (1.0, 1.87, 2.71), 0.16, 0.9, 0.2, 120, 1600, 0.04),
    "dirt": Material(85.0, (1.0, 1.7), 0.14, 0.8, 0.5, 80, 1300, 0.10),
    "grass": Material(95.0, (1.0, 1.6), 0.12, 1.0, 0.6, 500, 4500, 0.12, 5),
    "sand": Material(80.0, (1.0, 1.5), 0.09, 1.0, 0.75, 900, 6000, 0.20, 9),
    "snow": Material(140.0, (1.0, 1.4), 0.08, 1.0, 0.8, 600, 5200, 0.22, 14),
    "water": Material(620.0, (1.0, 1.37, 1.81), 0.22, 0.3, 0.45, 600, 6000, 0.22),
}


def onset(sample: int, rate: int) -> int:
    """The sample at `rate` nearest to an event sample counted at 16 kHz."""
    return round(sample * rate / RATE)


def length(seconds: float, rate: int) -> int:
    """Samples in a duration: round(seconds * rate)."""
    return round(seconds * rate)


def decay(rate: int, seconds: float, t60: float) -> np.ndarray:
    """[n] exponential from 1 that falls by 60 dB every `t60` seconds."""
    return np.exp(np.arange(length(seconds, rate), dtype=np.float32) * np.float32(-6.9078 / (t60 * rate)))


def envelope(rate: int, seconds: float, attack: float, release: float) -> np.ndarray:
    """[n] level 1 with raised-cosine edges of `attack` and `release` seconds."""
    n = length(seconds, rate)
    shape = np.ones(n, np.float32)
    rise, fall = min(length(attack, rate), n), min(length(release, rate), n)
    shape[:rise] *= 0.5 - 0.5 * np.cos(np.pi * (np.arange(rise) + 0.5) / max(rise, 1))
    shape[n - fall :] *= 0.5 + 0.5 * np.cos(np.pi * (np.arange(fall) + 0.5) / max(fall, 1))
    return shape


def modes(rate: int, seconds: float, freqs: Values, t60s: Values, amps: Values) -> np.ndarray:
    """[n] sum of amps * exp(-6.9 t / t60) * sin(2 pi f t); modes above 0.47 of the rate are left out.

    exp(s (aB + b)) = exp(s a B) exp(s b), so the sum over modes is one small matrix product instead of n sines a mode.
    """
    freq, t60, amp = (np.asarray(v, np.float64) for v in (freqs, t60s, amps))
    keep = freq < 0.47 * rate
    freq, t60, amp = freq[keep], t60[keep], amp[keep]
    n = length(seconds, rate)
    if n == 0 or not len(freq):
        return np.zeros(n, np.float32)
    pole = (-6.9078 / t60 + 2j * np.pi * freq) / rate
    block = max(1, int(np.sqrt(n)))
    coarse = np.exp(np.outer(np.arange(-(-n // block)) * block, pole)) * amp
    fine = np.exp(np.outer(pole, np.arange(block)))
    left = np.concatenate([np.real(coarse), np.imag(coarse)], axis=1).astype(np.float32)
    right = np.concatenate([np.imag(fine), np.real(fine)], axis=0).astype(np.float32)
    return (left @ right).ravel()[:n]


def glide(rate: int, freq: np.ndarray) -> np.ndarray:
    """[n] sine whose frequency in Hz is given for every sample, starting at phase 0."""
    phase = np.cumsum(np.asarray(freq, np.float64))
    return np.sin((phase - phase[:1]) * (2 * np.pi / rate)).astype(np.float32)


@lru_cache(maxsize=64)
def _band(n: int, rate: int, low: float, high: float, tilt: float) -> np.ndarray:
    """Spectrum of a noise band [n // 2 + 1] with soft skirts, scaled so that unit noise keeps RMS 1."""
    freq = np.fft.rfftfreq(n, 1.0 / rate) + 1e-9
    shape = 1.0 / np.sqrt(1.0 + (low / freq) ** 6) / np.sqrt(1.0 + (freq / high) ** 6)
    shape *= (freq / np.sqrt(low * high)) ** (-tilt)
    shape[0] = 0.0
    return (shape / np.sqrt(np.mean(shape**2))).astype(np.float32)


def noise(
    rate: int,
    seconds: float,
    rng: np.random.Generator,
    low: float = 50.0,
    high: float = 8000.0,
    tilt: float = 0.0,
) -> np.ndarray:
    """[n] Gaussian noise of RMS about 1 between `low` and `high` Hz (18 dB an octave outside) with slope freq ** -tilt.

    tilt 0 is white, 0.5 pink, 1 brown. It is periodic over a little more than its length: no end is louder.
    """
    n = length(seconds, rate)
    if n == 0:
        return np.zeros(0, np.float32)
    size = _smooth_size(n)
    spectrum = (
        rng.standard_normal((size // 2 + 1, 2), np.float32) * _band(size, rate, low, high, tilt)[:, None]
    )
    return (np.fft.irfft(spectrum.view(np.complex64)[:, 0], size)[:n] * np.sqrt(size / 2)).astype(np.float32)


@lru_cache(maxsize=256)
def _smooth_size(n: int) -> int:
    """The smallest even number >= n that has no prime factor above 5: a quick length for the FFT."""
    size = n + n % 2
    while True:
        rest = size
        for prime in (2, 3, 5):
            while rest % prime == 0:
                rest //= prime
        if rest == 1:
            return size
        size += 2


def bubble(rate: int, freq: float, t60: float = 0.12, rise: float = 1.6) -> np.ndarray:
    """[n] one air bubble: a damped sine that starts at `freq` Hz and has risen `rise`-fold after one t60."""
    t = np.arange(length(t60 * 1.2, rate), dtype=np.float32) / rate
    tone = glide(rate, np.minimum(freq * (1 + (rise - 1) * t / t60), 0.45 * rate))
    return tone * decay(rate, t60 * 1.2, t60)


def strike(
    rate: int, material: str, size: float, gain: float, rng: np.random.Generator, hardness: float = 0.5
) -> np.ndarray:
    """[n] one impact on a body, peak `gain`, starting at sample 0 with an attack below 2 ms.

    material: a key of MATERIALS; size in [0, 1]: 0 sounds an octave above, 1 an octave below the material's base;
    hardness in [0, 1]: of what strikes, brighter with more. Strikes differ a little from draw to draw.
    Raises ValueError for an unknown material.
    """
    if material not in MATERIALS:
        raise ValueError(f"no material called {material!r}; take one of {', '.join(MATERIALS)}")
    body = MATERIALS[material]
    base = body.base * 2.0 ** (1.0 - 2.0 * size) * rng.uniform(0.98, 1.02)
    ratios = np.asarray(body.ratios)
    t60 = body.t60 * (0.7 + 0.6 * size) * ratios**-0.5
    amps = ratios ** (-body.tilt * (1.5 - hardness)) * rng.uniform(0.8, 1.2, len(ratios))
    seconds = min(1.1 * max(float(t60.max()), body.noise_t60), 1.8)
    out = np.zeros(length(seconds, rate), np.float32)
    if material == "water":
        for ratio, t60_one, amp in zip(ratios, t60, amps, strict=True):
            delay = 0 if ratio == 1.0 else length(rng.uniform(0.005, 0.06), rate)
            place(out, delay, bubble(rate, base * ratio, float(t60_one), rng.uniform(1.3, 1.9)), float(amp))
    else:
        out += modes(rate, seconds, base * ratios, t60, amps)
    out *= (1.0 - body.noise) / _peak(out)
    contact = _contact(rate, body, 0.6 + 0.8 * hardness, rng)
    place(out, 0, contact, body.noise / _peak(contact))
    out[: length(0.0005, rate)] *= np.linspace(0.3, 1.0, length(0.0005, rate), dtype=np.float32)
    fade = length(0.01, rate)
    out[len(out) - fade :] *= np.linspace(1.0, 0.0, fade, dtype=np.float32)
    return out * np.float32(gain / _peak(out))


def _contact(rate: int, body: Material, brightness: float, rng: np.random.Generator) -> np.ndarray:
    """[n] the noise of touching, one burst or a handful of grains of which the first starts at sample 0."""
    seconds = body.noise_t60 * 1.1
    hiss = noise(rate, seconds, rng, body.low, body.high * brightness)
    if not body.grains:
        return hiss * decay(rate, seconds, body.noise_t60)
    starts = np.concatenate([[0.0], np.sort(rng.uniform(0.0, 0.6, body.grains - 1))]) * seconds
    shape = np.zeros(len(hiss), np.float32)
    for index, start in enumerate(starts):
        loudness = rng.uniform(0.2, 0.6) * (1.0 - 0.6 * start / seconds) if index else 1.0
        place(shape, length(start, rate), decay(rate, seconds * 0.4, seconds * 0.25), loudness)
    return hiss * shape


def _peak(x: np.ndarray) -> float:
    return max(float(np.abs(x).max(initial=0.0)), 1e-9)


def place(buffer: np.ndarray, onset_sample: int, sound: np.ndarray, gain: float = 1.0) -> None:
    """Adds gain * sound [n] into buffer [N] from `onset_sample` on, in place; what lies outside the buffer is cut."""
    start, stop = max(onset_sample, 0), min(onset_sample + len(sound), len(buffer))
    if start < stop:
        buffer[start:stop] += np.float32(gain) * sound[start - onset_sample : stop - onset_sample]


def limit(x: np.ndarray, ceiling: float = CEILING) -> np.ndarray:
    """[n] x, unchanged below 0.6 of the ceiling and bent smoothly (tanh) so that it stays within it above."""
    knee = 0.6 * ceiling
    size = np.abs(x)
    if float(size.max(initial=0.0)) <= knee:
        return x.astype(np.float32)
    bent = knee + (ceiling - knee) * np.tanh((size - knee) / (ceiling - knee))
    return (np.sign(x) * np.where(size > knee, bent, size)).astype(np.float32)


def active_rms(x: np.ndarray, rate: int) -> float:
    """RMS of the sounding part of x [n]: over frames of 20 ms that are within 25 dB of the loudest; 0 for silence."""
    frame = length(0.02, rate)
    whole = np.pad(x, (0, -len(x) % frame)).reshape(-1, frame)
    power = np.einsum("fn,fn->f", whole, whole) / frame
    loudest = float(power.max(initial=0.0))
    return float(np.sqrt(power[power > loudest * 10**-2.5].mean())) if loudest > 0 else 0.0


def level(x: np.ndarray, rate: int, db: float = LEVEL_DB) -> np.ndarray:
    """[n] x scaled so that its sounding part has an RMS of `db` dBFS, then limited; silence stays silence.

    A sound of short clicks is held so that no peak goes 6 dB past the ceiling: limiting bends it, never squares it.
    """
    rms = active_rms(x, rate)
    if rms == 0.0:
        return x.astype(np.float32)
    gain = min(10 ** (db / 20) / rms, 2.0 * CEILING / _peak(x))
    return limit(x * np.float32(gain))
