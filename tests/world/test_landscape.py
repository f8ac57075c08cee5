import numpy as np
import pytest

from happyhorse.world.draw import Camera, Canvas
from happyhorse.world.landscape import LANDS, PERIOD, SKIES, Landscape, strip


def marks(canvas: Canvas, origin: float) -> None:
    canvas.rect(0.2 + origin, 0.5, 0.4 + origin, 0.6, "red")
    canvas.circle(3.55 + origin, 0.55, 0.1, "blue", alpha=0.5)  # over the seam


def shown(band, distance: float, camera: Camera | None = None) -> np.ndarray:
    canvas = Canvas(90, 50, camera)
    band.show(canvas, distance)
    return canvas.planes


def test_a_strip_moves_left_by_its_share_of_the_distance():
    band = strip(Canvas(90, 50), 0.5, marks)
    still, moved = shown(band, 0.0), shown(band, 20 / 50)
    assert moved[:, :, :-10] == pytest.approx(still[:, :, 10:], abs=1e-5)
    half = shown(band, 21 / 50)
    assert half[:, :, :-11] == pytest.approx((still[:, :, 10:-1] + still[:, :, 11:]) / 2, abs=1e-5)


def test_a_strip_repeats_without_seam():
    band = strip(Canvas(90, 50), 1.0, marks)
    for distance in (0.3, 3.5, -0.7):
        assert shown(band, distance) == pytest.approx(shown(band, distance + 2 * PERIOD), abs=0.02)
    assert band.row <= 23 and band.planes.shape[1] < 25  # only the rows that are used


def test_a_strip_follows_the_camera():
    camera = Camera(2.0, 0.3, 0.05)
    direct = Canvas(90, 50, camera)
    for origin in (-PERIOD, 0.0, PERIOD):
        marks(direct, origin)
    band = strip(Canvas(90, 50, camera), 1.0, marks)
    assert shown(band, 0.0, camera) == pytest.approx(direct.planes, abs=1e-3)


def test_the_ground_that_is_walked_on_scrolls_fully_and_the_horizon_hardly():
    scenery = Landscape("meadow", "sunny", 0.55, 0.88, 1)
    assert scenery.factor(0.88) == 1.0
    assert 0 < scenery.factor(0.55) < 0.2 < 1.0 < scenery.factor(0.97)
    behind, front = scenery.strips(Canvas(90, 50))
    factors = [band.factor for band in behind]
    assert factors == sorted(factors) and factors[-1] == 1.0
    assert all(band.factor > 1.0 for band in front)


@pytest.mark.parametrize("land", LANDS)
@pytest.mark.parametrize("sky", SKIES)
def test_every_landscape_is_opaque_and_lit_by_its_sky(land, sky):
    canvas = Canvas(70, 40)
    canvas.fill((-9.0, -9.0, -9.0))
    scenery = Landscape(land, sky, 0.55, 0.88, 3)
    scenery.backdrop(canvas)
    for part in scenery.strips(canvas):
        for band in part:
            band.show(canvas, 0.7)
    assert canvas.planes.min() > -0.01
    brightness = float(canvas.planes.mean())
    assert brightness < 0.4 if sky == "night" else brightness > 0.3
