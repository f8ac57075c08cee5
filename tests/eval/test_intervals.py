"""Intervals: published values, coverage, edge cases."""

import math

import numpy as np
import pytest

from happyhorse.eval.intervals import Figure, bootstrap, share


def test_wilson_interval():
    figure = share(81, 263)  # Newcombe 1998, table I
    assert (figure.low, figure.high) == pytest.approx((0.2553, 0.3662), abs=1e-4)
    assert share(0, 20).low == 0.0 and share(0, 20).high == pytest.approx(0.1611, abs=1e-4)
    assert share(20, 20).high == 1.0
    assert math.isnan(share(0, 0).value)


def test_bootstrap_covers_the_mean_about_19_times_in_20():
    draws, hits = np.random.default_rng(0), 0
    for _ in range(200):
        figure = bootstrap(draws.standard_normal(40).tolist(), lambda x: float(np.mean(x)), draws, 200)
        hits += figure.low <= 0.0 <= figure.high
    assert 176 <= hits <= 198


def test_bootstrap_draws_whole_clips():
    clips = [[0.0] * 50, [1.0] * 50] * 3  # events of a clip agree: 300 events are worth no more than 6
    figure = bootstrap(clips, lambda x: float(np.mean(np.concatenate(x))), np.random.default_rng(0))
    assert figure.value == 0.5 and figure.high - figure.low > 0.5


def test_what_is_undefined_stays_undefined():
    figure = bootstrap([1.0], lambda x: math.nan, np.random.default_rng(0))
    assert math.isnan(figure.value) and math.isnan(figure.low)
    assert figure.text() == "n/a"


def test_text():
    assert Figure(12.34, 10.06, 14.9).text() == "12.3 [10.1, 14.9]"
    assert Figure(0.5, 0.25, 0.75).text(2) == "0.50 [0.25, 0.75]"
