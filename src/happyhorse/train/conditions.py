"""Which latent frames and audio steps of a training clip are shown clean: every way of conditioning is one mask.

What stands beside a clip, pictures of its subject or the clip that it is an edit of, makes the stream longer, so it is
there for all clips of a step or for none.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Literal

import torch
from jaxtyping import Bool
from torch import Tensor

from happyhorse.data.references import MOST

Stands = Literal["references", "edit"]
"""What may stand beside the clips of a step, by the name of the field of a request that asks for it."""


@dataclass(frozen=True)
class ConditionConfig:
    """Shares of clips (summing to at most 1) by what is given; the rest is given nothing.

    `references` and `edit` are shares of the steps (summing to at most 1), whose clips are given other things besides.
    """

    first: float = 0.15  # first frame
    last: float = 0.04  # last frame
    both: float = 0.04  # first and last frame
    keys: float = 0.04  # one to three frames anywhere
    prefix: float = 0.06  # the beginning, picture and sound: continuation
    span: float = 0.05  # everything but a span, picture and sound: retake
    references: float = 0.0  # one to three pictures of the subject
    edit: float = 0.0  # the clip before an edit, and what is to be changed in it

    def __post_init__(self) -> None:
        if min(self.references, self.edit) < 0 or self.references + self.edit > 1:
            raise ValueError(
                "references and edit are shares of the steps: >= 0, and they sum to at most 1, got "
                f"{(self.references, self.edit)}"
            )
        shares = (self.first, self.last, self.both, self.keys, self.prefix, self.span)
        if min(shares) < 0 or sum(shares) > 1:
            raise ValueError(f"condition shares must be >= 0 and sum to at most 1, got {shares}")

    @property
    def learnt(self) -> list[str]:
        """What is trained of that which stands beside clips, as `generate.learnt` has it."""
        return [name for name in ("references", "edit") if getattr(self, name)]

    def only(self, known: Collection[str]) -> "ConditionConfig":
        """The same, with shares of 0 for those of `learnt` that are not `known`."""
        return replace(self, **{name: 0.0 for name in self.learnt if name not in known})

    def beside(self, generator: torch.Generator) -> tuple[Stands | None, int]:
        """What stands beside the clips of a step, and how many pictures where it is references: drawn once a step."""
        draw, most = torch.rand(2, generator=generator).tolist()
        if draw < self.references:
            return "references", 1 + int(most * MOST)
        return ("edit" if draw < self.references + self.edit else None), 0


def draw_given(
    count: int, frames: int, config: ConditionConfig, generator: torch.Generator
) -> tuple[Bool[Tensor, "B T"], Bool[Tensor, "B S"]]:
    """Masks of given latent frames [B, T] and audio steps [B, S = 4(T-1)+1]; latent frame t sounds at 4t-3 .. 4t."""
    video = torch.zeros(count, frames, dtype=torch.bool)
    both = torch.zeros(count, frames, dtype=torch.bool)  # frames whose sound is given too
    edges = torch.tensor(
        [config.first, config.last, config.both, config.keys, config.prefix, config.span]
    ).cumsum(0)
    kinds = torch.bucketize(torch.rand(count, generator=generator), edges, right=True).tolist()
    for row, kind in enumerate(kinds):
        if kind in (0, 2):
            video[row, 0] = True
        if kind in (1, 2):
            video[row, -1] = True
        if kind == 3:
            keys = int(torch.randint(1, 4, (), generator=generator))
            video[row, torch.randint(frames, (keys,), generator=generator)] = True
        if kind == 4:
            both[row, : int(torch.randint(1, max(2, frames * 3 // 4), (), generator=generator))] = True
        if kind == 5:
            length = int(torch.randint(max(1, frames // 5), max(2, frames * 3 // 5), (), generator=generator))
            start = int(torch.randint(frames - length + 1, (), generator=generator))
            both[row] = True
            both[row, start : start + length] = False
    audio = torch.cat([both[:, :1], both[:, 1:].repeat_interleave(4, 1)], 1)
    return video | both, audio
