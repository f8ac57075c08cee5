"""Batches: every clip once an epoch, in an order that depends on seed and step alone."""

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from happyhorse.data.batches import epoch_order, indices, mixed, step_generator


@settings(max_examples=50)
@given(st.integers(1, 50), st.integers(1, 20), st.integers(0, 2**31), st.integers(0, 30))
def test_consecutive_batches_are_shuffled_epochs_laid_end_to_end(
    count: int, batch: int, seed: int, first: int
) -> None:
    steps = range(first, first + 4 + 2 * count // batch)
    row = list(itertools.chain.from_iterable(indices(count, batch, seed, step) for step in steps))
    start = first * batch
    for place in range(-start % count, len(row) - count + 1, count):  # where an epoch begins
        assert row[place : place + count] == epoch_order(count, seed, (start + place) // count).tolist()
        assert sorted(row[place : place + count]) == list(range(count))


def test_orders_differ_by_epoch_and_seed() -> None:
    orders = [tuple(epoch_order(100, seed, epoch).tolist()) for seed in (0, 1) for epoch in (0, 1, 2)]
    assert len(set(orders)) == 6


def test_draws_differ_by_step_and_stream_and_are_the_same_again() -> None:
    draws = {
        (seed, step, stream): float(torch.rand((), generator=step_generator(seed, step, stream)))
        for seed in (0, 1)
        for step in (0, 1, 500)
        for stream in (0, 1, 63)
    }
    assert len(set(draws.values())) == len(draws)
    assert draws[1, 500, 63] == float(torch.rand((), generator=step_generator(1, 500, 63)))


@settings(max_examples=50)
@given(st.lists(st.integers(1, 40), min_size=2, max_size=5), st.integers(1, 12), st.integers(0, 2**31))
def test_a_batch_comes_from_one_set_and_an_epoch_from_all(counts: list[int], batch: int, seed: int) -> None:
    shares = [max(1, round(count / batch)) for count in counts]
    for epoch in (0, 3):
        steps = range(epoch * sum(shares), (epoch + 1) * sum(shares))
        drawn = [mixed(counts, batch, seed, step) for step in steps]
        assert [sum(chosen == i for chosen, _ in drawn) for i in range(len(counts))] == shares
        for i, count in enumerate(counts):
            seen = [clip for chosen, clips in drawn if chosen == i for clip in clips]
            assert len(seen) == shares[i] * batch and set(seen) <= set(range(count))
            if 2 * count - 1 <= batch:  # whatever place in the row of epochs the batch begins at
                assert set(seen) == set(range(count)), "a small set is seen whole"
    assert [mixed(counts, batch, seed, step) for step in steps] == drawn


def test_a_single_set_gives_plain_batches() -> None:
    assert mixed([11], 4, 5, 7) == (0, indices(11, 4, 5, 7))


def test_nothing_makes_no_batch() -> None:
    with pytest.raises(ValueError, match="no clips"):
        indices(0, 4, 0, 0)
