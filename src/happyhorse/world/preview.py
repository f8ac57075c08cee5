"""A look at scenes on one sheet: frames in a row, the log spectrogram beside them, captions above."""

from collections.abc import Callable, Sequence

import numpy as np

from happyhorse.world.scene import FPS, RATE, Scene, hear, render

CAPTION = 14
"""Height in pixels of the strip above a row that `label` may write on."""

# dark violet over red and orange to pale yellow, evenly rising in brightness
_HEAT = np.array(
    [[3, 3, 12], [60, 15, 90], [150, 40, 95], [225, 90, 50], [250, 175, 50], [252, 250, 190]], np.float32
)


def spectrogram(
    wave: np.ndarray, width: int, height: int, rate: int = RATE, floor_db: float = -70.0
) -> np.ndarray:
    """uint8 [height, width, 3]: time to the right, frequency upwards on a log axis from 60 Hz to rate / 2,
    level as heat.

    wave: float [N]; levels are Hann-windowed spectra of 512 samples in dB below the loudest, cut at
    `floor_db`.
    """
    window = np.hanning(512).astype(np.float32)
    padded = np.pad(np.asarray(wave, np.float32), 256)
    centers = np.linspace(0, len(wave), width).astype(np.int64)
    frames = np.lib.stride_tricks.sliding_window_view(padded, 512)[centers]
    power = np.abs(np.fft.rfft(frames * window, axis=1)) ** 2
    bins = np.geomspace(60.0, rate / 2, height) * 512 / rate
    low = np.minimum(bins.astype(np.int64), 255)
    part = (bins - low)[None, :]
    level = power[:, low] * (1 - part) + power[:, low + 1] * part
    db = 10 * np.log10(np.maximum(level / max(float(level.max()), 1e-12), 1e-12))
    return heat(np.clip(1.0 - db / floor_db, 0.0, 1.0).T[::-1])


def heat(level: np.ndarray) -> np.ndarray:
    """uint8 [height, width, 3]: levels [height, width] in 0..1 as colours from dark violet to pale yellow."""
    place = level * (len(_HEAT) - 1)
    step = np.minimum(place.astype(np.int64), len(_HEAT) - 2)
    return (
        (_HEAT[step] + (_HEAT[step + 1] - _HEAT[step]) * (place - step)[..., None]).round().astype(np.uint8)
    )


def contact_sheet(
    scenes: Sequence[Scene],
    width: int = 224,
    height: int = 128,
    columns: int = 6,
    label: Callable[[np.ndarray, str], None] | None = None,
) -> np.ndarray:
    """uint8 [rows, (columns + 1) * width, 3]: each scene a row of `columns` frames, evenly spread, and a
    spectrogram.

    With `label`, every row has above it a white strip [CAPTION, (columns + 1) * width, 3] and label(strip,
    caption) is called to write the scene's first caption on it in place. Raises ValueError for no scenes.
    """
    if not scenes:
        raise ValueError("nothing to show; give at least one scene")
    rows = []
    for scene in scenes:
        shown = np.linspace(0, scene.seconds * FPS - 1, columns + 2)[1:-1].round().astype(np.int64)
        frames = render(scene, width, height, frames=int(shown[-1]) + 1)[shown]
        row = np.concatenate([*frames, spectrogram(hear(scene), width, height)], axis=1)
        if label is not None:
            strip = np.full((CAPTION, row.shape[1], 3), 255, np.uint8)
            label(strip, scene.captions[0])
            rows.append(strip)
        rows.append(row)
    return np.concatenate(rows)
