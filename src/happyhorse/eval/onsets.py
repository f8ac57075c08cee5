"""When sounds begin: onsets of a waveform to about a millisecond, without any learnt part.

Two steps. A spectral flux on a grid of 1 ms finds where energy rises in many bands at once (Bello et al.
2005, "A tutorial on onset detection in music signals"). Then each candidate is refined on the samples: what
rang before the onset is predicted linearly and taken off, and the point that best splits the remainder into a
quiet and a loud part is the onset (Akaike's criterion on the variance of both parts, as in the picking of
seismic arrivals: Maeda 1985; Sleeman and van Eck 1999).
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

WINDOW = 0.016  # s, of the spectra
LAG = 0.010  # s, over which energy has to rise
RISE = 6.0  # dB, mean over bands, that makes an onset
APART = 0.050  # s, between two onsets
RANGE = 50.0  # dB under the loudest spectrum that counts as silence
BANDS = 20
ORDER = 16  # of the linear prediction


def flux(wave: Float[np.ndarray, " N"], rate: int) -> Float[np.ndarray, " M"]:
    """Rise of the spectrum in dB, mean over bands, every millisecond: entry m is about the time m / 1000 s.

    Only increases count. A wave [N] at `rate` Hz gives round(1000 N / rate) values; silence gives zeros.
    """
    count = round(1000 * len(wave) / rate)
    energy = _bands(np.asarray(wave, np.float64), rate, count)
    loudest = energy.max(initial=0.0)
    if loudest < 1e-10:
        return np.zeros(count)
    level = 10 * np.log10(energy + loudest * 10 ** (-RANGE / 10))
    lag = round(1000 * LAG)
    edge = round(500 * WINDOW)  # where half of the window lies outside
    past = np.concatenate([np.repeat(level[:1], lag, 0), level[:-lag]])[:count]
    # a band counts by how far it stands above silence: a pure tone fills few bands, a knock all of them
    above = level - 10 * np.log10(loudest) + RANGE
    curve = (np.maximum(level - past, 0) * above).sum(1) / (above.sum(1) + 3.0 * BANDS)
    curve[:edge] = curve[max(count - edge, 0) :] = 0
    return curve


def onsets(wave: Float[np.ndarray, " N"], rate: int = 16_000, rise: float = RISE) -> Float[np.ndarray, " E"]:
    """Times in seconds at which sounds begin, in order.

    A wave [N] at `rate` Hz; `rise` in dB is how much the mean band has to gain within 10 ms. Onsets are at
    least 50 ms apart. A sound that is already there at the start of the wave has no onset.
    """
    wave = np.asarray(wave, np.float64)
    curve = flux(wave, rate)
    found = []
    for peak in _peaks(curve, rise, round(1000 * APART)):
        # the flux peaks when the window, centred on its time, has taken in the attack: look on both sides of it
        found.append(_refine(wave, rate, peak / 1000 - LAG / 2, WINDOW / 2 + LAG))
    times = np.array(sorted(found))
    return times[np.diff(times, prepend=-1.0) > APART / 2]


def _bands(wave: np.ndarray, rate: int, count: int) -> np.ndarray:
    """[count, BANDS] energy in bands of equal width in log frequency over spectra 1 ms apart."""
    size = round(WINDOW * rate)
    # mirrored, so that neither end of the wave is a jump
    padded = np.pad(wave, (size // 2, size), mode="reflect" if len(wave) > size else "constant")
    starts = np.round(np.arange(count) * rate / 1000).astype(int)
    frames = np.lib.stride_tricks.sliding_window_view(padded, size)[starts]
    power = np.abs(np.fft.rfft(frames * np.hanning(size), axis=1)) ** 2
    freq = np.fft.rfftfreq(size, 1 / rate)
    edges = np.geomspace(100, min(8000, rate / 2), BANDS + 1)
    index = np.clip(np.searchsorted(edges, freq, side="right") - 1, 0, BANDS - 1)
    order = np.unique(index, return_index=True)[1]
    return np.add.reduceat(power, order, axis=1) / size


def _peaks(curve: np.ndarray, least: float, apart: int) -> list[int]:
    """Indices of the maxima of a curve that reach `least` and have nothing higher within `apart` on either side."""
    kept: list[int] = []
    for index in np.argsort(curve)[::-1]:
        if curve[index] < least:
            break
        if all(abs(index - other) >= apart for other in kept):
            kept.append(int(index))
    return sorted(kept)


def _refine(wave: np.ndarray, rate: int, centre: float, reach: float) -> float:
    """The onset in seconds within `reach` of `centre`, or about `centre` where nothing stands out."""
    first = max(round((centre - reach) * rate), 0)
    last = min(round((centre + reach) * rate), len(wave))
    before = wave[max(first - round(0.030 * rate), 0) : first]
    part = wave[max(first - ORDER, 0) : last]
    tail = len(part) - (last - first)
    rest = _unpredicted(before, part)[tail:]
    if len(rest) < 8:
        return centre
    split = _split(rest**2)
    return (first + split) / rate


def _unpredicted(before: np.ndarray, part: np.ndarray) -> np.ndarray:
    """What linear prediction learnt on `before` does not foresee in `part`; decaying sines are foreseen exactly."""
    scale = np.abs(before).max(initial=0.0)
    if len(before) < 4 * ORDER or scale < 1e-6:
        return part
    history = np.lib.stride_tricks.sliding_window_view(before, ORDER)
    matrix, target = history[:-1], before[ORDER:]
    gram = matrix.T @ matrix + np.eye(ORDER) * (1e-6 * scale**2 * len(target))
    weights = np.linalg.solve(gram, matrix.T @ target)
    rest = part.copy()
    rest[ORDER:] -= np.lib.stride_tricks.sliding_window_view(part, ORDER)[:-1] @ weights
    rest[:ORDER] = rest[ORDER : 2 * ORDER] if len(rest) >= 2 * ORDER else 0
    return rest


def _split(power: np.ndarray) -> int:
    """Where to cut so that both parts are best described by one variance each."""
    count = len(power)
    floor = power.mean() * 1e-6 + 1e-18
    total = np.cumsum(power)
    k = np.arange(2, count - 2)
    left, right = total[k - 1] / k, (total[-1] - total[k - 1]) / (count - k)
    cost = k * np.log(left + floor) + (count - k) * np.log(right + floor)
    return int(k[np.argmin(cost)])
