"""Small pictures of a clip, taken while its frames pass."""

import io

import numpy as np
from PIL import Image

from happyhorse.serve.jobs.stills import Stills, label


def frames(count: int, width: int = 40, height: int = 20) -> np.ndarray:
    video = np.zeros((count, height, width, 3), np.uint8)
    video[:] = np.arange(count, dtype=np.uint8)[:, None, None, None] * 3
    return video


def opened(files) -> dict[str, Image.Image]:
    return {kind: Image.open(io.BytesIO(content)) for kind, (_, content) in files.items()}


def test_frames_pass_unchanged_and_few_are_kept():
    video, stills = frames(75), Stills(75)
    passed = list(stills.over([video[:1], video[1:30], video[30:]]))
    assert np.array_equal(np.concatenate(passed), video)
    pictures = opened(stills.files())
    assert pictures["spritesheet"].size == (200, 100)
    sheet = np.asarray(pictures["spritesheet"]).astype(int)
    centres = sheet[10::20, 20::40, 0].ravel()
    assert len(centres) == 25 and (np.diff(centres) > 0).all()
    assert np.asarray(pictures["last_frame"])[0, 0, 0] == 74 * 3
    assert abs(int(np.asarray(pictures["thumbnail"])[0, 0, 0]) - 37 * 3) <= 2


def test_a_short_clip_has_a_small_sheet_and_a_wide_one_a_small_thumbnail():
    stills = Stills(3)
    list(stills.over([frames(3, 1920, 1080)]))
    pictures = opened(stills.files())
    assert pictures["spritesheet"].size == (480, 90) and pictures["thumbnail"].size == (640, 360)
    assert pictures["last_frame"].size == (1920, 1080)


def test_a_label_stands_in_the_corner_and_nowhere_else():
    video = frames(2, 224, 128) + 100
    marked = np.concatenate(list(label([video])))
    changed = (marked != video).any((0, 3))
    rows, columns = np.flatnonzero(changed.any(1)), np.flatnonzero(changed.any(0))
    assert rows.min() > 90 and rows.max() == 127 and columns.min() > 120 and columns.max() == 223
    assert marked.max() > 180 and video.max() < 130
