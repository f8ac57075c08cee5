"""Paths between tokens of one place or one time, which attention finds late, if at all.

Both start at zero, so that they change nothing about weights that were trained without them.
"""

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from happyhorse.model.layers import Sizes, linear
from happyhorse.model.tokens import Grid

STEPS = 4  # audio steps in the time of a latent frame; the first frame has one, its last


class Near(nn.Module):
    """Adds to each video token a learned share, channel by channel, of itself and its neighbours in the picture.

    A depthwise convolution, as in the feed-forward blocks of SANA (arXiv 2410.10629). Attention finds the same place
    at other times early in training, and the places beside it late, if at all (decision 0018).
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(9, width, dtype=torch.float32))

    def forward(self, x: Float[Tensor, "B L D"], grid: Grid) -> Float[Tensor, "B L D"]:
        """The stream, in which the video tokens of a `grid` come first; beyond the edge of the picture there is 0."""
        video, rest = x[:, : grid.tokens], x[:, grid.tokens :]
        pictures = rearrange(video, "b (t y x) d -> (b t) d y x", t=grid.frames, y=grid.rows)
        kernel = rearrange(self.weight, "(i j) d -> d 1 i j", i=3).to(x.dtype)
        near = F.conv2d(pictures, kernel, padding=1, groups=len(kernel))
        near = rearrange(near, "(b t) d y x -> b (t y x) d", t=grid.frames)
        return torch.cat([video + near, rest], 1)


class Together(nn.Module):
    """Tells the video tokens of a latent frame what sounds meanwhile, and the sound what is seen.

    What the other side says, and what a token makes of it, are two small vectors that are multiplied: so lips can
    follow a voice while the wall behind them does not. Attention would have to find the same time among all others
    first, and did not (decision 0020).
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        rank = width // 4
        self.hear = linear(STEPS * width, rank, bias=False)
        self.look = linear(width, rank, bias=False)
        self.show = linear(rank, width, bias=False)
        self.watch = linear(width, STEPS * rank, bias=False)
        self.listen = linear(width, rank, bias=False)
        self.tell = linear(rank, width, bias=False)

    def forward(self, x: Float[Tensor, "B L D"], grid: Grid, sizes: Sizes) -> Float[Tensor, "B L D"]:
        """The stream, in which the video tokens of a `grid` come first and its sound first of the audio tokens.

        `sizes` are the numbers of all video, audio and text tokens.
        """
        begin, steps = sizes[0], min(sizes[1], STEPS * (grid.frames - 1) + 1)
        normed = F.rms_norm(x.float(), x.shape[-1:])
        seen = rearrange(normed[:, : grid.tokens], "b (t p) d -> b t p d", t=grid.frames)
        heard = normed[:, begin : begin + steps]
        padded = F.pad(heard, (0, 0, STEPS - 1, STEPS * (grid.frames - 1) + 1 - steps))
        sound = self.hear(rearrange(padded, "b (t s) d -> b t 1 (s d)", s=STEPS))  # [B, T, 1, r]
        video = self.show(F.silu(sound) * self.look(seen)).flatten(1, 2)  # [B, T P, D]
        picture = rearrange(F.silu(self.watch(seen)).mean(2), "b t (s r) -> b (t s) r", s=STEPS)
        picture = picture[:, STEPS - 1 : STEPS - 1 + steps]  # [B, S, r]
        audio = self.tell(picture * self.listen(heard))  # [B, S, D]
        between, after = begin - grid.tokens, x.shape[1] - begin - steps
        return x + torch.cat([F.pad(video, (0, 0, 0, between)), F.pad(audio, (0, 0, 0, after))], 1).to(
            x.dtype
        )
