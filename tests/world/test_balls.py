from math import sqrt

import numpy as np
import pytest

from happyhorse.world import balls, rooms, sample, scene
from happyhorse.world.balls import FLOORS, fly
from happyhorse.world.draw import Canvas
from happyhorse.world.palette import rgb
from happyhorse.world.sound import onset

SEEDS = range(40)


def scenes(**wanted):
    made = (sample(seed, 3.0, ["balls"]) for seed in SEEDS)
    return [one for one in made if all(one.attributes.get(key) == value for key, value in wanted.items())]


def test_the_first_impact_of_a_drop_is_where_gravity_puts_it():
    flight = fly(0.6, 0.0, 0.0, 3.0, FLOORS["stone"], 3.0)
    assert flight.start[1] == pytest.approx(sqrt(2 * 0.6 / 3.0))
    assert flight.impact[1] == pytest.approx(sqrt(2 * 3.0 * 0.6))


@pytest.mark.parametrize("floor", FLOORS)
def test_flight_equals_small_steps_of_free_fall(floor):
    flight = fly(0.4, 0.5, 0.2, 3.0, FLOORS[floor], 1.2)
    height, rise, x, drift, dt = 0.4, 0.5, 0.0, 0.2, 1e-5
    for step in range(120_000):
        if step % 10_000 == 0:
            here = flight.at(np.array([step * dt]))
            if flight.gravity[np.searchsorted(flight.start, step * dt, side="right") - 1] == 0:
                break
            assert (here[0][0], here[1][0]) == pytest.approx((x, height), abs=2e-4)
        rise -= 3.0 * dt
        height, x = height + rise * dt, x + drift * dt
        if height < 0:
            height, rise, drift = 0.0, -rise * FLOORS[floor].restitution, drift * FLOORS[floor].grip


def test_each_bounce_is_lower_by_the_square_of_the_restitution():
    flight = fly(0.6, 0.0, 0.0, 3.0, FLOORS["wooden"], 3.0)
    tops = flight.rise[1:4] ** 2 / (2 * 3.0)
    assert tops[1:] / tops[:-1] == pytest.approx(FLOORS["wooden"].restitution ** 2)


def test_a_slow_ball_rests_and_its_drift_dies_out():
    flight = fly(0.05, 0.0, 0.3, 3.0, FLOORS["sand"], 3.0)
    x, height, rise = flight.at(np.array([2.0, 3.0]))
    assert height == pytest.approx([0, 0]) and rise == pytest.approx([0, 0])
    assert x[1] - x[0] < 1e-3 < x[0]


def test_events_are_the_moments_the_balls_touch_the_floor():
    for made in scenes():
        assert made.events
        for event in made.events:
            index = event.attrs["ball"]
            around = event.sample / scene.RATE + np.array([-0.02, 0.0, 0.02])
            y = made.track(around)[f"ball{index}"][:, 1]
            assert y[1] > y[0] - 1e-3 or event.attrs["speed"] < 0.5
            assert made.track(around)[f"ball{index}"][1, 0] == pytest.approx(event.x, abs=1e-3)


def test_the_underside_is_on_the_floor_at_an_impact():
    rng = np.random.default_rng(5)
    for _ in range(20):
        ball = balls._drop(rng, "red", "big", 3.0, FLOORS["stone"], (-0.5, 0.5), 3.0)
        _, y, squash = ball.center(ball.flight.start[1:])
        assert y + ball.radius * squash == pytest.approx(np.full(len(y), ball.ground))
        assert (squash < 1.0).all()
        _, y, squash = ball.center(np.linspace(0, 3, 500))
        assert (y + ball.radius * squash <= ball.ground + 1e-9).all()
        assert (y - ball.radius * squash > -0.02).all()


def test_the_picture_shows_the_ball_where_the_track_says():
    for made in scenes(color="red", count=1) + scenes(color="purple", count=1):
        times = np.array([0.1, 0.9, 1.7])
        for t, (x, y) in zip(times, made.track(times)["ball0"], strict=True):
            with_ball, without = Canvas(350, 200), Canvas(350, 200)
            for canvas in (with_ball, without):
                made.backdrop(canvas)
            made.paint(with_ball, float(t))
            hue = rgb(str(made.attributes["color"]))
            pixels, changed = with_ball.pixels, np.abs(with_ball.pixels - without.pixels).sum(axis=2) > 0.02
            alike = (pixels @ hue) / np.linalg.norm(pixels, axis=2).clip(0.05) / np.linalg.norm(hue) > 0.985
            rows, columns = np.nonzero(alike & changed)
            assert len(rows) > 100
            assert (columns.min() + columns.max() + 1) / 2 / 200 - 0.875 == pytest.approx(x, abs=0.012)
            assert np.median(rows) / 200 == pytest.approx(y, abs=0.035)


def test_nothing_sounds_before_the_first_impact_and_every_impact_starts_at_its_sample():
    for made in scenes()[:12]:
        for rate in (16_000, 48_000):
            wave = made.sound(rate)
            first = onset(made.events[0].sample, rate)
            assert not wave[:first].any()
            assert np.abs(wave[first : first + rate // 500]).max() > 0.05 * np.abs(wave).max()


def test_faster_impacts_are_louder():
    made = next(one for one in scenes(floor="stone", count=1) if len(one.events) >= 3)
    wave = made.sound(16_000)
    peaks = [np.abs(wave[event.sample : event.sample + 800]).max() for event in made.events[:3]]
    assert peaks[0] > peaks[2]


def test_two_balls_differ_and_the_first_is_the_left_one():
    pairs = scenes(count=2)
    assert len(pairs) > 5
    for made in pairs:
        facts = made.attributes
        assert facts["color"] != facts["color2"] and facts["size"] != facts["size2"]
        assert facts["wall"] not in (facts["color"], facts["color2"])
        track = made.track(np.linspace(0, 3, 50))
        assert (track["ball0"][:, 0] < track["ball1"][:, 0]).all()
        assert np.abs(np.concatenate([track["ball0"], track["ball1"]])[:, 0]).max() < 0.58


def test_captions_name_the_colors_and_never_use_heldout_wordings():
    for made in scenes():
        colors = [made.attributes[key] for key in ("color", "color2") if key in made.attributes]
        for caption in (*made.captions, *made.heldout):
            assert "ball" in caption and all(str(color) in caption.lower() for color in colors)
            assert "{" not in caption and "  " not in caption
    assert not set(balls.ONE + balls.TWO) & set(balls.ONE_HELDOUT + balls.TWO_HELDOUT)


def test_first_impacts_vary_and_everything_occurs():
    made = scenes()
    assert np.std([one.events[0].sample / scene.RATE for one in made]) > 0.12
    assert {one.attributes["floor"] for one in made} == set(FLOORS) == set(rooms.FLOORS)


@pytest.mark.parametrize("floor", rooms.FLOORS)
@pytest.mark.parametrize("decor", rooms.DECORS)
def test_every_floor_and_wall_can_be_painted(floor, decor):
    canvas = Canvas(70, 40)
    rooms.paint_wall(canvas, "blue", decor, 0.65, np.random.default_rng(1))
    rooms.paint_floor(canvas, floor, 0.65, np.random.default_rng(1))
    assert np.isfinite(canvas.planes).all() and (canvas.planes.min(axis=(1, 2)) >= -1e-5).all()
    assert canvas.planes[2, 5].mean() > canvas.planes[0, 5].mean()  # the wall is blue
