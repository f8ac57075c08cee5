"""Which clips make the batch of a step: a pure function of (seed, step), so that resuming needs no reader state."""

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


def step_generator(seed: int, step: int, stream: int = 0) -> torch.Generator:
    """The generator of all random draws of one step; `stream` separates ranks or purposes."""
    return torch.Generator().manual_seed((seed * 1_000_003 + step) * 64 + stream + 7)
