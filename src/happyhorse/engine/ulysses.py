"""One clip on several devices: sequence parallelism by exchange of heads (Ulysses, Jacobs et al. 2023, arXiv
2309.14509).

Every process holds all weights and a contiguous part of the tokens, so norms, projections and MLPs need no exchange.
Around attention one all-to-all trades tokens for heads: each process then sees the *whole* sequence for its share of
the key-value heads and the query heads that belong to them, which leaves windows and masks as they are; a second one
trades back. Lengths and heads may divide unevenly. Processes are started by torchrun:

    torchrun --nproc-per-node 4 -m happyhorse generate PROMPT --model happyhorse-15b
"""

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast

import torch
import torch.distributed as dist
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from happyhorse.model.attention import Window
from happyhorse.model.horse import Horse
from happyhorse.model.layers import Layer


def world() -> tuple[int, int]:
    """(rank, processes) of this process as torchrun says it; (0, 1) where nothing was said."""
    return int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))


def join() -> torch.device:
    """Meet the other processes that torchrun started, and return the device of this one.

    That is the GPU of number LOCAL_RANK (NCCL), or the CPU where there is none (gloo). Raises `ValueError` where
    there are more processes than GPUs.
    """
    device, backend = torch.device("cpu"), "gloo"
    if torch.cuda.is_available():
        index, count = int(os.environ.get("LOCAL_RANK", 0)), torch.cuda.device_count()
        if index >= count:
            raise ValueError(
                f"torchrun started more processes than there are GPUs here ({count}); lower --nproc-per-node"
            )
        device, backend = torch.device("cuda", index), "nccl"
        torch.cuda.set_device(device)
    if not dist.is_initialized():
        dist.init_process_group(backend)
    return device


def leave() -> None:
    """Part from the other processes; nothing happens where they never met."""
    if dist.is_initialized():
        dist.destroy_process_group()


def shares(total: int, parts: int) -> list[int]:
    """`total` things dealt to `parts` owners as evenly as possible, the first ones getting one more."""
    return [total // parts + (part < total % parts) for part in range(parts)]


def check_heads(ranks: int, heads: int) -> None:
    """Raise `ValueError` for more processes than a network has key-value heads to share among them."""
    if ranks > heads:
        raise ValueError(
            f"{ranks} processes cannot share the {heads} key-value heads of this network; start at most {heads}"
        )


def spread(horse: Horse, group: dist.ProcessGroup | None = None) -> Horse:
    """Let `horse` compute its part of every sequence and return whole velocities, the same bits in all processes.

    All processes of `group` (None: all there are) must call it with equal arguments, without gradients. Raises
    `ValueError` for more processes than the network has key-value heads, and for one that mixes tokens which may be
    elsewhere.
    """
    ranks, heads = dist.get_world_size(group), horse.config.num_query_groups
    check_heads(ranks, heads)
    if ranks == 1:
        return horse
    if horse.config.mixes or horse.config.told_layers:
        raise ValueError(
            "a network with near_, moving_, together_, told_, layout_ or scene_layers cannot be shared among "
            "processes; start one"
        )
    part = Part(group, dist.get_rank(group), shares(heads, ranks))
    horse.register_forward_pre_hook(part.cut, with_kwargs=True)
    horse.register_forward_hook(part.join)
    for layer in cast("list[Layer]", horse.block.layers):
        layer.attention.attend = part.attending(layer.attention.attend)
    return horse


@dataclass(eq=False)
class Part:
    """What this process, number `rank` of its `group`, does of the sequence at hand, which all know the lengths of.

    `heads` are key-value heads and `rows` tokens of each process, `sizes` those of the whole sequence, (Lv, La, Lt);
    `mask` [B, 1, 1, L] is true where a token may be seen.
    """

    group: dist.ProcessGroup | None
    rank: int
    heads: list[int]
    rows: list[int] = field(default_factory=list)
    sizes: tuple[int, int, int] = (0, 0, 0)
    mask: Tensor | None = None

    def cut(self, module: Any, args: tuple[Tensor, ...], kwargs: dict[str, Any]) -> tuple[Any, Any]:
        """Own rows of what `Horse.forward` takes: tokens [B, n, C], coordinates [B, L, 9], `given` [B, Lv + La]."""
        video, audio, text, coords = args
        self.sizes = video.shape[1], audio.shape[1], text.shape[1]
        self.rows = shares(sum(self.sizes), len(self.heads))
        words, given = kwargs.pop("text_mask", None), kwargs.pop("given", None)
        media = self.sizes[0] + self.sizes[1]
        self.mask = None if words is None else F.pad(words, (media, 0), value=True)[:, None, None]
        own = (video, 0), (audio, self.sizes[0]), (text, media), (coords, 0)
        kwargs["given"] = None if given is None else self._own(given, 0)
        return tuple(self._own(whole, first) for whole, first in own), kwargs

    def join(self, module: Any, args: Any, own: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """Whole velocities [B, Lv, Cv] and [B, La, Ca] of the own rows of all processes."""
        wholes = []
        for rows, first, count in zip(own, (0, self.sizes[0]), self.sizes, strict=False):
            whole = rows.new_zeros(rows.shape[0], count, rows.shape[2])
            self._own(whole, first).copy_(rows)
            dist.all_reduce(whole, group=self.group)  # a sum in which every row has one term
            wholes.append(whole)
        return wholes[0], wholes[1]

    def _own(self, whole: Float[Tensor, "B n *C"], first: int) -> Float[Tensor, "B own *C"]:
        """The rows of this process, as a view of rows that begin at position `first` of the sequence."""
        begin = sum(self.rows[: self.rank])
        borders = (begin - first, begin + self.rows[self.rank] - first)
        begin, end = (min(max(border, 0), whole.shape[1]) for border in borders)
        return whole[:, begin:end]

    def attending(self, attend: Callable[..., Tensor]) -> Callable[..., Tensor]:
        """`attend` for whole sequences as one that takes and returns the own rows [B, L, H, K] of it."""

        def attend_together(
            q: Tensor, k: Tensor, v: Tensor, mask: None, video_tokens: int, window: Window | None
        ) -> Tensor:
            return self._to_tokens(attend(*self._to_heads(q, k, v), self.mask, self.sizes[0], window))

        return attend_together

    def _to_heads(
        self,
        q: Float[Tensor, "B own H K"],
        k: Float[Tensor, "B own G K"],
        v: Float[Tensor, "B own G K"],
    ) -> tuple[Float[Tensor, "B L h K"], Float[Tensor, "B L g K"], Float[Tensor, "B L g K"]]:
        """All heads of the own tokens, traded for the own heads of all tokens."""
        batch, (ratio, width) = q.shape[0], (q.shape[2] // k.shape[2], q.shape[3])
        grouped = rearrange(q, "b l (g r) d -> g l b r d", r=ratio)
        keyed = (rearrange(t, "b l g d -> g l b 1 d") for t in (k, v))
        sent = torch.cat([grouped, *keyed], 3).flatten()  # by key-value head: query heads, key, value
        here, own, unit = self.heads[self.rank], self.rows[self.rank], batch * (ratio + 2) * width
        got = self.exchange(sent, [n * own * unit for n in self.heads], [here * n * unit for n in self.rows])
        pieces = [t.view(here, -1, batch, ratio + 2, width) for t in got]
        whole = rearrange(torch.cat(pieces, 1), "g l b r d -> b l g r d")
        return whole[..., :ratio, :].flatten(2, 3), whole[..., ratio, :], whole[..., ratio + 1, :]

    def _to_tokens(self, out: Float[Tensor, "B L h K"]) -> Float[Tensor, "B own H K"]:
        """And back."""
        batch, heads, width = out.shape[0], out.shape[2], out.shape[3]
        sent = rearrange(out, "b l h d -> l b h d").flatten()
        own = self.rows[self.rank]
        unit = batch * heads // self.heads[self.rank] * width  # numbers of a token for one key-value head
        got = self.exchange(
            sent, [n * batch * heads * width for n in self.rows], [own * n * unit for n in self.heads]
        )
        return rearrange(torch.cat([t.view(own, batch, -1, width) for t in got], 2), "l b h d -> b l h d")

    def exchange(
        self, sent: Float[Tensor, " n"], give: list[int], take: list[int]
    ) -> tuple[Float[Tensor, " _"], ...]:
        """All-to-all of flat parts: `give[i]` numbers to process i, `take[i]` from it."""
        got = sent.new_empty(sum(take))
        dist.all_to_all_single(got, sent, take, give, group=self.group)
        return got.split(take)
