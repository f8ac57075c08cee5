"""Impact times from closed-form paths, finer than a frame."""

import numpy as np
import pytest

from happyhorse.eval import bounce

FRAME = 0.04


def fall(first: float, speed: float, restitution: float, gravity: float = 3.0, seconds: float = 3.0):
    """Rows [F] of the underside of a ball (ground at row 110 of 128), its impact times in s; impact at `first`."""
    times, up, t = [first], speed * restitution, first
    pieces = [(0.0, first, speed)]
    while up > 0.3:
        pieces.append((t, t + 2 * up / gravity, up))
        t += 2 * up / gravity
        times.append(t)
        up *= restitution
    grid = np.arange(round(seconds / FRAME)) * FRAME
    height = np.zeros(len(grid))
    height = np.where(grid < first, speed * (first - grid) - gravity / 2 * (first - grid) ** 2, height)
    for start, end, v in pieces[1:]:
        inside = (grid >= start) & (grid < end)
        height = np.where(inside, v * (grid - start) - gravity / 2 * (grid - start) ** 2, height)
    return 110 - 128 * height, np.array([x for x in times if x < seconds - 0.15])


@pytest.mark.parametrize("first", [0.411, 0.42, 0.4301, 0.44])
@pytest.mark.parametrize("restitution", [0.85, 0.6])
def test_impacts_of_a_bouncing_ball(first, restitution):
    rows, times = fall(first, 1.6, restitution)
    found = bounce.impacts(rows, 128) * FRAME
    assert len(found) == len(times)
    # the first arcs are long; the last bounces before rest have only a few frames
    assert np.abs(found[:2] - times[:2]).max() < 0.002
    assert np.abs(found - times).max() < 0.012


def test_noise_of_a_third_of_a_pixel_costs_a_few_milliseconds():
    errors = []
    for seed in range(10):
        rows, times = fall(0.4 + 0.004 * seed, 1.7, 0.8)
        noisy = rows + np.random.default_rng(seed).normal(0, 0.3, len(rows))
        found = bounce.impacts(noisy, 128) * FRAME
        errors += [np.abs(found - time).min() for time in times]
    assert np.median(errors) < 0.005 and np.mean(errors) < 0.010


def test_short_gaps_are_bridged_and_nothing_seen_gives_nothing():
    rows, times = fall(0.42, 1.6, 0.8)
    rows[[3, 25, 26]] = np.nan
    assert np.abs(bounce.impacts(rows, 128)[0] * FRAME - times[0]) < 0.005
    assert len(bounce.impacts(np.full(75, np.nan), 128)) == 0


@pytest.mark.parametrize(
    "rows", [np.full(75, 60.0), np.linspace(10, 110, 75), 60 + 40 * np.sin(np.arange(75) / 8)]
)
def test_no_impact_where_nothing_strikes(rows):
    assert len(bounce.impacts(rows, 128)) == 0
    assert len(bounce.blows(rows, 128)) == 0


def swing(hits: list[float], give: float = 0.0, seconds: float = 3.0) -> np.ndarray:
    """Rows of a hammer that rests after each hit, rises, and falls with constant acceleration within 0.14 s."""
    grid = np.arange(round(seconds / FRAME)) * FRAME
    rows = np.full(len(grid), 40.0)
    for index, hit in enumerate(hits):
        floor, fall = 100 + give * index, 0.14
        falling = (grid >= hit - fall) & (grid < hit)
        rows = np.where(falling, 40 + (floor - 40) * ((grid - hit + fall) / fall) ** 2, rows)
        rising = (grid >= hit) & (grid < hit + 0.36)
        rows = np.where(
            rising, floor + give - (floor + give - 40) * np.clip((grid - hit - 0.04) / 0.32, 0, 1), rows
        )
    return rows


@pytest.mark.parametrize("give", [0.0, 4.0])
@pytest.mark.parametrize("shift", [0.001, 0.013, 0.025, 0.039])
def test_blows_of_a_hammer(give, shift):
    hits = [0.6 + shift, 1.3 + shift, 2.1 + shift]
    found = bounce.blows(swing(hits, give), 128) * FRAME
    assert len(found) == 3
    assert np.abs(found - hits).max() < 0.005
