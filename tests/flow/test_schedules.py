"""Schedules against the values of 15B spec sections 4.1 and 5."""

import pytest
import torch

from happyhorse.flow import schedules

PUBLISHED = {
    8: [0.9997998, 0.9720060, 0.9372655, 0.8926018, 0.8330554, 0.7496998, 0.6246874, 0.4163888, 0],
    5: [0.9998, 0.952154, 0.882093, 0.768935, 0.555247, 0],
}


@pytest.mark.parametrize("steps", PUBLISHED)
def test_published_schedules(steps):
    want = torch.tensor(PUBLISHED[steps])
    torch.testing.assert_close(schedules.shifted(steps), want, atol=1e-6, rtol=0)


def test_published_schedule_of_32_steps():
    grid = schedules.shifted(32)
    ends = [0.9998, 0.993386, 0.986634, 0.535408, 0.480473, 0.416389, 0.340661, 0.249800, 0.138765, 0]
    torch.testing.assert_close(grid[[0, 1, 2, *range(-7, 0)]], torch.tensor(ends), atol=1e-6, rtol=0)
    steps = schedules.timesteps(grid).tolist()
    assert steps[:3] == [999, 993, 986] and steps[-6:] == [535, 480, 416, 340, 249, 138] and len(steps) == 32


def test_general_schedules():
    torch.testing.assert_close(schedules.shifted(4, 1.0, 1.0), torch.tensor([1, 0.75, 0.5, 0.25, 0]))
    pair = schedules.paired(16, {"video": 3.0, "audio": 1.5})
    ratio = torch.logit(pair["video"][:-1].double()) - torch.logit(pair["audio"][:-1].double())
    torch.testing.assert_close(ratio, torch.full_like(ratio, 2.0).log(), atol=1e-3, rtol=0)
    for grid in pair.values():
        assert (grid.diff() < 0).all() and grid[-1] == 0 and grid.dtype == torch.float32
    with pytest.raises(ValueError, match="at least 1"):
        schedules.shifted(0)
    with pytest.raises(ValueError, match=r"\(0, 1\]"):
        schedules.shifted(4, start=1.5)


def test_corruption_table():
    table = schedules.corruption_table()
    want = torch.tensor([0.999575, 0.941680, 0.8389104, 0.490937, 0.0])
    torch.testing.assert_close(table[[0, 100, 220, 500, 999]], want, atol=1e-6, rtol=0)
    assert table.shape == (1000,) and (table.diff() < 0).all() and table[-1] == 0
    assert (1 - table[220] ** 2).sqrt().item() == pytest.approx(0.5442696, abs=1e-6)
