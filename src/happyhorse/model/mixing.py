"""Paths between tokens that belong together, which attention among all of them finds late, if at all.

All start at zero, so that they change nothing about weights that were trained without them.
"""

import math

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Bool, Float
from torch import Tensor, nn

from happyhorse.model.layers import Sizes, linear
from happyhorse.model.tokens import Grid

STEPS = 4  # audio steps in the time of a latent frame; the first frame has one, its last
HEADS = 4  # of the attention to the words
WAVES = 3  # cosines a side of the picture, the constant among them, by which a frame is described


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
        pictures = rearrange(x[:, : grid.tokens], "b (t y x) d -> (b t) d y x", t=grid.frames, y=grid.rows)
        kernel = rearrange(self.weight, "(i j) d -> d 1 i j", i=3).to(x.dtype)
        near = F.conv2d(pictures, kernel, padding=1, groups=len(kernel))
        return _added(x, rearrange(near, "(b t) d y x -> b (t y x) d", t=grid.frames), grid)


class Moving(nn.Module):
    """Tells each video token what its neighbours say, in the picture and in the latent frames before and after.

    What moves is at another place at the next time: a small vector of each token goes through a convolution over
    3 x 3 x 3 tokens. UniFormer (arXiv 2201.04676) begins with such layers, a channel at a time. Attention would have
    to find the place beside at the time beside first (decision 0024).
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        rank = width // 4
        self.say = linear(width, rank, bias=False)
        self.weight = nn.Parameter(torch.zeros(rank, 27 * rank, dtype=torch.float32))
        self.show = linear(rank, width, bias=False)

    def forward(self, x: Float[Tensor, "B L D"], grid: Grid) -> Float[Tensor, "B L D"]:
        """The stream, in which the video tokens of a `grid` come first; beyond the edges of the clip there is 0."""
        said = F.silu(self.say(F.rms_norm(x[:, : grid.tokens].float(), x.shape[-1:])))
        clip = rearrange(said, "b (t y x) r -> b r t y x", t=grid.frames, y=grid.rows)
        kernel = rearrange(self.weight, "o (i t y x) -> o i t y x", t=3, y=3, x=3)
        near = F.conv3d(clip, kernel.to(clip.dtype), padding=1)
        return _added(x, self.show(F.silu(rearrange(near, "b r t y x -> b (t y x) r"))), grid)


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


class Told(nn.Module):
    """Tells picture and sound what the words say: attention to the text alone, whatever its place.

    Among a thousand tokens of the clip thirty words are hardly heard at first, and rotary positions stand between a
    word and what it speaks of (decision 0025). Nothing, of score 0, may be listened to as well, so that a clip without
    words is told nothing.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.ask = linear(width, width // 2, bias=False)
        self.know = linear(width, width, bias=False)
        self.show = linear(width // 2, width, bias=False)

    def forward(
        self, x: Float[Tensor, "B L D"], sizes: Sizes, mask: Bool[Tensor, "B 1 1 L"] | None
    ) -> Float[Tensor, "B L D"]:
        """The stream of `sizes` video, audio and text tokens; `mask` is true where a token may be seen, None: all."""
        begin = sizes[0] + sizes[1]
        normed = F.rms_norm(x.float(), x.shape[-1:])
        words = F.pad(self.know(normed[:, begin:]), (0, 0, 1, 0))  # nothing comes first
        key, value = rearrange(words, "b n (two h d) -> two b h n d", two=2, h=HEADS)
        query = rearrange(self.ask(normed[:, :begin]), "b l (h d) -> b h l d", h=HEADS)
        # written out: with so few words the fused kernel is two to four times slower on a CPU
        scores = query @ key.mT * query.shape[-1] ** -0.5  # [B, H, L, n + 1]
        if mask is not None:
            scores = scores.masked_fill(~F.pad(mask[..., begin:], (1, 0), value=True), float("-inf"))
        heard = scores.softmax(-1).to(value.dtype) @ value
        told = self.show(rearrange(heard, "b h l d -> b l (h d)"))
        return x + F.pad(told, (0, 0, 0, sizes[2])).to(x.dtype)


class Layout(nn.Module):
    """Tells each video token what its whole frame looks like, coarsely.

    Each token says a small vector; WAVES x WAVES low frequencies of a cosine transform over the frame, the mean among
    them, describe what all of them said, for any size of picture. A matrix works on that description, and every token
    reads the result at its own place and multiplies it with what it makes of it. Filters over whole pictures, as in
    GFNet (arXiv 2107.00645), do without the matrix; attention did not even agree on a flash (decision 0023).
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        rank = width // 8
        self.say = linear(width, rank, bias=False)
        self.weigh = linear(WAVES**2 * rank, WAVES**2 * rank, bias=False)
        self.look = linear(width, rank, bias=False)
        self.show = linear(rank, width, bias=False)

    def forward(self, x: Float[Tensor, "B L D"], grid: Grid) -> Float[Tensor, "B L D"]:
        """The stream, in which the video tokens of a `grid` come first."""
        normed = F.rms_norm(x[:, : grid.tokens].float(), x.shape[-1:])
        seen = rearrange(normed, "b (t p) d -> b t p d", t=grid.frames)
        here = self.read(F.silu(self.say(seen)).mT, waves(grid.rows, grid.columns, x.device)).mT
        return _added(x, self.show(here * self.look(seen)).flatten(1, 2), grid)

    def read(self, said: Float[Tensor, "B T r P"], places: Float[Tensor, "P K"]) -> Float[Tensor, "B T r P"]:
        """What is read at each place of each frame, of what was said there; `places` are the `waves`."""
        whole = said @ (places / len(places)).to(said.dtype)  # [B, T, r, K]
        whole = self.weigh(whole.flatten(2)).unflatten(2, whole.shape[2:])
        return whole @ places.T.to(whole.dtype)


class Scene(Layout):
    """Tells each video token what its place, and coarsely the whole picture, says over all of the clip.

    What stands still is in every latent frame, so their mean shows it through four times the noise: which way a horse
    faces, whether a clock is round. Read are the mean over time at the same place, and what the matrix makes of the
    lowest cosines of that mean. Attention would have to find the same place at all other times first, and all places
    for the whole (decision 0026).
    """

    def read(self, said: Float[Tensor, "B T r P"], places: Float[Tensor, "P K"]) -> Float[Tensor, "B 1 r P"]:
        """As for a layout; the same at all times."""
        still = said.mean(1, keepdim=True)
        return still + super().read(still, places)


def _added(x: Tensor, shown: Tensor, grid: Grid) -> Tensor:
    """The stream [B, L, D] with what the video tokens of a `grid` [B, T P, D] are told added to them."""
    return torch.cat([x[:, : grid.tokens] + shown.to(x.dtype), x[:, grid.tokens :]], 1)


def waves(rows: int, columns: int, device: torch.device | None = None) -> Float[Tensor, "P K"]:
    """The K = WAVES^2 lowest cosines over the P places of a picture, in raster order; of mean square 1, or 0.

    Those of the cosine transform of type 2. A side with fewer places than WAVES has none of the higher ones: 0.
    """
    sides = []
    for places in (rows, columns):
        middle = (torch.arange(places, device=device) + 0.5) * (math.pi / places)
        order = torch.arange(WAVES, device=device)
        wave = torch.cos(middle[:, None] * order) * torch.where(order == 0, 1.0, math.sqrt(2.0))
        sides.append(wave * (order < places))  # [places, WAVES]
    return torch.einsum("yi,xj->yxij", *sides).flatten(2).flatten(0, 1)
