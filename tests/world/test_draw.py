import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from happyhorse.world.coverage import SCANLINES
from happyhorse.world.draw import Camera, Canvas
from happyhorse.world.palette import PALETTE, darker, lighter, mix, rgb

W, H = 140, 80
STAR = np.array(
    [
        [0.0, -0.3],
        [0.1, -0.05],
        [0.33, 0.0],
        [0.1, 0.08],
        [0.02, 0.31],
        [-0.09, 0.1],
        [-0.3, 0.02],
        [-0.1, -0.1],
    ]
)


def blank(**options) -> Canvas:
    return Canvas(W, H, **options)


def ink(canvas: Canvas) -> float:
    """Painted area in picture units squared, of white on black."""
    return float(canvas.planes[0].sum()) / H**2


def center(canvas: Canvas) -> tuple[float, float]:
    """Centroid of what is painted, in picture units."""
    weight = canvas.planes[0] / canvas.planes[0].sum()
    x = (np.arange(W) + 0.5 - W / 2) / H
    y = (np.arange(H) + 0.5) / H
    return float((weight.sum(axis=0) * x).sum()), float((weight.sum(axis=1) * y).sum())


def shoelace(points: np.ndarray) -> float:
    x, y = points.T
    return 0.5 * abs(float(x @ np.roll(y, -1) - y @ np.roll(x, -1)))


@settings(max_examples=30)
@given(st.floats(-0.4, 0.4), st.floats(0.3, 0.7), st.floats(0.06, 0.2))
def test_a_disc_has_its_area_and_its_center(x, y, r):
    canvas = blank()
    canvas.circle(x, y, r, (1, 1, 1))
    assert ink(canvas) == pytest.approx(np.pi * r * r, rel=0.02)
    assert center(canvas) == pytest.approx((x, y), abs=2e-3)


@settings(max_examples=30)
@given(st.floats(-0.5, 0.2), st.floats(0.1, 0.5), st.floats(0.01, 0.5), st.floats(0.01, 0.4))
def test_an_upright_rectangle_is_exact(x, y, wide, high):
    canvas = blank()
    canvas.rect(x, y, x + wide, y + high, (1, 1, 1))
    assert ink(canvas) == pytest.approx(wide * high, rel=1e-3)
    assert center(canvas) == pytest.approx((x + wide / 2, y + high / 2), abs=0.15 / H)


def test_areas_of_turned_and_round_shapes():
    for paint, area in (
        (lambda c: c.rect(-0.2, 0.3, 0.3, 0.6, (1, 1, 1), angle=0.7), 0.15),
        (lambda c: c.rect(-0.2, 0.3, 0.3, 0.6, (1, 1, 1), radius=0.05), 0.15 - (4 - np.pi) * 0.05**2),
        (lambda c: c.ellipse(0, 0.5, 0.3, 0.1, (1, 1, 1), angle=0.5), np.pi * 0.03),
        (lambda c: c.sphere(0, 0.5, 0.3, 0.2, (1, 1, 1), light=(5.0, 5.0)), None),
        (lambda c: c.capsule(-0.3, 0.4, 0.1, 0.7, 0.05, (1, 1, 1)), np.pi * 0.05**2 + 2 * 0.05 * 0.5),
    ):
        canvas = blank()
        paint(canvas)
        if area is not None:
            assert ink(canvas) == pytest.approx(area, rel=0.01)


def test_a_soft_edge_keeps_the_area_and_reaches_further():
    sharp, soft = blank(), blank()
    sharp.circle(0, 0.5, 0.2, (1, 1, 1))
    soft.circle(0, 0.5, 0.2, (1, 1, 1), soft=0.1)
    assert ink(soft) == pytest.approx(ink(sharp), rel=0.03)
    column = W // 2 + round(0.235 * H)
    assert sharp.planes[0, H // 2, column] == 0 < soft.planes[0, H // 2, column]


def scan_line_error(points: np.ndarray) -> float:
    """Bound on the area error of a polygon in picture units squared.

    The width of a polygon is linear in y between its corners, so the midpoint rule with lines `h` apart errs only in
    the cells of the corners: by at most h^2 / 8 times the slope of each edge that ends there, or, where an edge is
    flatter than a cell, by half a cell of its width.
    """
    h = 1 / (SCANLINES * H)
    across, down = np.abs(np.roll(points, -1, axis=0) - points).T
    return 2 * float(np.minimum(across / np.maximum(down, 1e-12) * h**2 / 8, across * h / 2).sum())


@settings(max_examples=30)
@given(st.floats(-0.4, 0.4), st.floats(-0.1, 0.1), st.floats(0, 6.3), st.booleans())
@example(0.0, -0.08642921155002221, 4.224609375, False)  # an edge nearly along the lines
def test_a_polygon_has_its_area_and_its_place(dx, dy, angle, reverse):
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    points = STAR @ turn + [dx, 0.5 + dy]
    here, there = blank(), blank()
    here.polygon(points[::-1] if reverse else points, (1, 1, 1))
    there.polygon(points + np.array([0.25 / H, 0.0]), (1, 1, 1))
    assert ink(here) == pytest.approx(shoelace(points), rel=1e-5, abs=scan_line_error(points))
    assert center(there)[0] - center(here)[0] == pytest.approx(0.25 / H, abs=0.02 / H)


def test_a_polygon_cut_off_by_the_edge_keeps_what_is_inside():
    canvas = blank()
    canvas.polygon([[-2, 0.25], [0, 0.25], [0, 3], [-2, 3]], (1, 1, 1))
    assert ink(canvas) == pytest.approx(W / H / 2 * 0.75, rel=1e-4)


def test_polygons_are_united_without_seam():
    canvas = blank()
    square = np.array([[-0.2, 0.3], [0.1, 0.3], [0.1, 0.6], [-0.2, 0.6]])
    canvas.polygons([square, (square + 0.1)[::-1]], (1, 1, 1), alpha=0.5)
    assert float(canvas.planes.max()) == 0.5
    assert ink(canvas) == pytest.approx(0.5 * (2 * 0.09 - 0.04), rel=1e-2)


def test_strokes_are_capsules_and_thin_ones_keep_their_ink():
    segments = np.array([[-0.5, 0.2, -0.4, 0.3], [0.1, 0.7, 0.1, 0.9], [0.5, 0.5, 0.6, 0.45], [3, 3, 4, 4]])
    together, apart = blank(), blank()
    together.lines(segments, 0.02, "red", 0.8)
    for x0, y0, x1, y1 in segments:
        apart.capsule(x0, y0, x1, y1, 0.02, "red", alpha=0.8)
    assert np.abs(together.planes - apart.planes).max() < 1e-5
    thin = blank()
    thin.lines(np.array([[-0.4, 0.503, 0.4, 0.503]]), 0.001, (1, 1, 1))
    assert ink(thin) == pytest.approx(0.8 * 0.002, rel=0.03)


def test_strokes_that_meet_do_not_go_past_the_color():
    canvas = blank()
    canvas.lines(np.tile([[0.0, 0.5, 0.1, 0.5]], (5, 1)), 0.05, (0.5, 0.5, 0.5))
    assert float(canvas.planes.max()) == pytest.approx(0.5)
    before = canvas.planes.copy()
    canvas.lines(np.zeros((0, 4)), 0.05, "red")
    assert (canvas.planes == before).all()


def test_the_camera_zooms_about_its_point():
    plain, near = blank(), blank(camera=Camera(2.0, 0.1, -0.05))
    plain.circle(0.1, 0.45, 0.1, (1, 1, 1))
    near.circle(0.1, 0.45, 0.1, (1, 1, 1))
    assert ink(near) == pytest.approx(4 * ink(plain), rel=0.02)
    assert center(near) == pytest.approx((0.0, 0.5), abs=1e-3)


@pytest.mark.parametrize("camera", [Camera(), Camera(1.5, 0.1, 0.05)])
def test_a_gradient_goes_from_top_to_bottom_and_covers_everything(camera):
    canvas = blank(camera=camera)
    canvas.gradient("red", "blue")
    for row in (0, H // 2, H - 1):
        y = ((row + 0.5) - H / 2) / canvas.unit + 0.5 + camera.dy
        assert canvas.planes[:, row, 5] == pytest.approx(mix("red", "blue", y), abs=1e-5)
    part = blank()
    part.gradient("white", "white", 0.25, 0.5)
    assert ink(part) == pytest.approx(0.25 * W / H * rgb("white")[0], rel=1e-4)


def test_a_shape_can_shade_from_its_top_to_its_bottom():
    canvas = blank()
    canvas.rect(-0.2, 0.25, 0.2, 0.75, (1, 1, 1), to=(0, 0, 0))
    column = canvas.planes[0, :, W // 2]
    assert column[21] > 0.9 > 0.6 > column[40] > 0.4 > 0.1 > column[58]
    assert (np.diff(column[22:58]) < 0).all()


def test_a_layer_laid_over_is_the_same_as_painting():
    direct, under, layer = blank(), blank(), blank(layer=True)
    for canvas in (direct, under):
        canvas.gradient("sky", "grass")
    for canvas in (direct, layer):
        canvas.circle(0.1, 0.5, 0.2, "red", alpha=0.6)
        canvas.capsule(-0.4, 0.2, 0.3, 0.8, 0.04, "white")
        canvas.glow(0.0, 0.5, 0.3, "sun", 0.2)
    under.overlay(layer.planes[:, 10:], row=10)
    assert np.abs(direct.planes - under.planes)[:, 10:].max() < 1e-5


def test_light_is_added():
    canvas = blank()
    canvas.fill((0.2, 0.3, 0.4))
    canvas.add_light(0.1)
    canvas.add_light((0.1, 0.0, 0.0))
    assert canvas.planes[:, 3, 3] == pytest.approx((0.4, 0.4, 0.5))
    canvas.glow(0.0, 0.5, 0.2, (1, 1, 1), 0.5)
    assert canvas.planes[2, H // 2, W // 2] == pytest.approx(1.0, abs=0.01)
    assert canvas.planes[2, H // 2, W // 2 + round(0.2 * H) + 1] == pytest.approx(0.5)


def test_bytes_are_clipped_and_rounded():
    canvas = blank()
    canvas.fill((-0.5, 0.5, 1.5))
    assert canvas.uint8().shape == (H, W, 3)
    assert (canvas.uint8() == [0, 128, 255]).all()
    out = np.empty((H, W, 3), np.uint8)
    assert canvas.uint8(out=out) is out


def test_a_copy_is_separate_and_pixels_are_a_view():
    canvas = blank()
    other = canvas.copy()
    other.fill("red")
    assert canvas.planes.max() == 0.0
    canvas.pixels[3, 4] = (0.1, 0.2, 0.3)
    assert canvas.planes[:, 3, 4] == pytest.approx((0.1, 0.2, 0.3))


def test_what_lies_outside_changes_nothing():
    canvas = blank()
    for paint in (
        lambda: canvas.circle(9, 9, 0.1, "red"),
        lambda: canvas.rect(-9, -9, -8, -8, "red"),
        lambda: canvas.capsule(5, 0, 6, 0, 0.1, "red"),
        lambda: canvas.polygon(STAR + 7, "red"),
        lambda: canvas.sphere(9, 9, 0.1, 0.1, "red"),
        lambda: canvas.glow(9, 9, 0.1, "red"),
        lambda: canvas.lines(np.array([[8, 8, 9, 9]]), 0.1, "red"),
    ):
        paint()
    assert canvas.planes.max() == 0.0


def test_errors_say_what_to_do():
    with pytest.raises(ValueError, match="positive width"):
        Canvas(0, 5)
    with pytest.raises(ValueError, match="take one of red"):
        blank().fill("mauve-ish")


def test_colors_mix_towards_light_and_shadow():
    assert mix("red", "blue", 0.0) == pytest.approx(PALETTE["red"])
    assert mix("red", "blue", 1.0) == pytest.approx(PALETTE["blue"])
    assert (lighter("red") > rgb("red")).all() and (darker("red") < rgb("red")).all()
