"""Attention in tiles: exact where everything is seen, blind beyond its reach, and linear in the area."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from happyhorse.model.attention import Window, attend
from happyhorse.model.tiles import Tiles, _places, attend_tiles
from happyhorse.model.tokens import Grid


def drawn(tokens: int, seed: int = 0) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(2, tokens, heads, 8, generator=generator) for heads in (4, 2, 2)]


def test_windows_that_see_everything_are_plain_attention():
    grid = Grid(3, 5, 6)
    q, k, v = drawn(grid.tokens)
    tiled = attend_tiles(q, k, v, None, grid.tokens, Tiles.over(grid, 3, 4, 6))
    assert torch.allclose(tiled, attend(q, k, v, None, grid.tokens, None), atol=1e-5)
    assert torch.equal(
        attend_tiles(q, k, v, None, grid.tokens, None), attend(q, k, v, None, grid.tokens, None)
    )
    in_time = Window(grid.frame_tokens, 1)
    assert torch.equal(
        attend_tiles(q, k, v, None, grid.tokens, in_time), attend(q, k, v, None, grid.tokens, in_time)
    )


def test_what_is_out_of_reach_has_no_effect():
    """A change in one corner of the last frame is seen near it and nowhere else."""
    grid = Grid(6, 8, 12)
    window = Tiles.over(grid, 1, 4, 1)
    q, k, v = drawn(grid.tokens)
    before = attend_tiles(q, k, v, None, grid.tokens, window)
    v[:, -1] += 10
    changed = (attend_tiles(q, k, v, None, grid.tokens, window) - before).abs().amax((0, 2, 3)).reshape(
        6, 8, 12
    ) > 1e-6
    assert changed[4:, 4:, 8:].all() and not changed[:4].any()
    assert not changed[:, :4].any() and not changed[..., :8].any()


@given(
    st.integers(1, 6),
    st.integers(1, 9),
    st.integers(1, 9),
    st.integers(0, 2),
    st.integers(1, 5),
    st.integers(0, 4),
)
@settings(max_examples=60)
def test_every_token_sees_itself_and_its_surroundings(frames, rows, columns, radius, tile, reach):
    grid = Grid(frames, rows, columns)
    asking, seen, back = _places(Tiles.over(grid, radius, tile, reach), frames, torch.device("cpu"))
    assert sorted(set(asking.flatten().tolist())) == list(range(grid.tokens))
    assert torch.equal(asking.flatten()[back], torch.arange(grid.tokens))
    sizes = (min(frames, 1 + 2 * radius), *(min(n, min(tile, n) + 2 * reach) for n in (rows, columns)))
    assert seen.shape[1] == sizes[0] * sizes[1] * sizes[2], "all tiles see equally many tokens"
    for token in range(grid.tokens):
        t, y, x = token // (rows * columns), token // columns % rows, token % columns
        sees = set(seen[int(back[token]) // asking.shape[1]].tolist())
        for dt, dy, dx in ((0, 0, 0), (radius, reach, reach), (-radius, -reach, -reach)):
            near = (t + dt, y + dy, x + dx)
            if all(0 <= p < n for p, n in zip(near, (frames, rows, columns), strict=True)):
                assert (near[0] * rows + near[1]) * columns + near[2] in sees


def test_cost_grows_with_the_area():
    def pairs(rows: int, columns: int) -> int:
        asking, seen, _ = _places(Tiles.over(Grid(8, rows, columns), 1, 4, 3), 8, torch.device("cpu"))
        return asking.numel() * seen.shape[1]

    assert pairs(32, 48) == pytest.approx(4 * pairs(16, 24), rel=0.01)
