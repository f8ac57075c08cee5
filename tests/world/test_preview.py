import numpy as np
import pytest

from happyhorse.world import sample
from happyhorse.world.preview import CAPTION, contact_sheet, heat, spectrogram


def test_a_tone_is_a_bright_row_at_its_frequency():
    t = np.arange(16_000) / 16_000
    heat = spectrogram(np.sin(2 * np.pi * 1000 * t).astype(np.float32), 60, 100).astype(int).sum(axis=2)
    row = int(np.argmax(heat[:, 30]))
    frequency = 60 * (8000 / 60) ** ((99 - row) / 99)
    assert frequency == pytest.approx(1000, rel=0.05)
    assert heat[row, 30] > 3 * heat[5, 30]


def test_a_click_is_a_bright_column_at_its_time():
    wave = np.zeros(16_000, np.float32)
    wave[8000] = 1.0
    heat = spectrogram(wave, 101, 40).astype(int).sum(axis=(0, 2))
    assert abs(int(np.argmax(heat)) - 50) <= 1
    assert heat[20] < 0.2 * heat[50]


def test_silence_is_dark():
    assert spectrogram(np.zeros(16_000, np.float32), 20, 10).max() < 20


def test_heat_rises_evenly_with_the_level():
    ramp = heat(np.linspace(0, 1, 101)[None])
    assert ramp.shape == (1, 101, 3) and ramp.dtype == np.uint8
    brightness = ramp[0].astype(int).sum(axis=1)
    assert (np.diff(brightness) >= 0).all() and brightness[0] < 20 and brightness[-1] > 680


def test_a_sheet_has_a_row_a_scene_and_a_strip_for_its_caption():
    scenes = [sample(seed, 1.0, ["balls"]) for seed in range(2)]
    seen = []

    def label(strip: np.ndarray, caption: str) -> None:
        seen.append(caption)
        strip[:] = 7

    plain = contact_sheet(scenes, 56, 32, columns=3)
    assert plain.shape == (2 * 32, 4 * 56, 3) and plain.dtype == np.uint8
    labelled = contact_sheet(scenes, 56, 32, columns=3, label=label)
    assert labelled.shape == (2 * (32 + CAPTION), 4 * 56, 3)
    assert seen == [scene.captions[0] for scene in scenes]
    assert (labelled[:CAPTION] == 7).all() and (labelled[CAPTION : CAPTION + 32] == plain[:32]).all()


def test_an_empty_sheet_is_refused():
    with pytest.raises(ValueError, match="at least one scene"):
        contact_sheet([])
