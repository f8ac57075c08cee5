"""Attention within space and time: tokens of a tile see what lies around it, so that cost grows linearly with area."""

from dataclasses import dataclass
from functools import lru_cache

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from happyhorse.model.attention import Window, attend, grouped
from happyhorse.model.tokens import Grid


@dataclass(frozen=True)
class Tiles(Window):
    """Reach of local layers in time (`radius` frames) and in space.

    The tokens of a frame, `rows` x `columns`, are taken in tiles of at most `tile` rows and columns. A tile sees
    `reach` tokens beyond each of its sides. At the border of the picture or of the clip it sees as much further on
    the other side, so that all tiles see equally many tokens.
    """

    rows: int = 1
    columns: int = 1
    tile: int = 4
    reach: int = 3

    @classmethod
    def over(cls, grid: Grid, radius: int, tile: int, reach: int) -> "Tiles":
        """The tiles of a grid of tokens."""
        return cls(grid.frame_tokens, radius, grid.rows, grid.columns, tile, reach)


def attend_tiles(
    q: Float[Tensor, "B L H K"],
    k: Float[Tensor, "B L G K"],
    v: Float[Tensor, "B L G K"],
    mask: Bool[Tensor, "B 1 1 L"] | None,
    video_tokens: int,
    window: Window | None,
) -> Float[Tensor, "B L H K"]:
    """`model.attention.attend` for a sequence of video tokens alone; layers that are not local see all of it."""
    if not isinstance(window, Tiles):
        return attend(q, k, v, mask, video_tokens, window)
    assert mask is None and q.shape[1] == video_tokens, "super-resolution sees the picture alone"
    asking, seen, back = _places(window, video_tokens // window.frame_tokens, q.device)
    tiles, batch = len(asking), len(q)
    q, k, v = (t[:, at].flatten(0, 1) for t, at in ((q, asking), (k, seen), (v, seen)))  # [B tiles, n, H, K]
    return grouped(q, k, v, None).unflatten(0, (batch, tiles)).flatten(1, 2)[:, back]


@lru_cache(maxsize=16)
def _places(
    window: Tiles, frames: int, device: torch.device
) -> tuple[Int[Tensor, "tiles n"], Int[Tensor, "tiles m"], Int[Tensor, " L"]]:
    """Tokens of each tile, tokens that it sees, and for every token its place among those of all tiles."""
    axes = (
        _spans(frames, 1, window.radius),
        _spans(window.rows, window.tile, window.reach),
        _spans(window.columns, window.tile, window.reach),
    )
    grid = torch.arange(frames * window.frame_tokens).reshape(frames, window.rows, window.columns)
    asking, seen = [], []
    for t, t_seen in axes[0]:
        for y, y_seen in axes[1]:
            for x, x_seen in axes[2]:
                asking.append(grid[t, y, x].flatten())
                seen.append(grid[t_seen, y_seen, x_seen].flatten())
    places = torch.empty(grid.numel(), dtype=torch.int64)
    flat = torch.cat(asking)
    places[flat] = torch.arange(len(flat))  # a token of two tiles is taken from either
    return torch.stack(asking).to(device), torch.stack(seen).to(device), places.to(device)


def _spans(length: int, tile: int, reach: int) -> list[tuple[slice, slice]]:
    """Tiles of one length that cover an axis, and what each sees of it, also of one length; the last may overlap."""
    tile = min(tile, length)
    wide = min(tile + 2 * reach, length)
    starts = sorted({min(start, length - tile) for start in range(0, length, tile)})
    sees = [min(max(0, start - reach), length - wide) for start in starts]
    return [(slice(s, s + tile), slice(w, w + wide)) for s, w in zip(starts, sees, strict=True)]
