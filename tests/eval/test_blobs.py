"""Coverage and tracks of drawn discs with known centres."""

import numpy as np
import pytest

from happyhorse.eval import blobs
from happyhorse.world.palette import rgb

F, H, W = 40, 96, 160


def disc(
    x: np.ndarray, y: np.ndarray, radius: float, color: str, video: np.ndarray | None = None
) -> np.ndarray:
    """A video of a disc with soft edges on a wall of two colours, or painted over another."""
    rows, columns = np.mgrid[:H, :W]
    if video is None:
        video = np.tile(np.where(rows[..., None] < 60, rgb("sky"), rgb("wood")), (F, 1, 1, 1))
    out = []
    for frame, cx, cy in zip(video, x, y, strict=True):
        share = np.clip(0.5 - (np.hypot(columns - cx, rows - cy) - radius), 0, 1)[..., None]
        out.append(frame * (1 - share) + rgb(color) * share)
    return np.stack(out)


def bits(video: np.ndarray) -> np.ndarray:
    return np.clip(video * 255 + 0.5, 0, 255).astype(np.uint8)


t = np.arange(F)
X, Y = 30 + 2.3 * t, 48 + 25 * np.sin(t / 5)


@pytest.mark.parametrize("color", ["red", "blue", "green", "white", "black", "purple"])
def test_a_disc_is_followed_to_a_fraction_of_a_pixel(color):
    path = blobs.track(blobs.coverage(bits(disc(X, Y, 9.3, color)), rgb(color)))
    assert (path.mass > 0).all()
    assert np.abs(path.x - X).max() < 0.5 and np.abs(path.y - Y).max() < 0.5
    assert np.abs(path.bottom - Y - 9.3).max() < 0.7


def test_a_thing_that_rests_for_most_of_the_clip_is_still_seen():
    x, y = np.where(t < 10, 20 + 4.0 * t, 60.0), np.where(t < 10, 20 + 5.0 * t, 70.0)
    path = blobs.track(blobs.coverage(bits(disc(x, y, 9.0, "blue")), rgb("blue")))
    assert np.abs(path.y - y).max() < 1.0 and np.abs(path.x - x).max() < 1.0


def test_two_discs_are_told_apart():
    video = disc(X, Y, 9.0, "red")
    video = bits(disc(W - X, 50 - 20 * np.cos(t / 4), 7.0, "orange", video))
    red = blobs.track(blobs.coverage(video, rgb("red"), [rgb("orange")]))
    orange = blobs.track(blobs.coverage(video, rgb("orange"), [rgb("red")]))
    apart = np.hypot(2 * X - W, Y - 50 + 20 * np.cos(t / 4)) > 18
    assert np.median(np.hypot(red.x - X, red.y - Y)[apart]) < 0.5
    assert np.median(np.hypot(orange.x - W + X, orange.y - 50 + 20 * np.cos(t / 4))[apart]) < 0.5


def test_another_colour_is_not_seen():
    path = blobs.track(blobs.coverage(bits(disc(X, Y, 9.0, "green")), rgb("red")))
    assert not path.mass.any() and np.isnan(path.bottom).all()


def test_box_means():
    image = np.zeros((7, 9), np.float32)
    image[3, 4] = 9.0
    mean = blobs.box(image, 1)
    assert mean[2:5, 3:6] == pytest.approx(1.0) and mean.sum() == pytest.approx(9.0)
