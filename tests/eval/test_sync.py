"""Matching, offsets and their control on made-up events with known answers."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from happyhorse.eval import sync
from happyhorse.eval.sync import Moments

times = st.lists(st.floats(0, 3), max_size=12).map(lambda values: np.array(sorted(values)))


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@given(times, times, st.floats(0.01, 1))
def test_pairs_are_one_to_one_and_within_the_window(seen, heard, window):
    pairs = sync.match(seen, heard, window)
    assert len(pairs) <= min(len(seen), len(heard))
    if len(pairs):
        assert np.abs(pairs[:, 1] - pairs[:, 0]).max() <= window
    for column, source in zip(pairs.T, (seen, heard), strict=True):
        for value in set(column.tolist()):
            assert (column == value).sum() <= (source == value).sum()
    # nothing that could be paired is left over
    spare_seen = [t for t in seen if (pairs[:, 0] == t).sum() < (seen == t).sum()]
    spare_heard = [t for t in heard if (pairs[:, 1] == t).sum() < (heard == t).sum()]
    assert all(abs(a - b) > window for a in spare_seen for b in spare_heard)


@given(times, times)
def test_offset_changes_sign_with_the_roles(seen, heard):
    there, back = sync.offsets(Moments(seen, heard)), sync.offsets(Moments(heard, seen))
    assert np.sort(np.abs(there)) == pytest.approx(np.sort(np.abs(back)))


def clips(offset: float, count: int = 20, jitter: float = 0.0, seed: int = 0) -> list[Moments]:
    """Clips of five events each, at irregular times, with the sound `offset` s late."""
    draws = rng(seed)
    out = []
    for _ in range(count):
        seen = np.cumsum(draws.uniform(0.3, 0.7, 5))
        out.append(Moments(seen, np.sort(seen + offset + jitter * draws.standard_normal(5))))
    return out


def test_a_late_sound_has_a_positive_offset():
    result = sync.measure(clips(0.080), rng())
    assert result.median.value == pytest.approx(80) and result.mae.value == pytest.approx(80)
    assert result.within.value == 1.0 and result.recall.value == 1.0 and result.matched == 100
    early = sync.measure(clips(-0.080), rng())
    assert early.median.value == pytest.approx(-80) and early.within.value == 0.0


def test_limits_are_those_of_the_recommendation():
    for offset, inside in ((-0.046, 0), (-0.044, 1), (0.124, 1), (0.126, 0)):
        assert sync.measure(clips(offset), rng()).within.value == inside


def test_missing_and_spare_sounds_show_in_recall_and_precision():
    whole = clips(0.0)
    fewer = [Moments(clip.seen, clip.heard[:3]) for clip in whole]
    result = sync.measure(fewer, rng())
    assert result.recall.value == pytest.approx(0.6) and result.precision.value == 1.0
    assert result.within.value == pytest.approx(0.6)
    more = [Moments(clip.seen[:3], clip.heard) for clip in whole]
    assert sync.measure(more, rng()).precision.value == pytest.approx(0.6)


def test_silence_is_undefined_not_perfect():
    result = sync.measure([Moments(np.array([1.0, 2.0]), np.zeros(0))] * 3, rng())
    assert math.isnan(result.median.value) and math.isnan(result.precision.value)
    assert result.within.value == 0.0 and result.recall.value == 0.0


def test_the_control_tells_sync_from_chance():
    good = clips(0.0, 40, jitter=0.01)
    own, control = sync.measure(good, rng()), sync.measure(sync.shuffled(good), rng())
    assert own.mae.high < 15 and control.mae.low > 50
    assert own.within.low > 0.9 and control.within.high < 0.6
    # clips whose sound has nothing to do with the picture look like their control
    seen, heard = clips(0.0, 40, seed=1), clips(0.0, 40, seed=2)
    chance = [Moments(a.seen, b.heard) for a, b in zip(seen, heard, strict=True)]
    own, control = sync.measure(chance, rng()), sync.measure(sync.shuffled(chance), rng())
    assert abs(own.mae.value - control.mae.value) < 15
    assert own.mae.low < control.mae.value < own.mae.high


@given(st.integers(0, 9), st.integers(1, 4))
def test_shuffled_pictures_never_keep_their_own_sound(count, rounds):
    marked = [Moments(np.array([float(i)]), np.array([float(i)])) for i in range(count)]
    mixed = sync.shuffled(marked, rounds)
    assert all(clip.seen[0] != clip.heard[0] for clip in mixed)
    assert len(mixed) == (count * min(rounds, count - 1) if count > 1 else 0)
    assert len({(clip.seen[0], clip.heard[0]) for clip in mixed}) == len(mixed)
