"""Which clips make the batch of a step: a pure function of (seed, step), so that resuming needs no reader state."""

from collections.abc import Sequence

import torch


def epoch_order(count: int, seed: int, epoch: int) -> torch.Tensor:
    """A permutation [count] of clip indices, int64, another one for each `epoch`."""
    generator = torch.Generator().manual_seed(seed * 1_000_003 + epoch)
    return torch.randperm(count, generator=generator)


def indices(count: int, batch: int, seed: int, step: int) -> list[int]:
    """Clip indices of the batch of `step` (from 0): consecutive places of the endless row of shuffled epochs."""
    if count < 1:
        raise ValueError("no clips to make a batch from")
    places = range(step * batch, (step + 1) * batch)
    orders = {epoch: epoch_order(count, seed, epoch) for epoch in {place // count for place in places}}
    return [int(orders[place // count][place % count]) for place in places]


def mixed(counts: Sequence[int], batch: int, seed: int, step: int) -> tuple[int, list[int]]:
    """The set that the batch of `step` comes from, among sets of `counts` clips, and its clip indices there.

    A batch holds clips of one set, because clips of several shapes cannot be stacked. In every epoch each set has as
    many batches as its clips fill, rounded, at least one, in random order; a set with fewer clips than a batch repeats
    them. A single set gives the batches of `indices`.
    """
    if len(counts) == 1:
        return 0, indices(counts[0], batch, seed, step)
    shares = [max(1, round(count / batch)) for count in counts]
    epoch, slot = divmod(step, sum(shares))
    place = int(epoch_order(sum(shares), seed, epoch)[slot])
    for chosen, share in enumerate(shares):
        if place < share:
            return chosen, indices(counts[chosen], batch, seed + 1 + chosen, epoch * share + place)
        place -= share
    raise AssertionError("a place lies in one of the shares")


def step_generator(seed: int, step: int, stream: int = 0) -> torch.Generator:
    """The generator of all random draws of one step; `stream` separates ranks or purposes."""
    return torch.Generator().manual_seed((seed * 1_000_003 + step) * 64 + stream + 7)
