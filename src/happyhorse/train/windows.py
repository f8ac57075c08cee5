"""What a part of a training batch is cut from: latents of clips, their records, and windows of them."""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from happyhorse.config import Count, Range, Share
from happyhorse.data.batches import step_generator
from happyhorse.data.edits import Edits
from happyhorse.data.references import References
from happyhorse.data.sets import Mixed
from happyhorse.data.shards import Shards
from happyhorse.train.conditions import ConditionConfig, Stands

BESIDE_STREAM = 62  # random draws that all parts of a step agree on: what stands beside the clips


@dataclass(frozen=True)
class WindowConfig:
    """Lengths of windows in latent frames, shares of the steps, and how many times as many clips a step of each has.

    The rest of the steps has whole clips. Raises ValueError for lists that do not belong together.
    """

    lengths: tuple[Annotated[int, Range(2)], ...] = ()
    length_shares: tuple[Share, ...] = ()
    length_batches: tuple[Count, ...] = ()

    def __post_init__(self) -> None:
        sizes = {len(self.lengths), len(self.length_shares), len(self.length_batches)}
        if len(sizes) > 1 or sum(self.length_shares) > 1:
            raise ValueError(
                "lengths, length_shares (summing to at most 1) and length_batches go together, one each a length"
            )
        if min(self.lengths, default=2) < 2 or min(self.length_batches, default=1) < 1:
            raise ValueError(
                "a window has 2 or more latent frames (lengths), and length_batches are 1 or more"
            )

    def window(self, draw: float) -> tuple[int | None, int]:
        """Latent frames of a step (None: whole clips) and its share of more clips, by a uniform `draw` in [0, 1)."""
        edges = itertools.accumulate(self.length_shares)
        for length, more, edge in zip(self.lengths, self.length_batches, edges, strict=True):
            if draw < edge:
                return length, more
        return None, 1


@dataclass(frozen=True, eq=False)
class Sets:
    """Clips to learn from, and those of the steps that show something beside them, by what that is."""

    clips: Shards | Mixed
    beside: Mapping[Stands, Edits | References] = field(default_factory=dict)

    @property
    def sources(self) -> list[tuple[list[str], int]]:
        """The names of the folders that all of it is read from, and how many clips of them: what decides a draw."""
        every: list[Shards | Mixed] = [self.clips]
        for some in self.beside.values():
            every += [some.shards] if isinstance(some, Edits) else [some.clips, some.stills]
        return [(shards.names, len(shards)) for shards in every]

    def check(self, conditions: ConditionConfig) -> None:
        """Raise ValueError where the shares of `conditions` ask for clips that are not there."""
        if missing := [name for name in conditions.learnt if name not in self.beside]:
            raise ValueError(
                f"there are no clips for {' and '.join(missing)}: give them beside the others, or set their shares in "
                "flow.flow.conditions to 0"
            )

    def batch(
        self, conditions: ConditionConfig, size: int, parts: int, seed: int, step: int
    ) -> tuple[Shards | Mixed | Edits | References, list[int], int]:
        """The clips of a step and the set they are of, and how many pictures stand beside each where it is references.

        There are `size` of them; of edits half as many, as each is seen beside its source, but one for each of `parts`.
        """
        stands, pictures = conditions.beside(step_generator(seed, step, BESIDE_STREAM))
        if stands is None:
            return self.clips, self.clips.batch(size, seed, step), 0
        data = self.beside[stands]
        return data, data.batch(max(parts, size // 2) if stands == "edit" else size, seed, step), pictures


def read(
    shards: Shards | Mixed | Edits | References, clips: list[int]
) -> tuple[Float[Tensor, "B C T Y X"], Float[Tensor, "B S Ca"], list[dict[str, Any]]]:
    """Video and audio latents of `clips`, float32, and their records."""
    rows: list[Any] = [shards[i] for i in clips]
    video, audio = (torch.stack([row[half] for row in rows]).float() for half in (0, 1))
    return video, audio, [row[2] for row in rows]


def has_sound(records: list[dict[str, Any]]) -> Bool[Tensor, " B"]:
    """Which clips have sound; only records of files say that they have none."""
    return torch.tensor([record.get("has_audio", True) for record in records])


def begin(draw: float, latest: int) -> int:
    """Where a window starts, 0 to `latest` latent frames into its clip, by a uniform `draw` in [0, 1): a third at 0."""
    return max(0, int((draw * 1.5 - 0.5) * (latest + 1)))


def cut(
    video: Float[Tensor, "B C T Y X"],
    audio: Float[Tensor, "B S Ca"],
    length: int | None,
    generator: torch.Generator,
) -> tuple[Float[Tensor, "B C t Y X"], Float[Tensor, "B s Ca"], list[int]]:
    """Windows of `length` latent frames t (None: all there are) with their sound, and the frames that they start at.

    A third of them start where the clip does. Of a later one the sound begins with the last pixel frame of its first
    latent frame, so that sound and picture stand to each other as they do from the start.
    """
    if length is None or length >= video.shape[2]:
        return video, audio, [0] * len(video)
    latest = video.shape[2] - length
    draws = torch.rand(len(video), generator=generator)
    starts = [begin(draw, latest) for draw in draws.tolist()]
    pictures = [clip[:, start : start + length] for clip, start in zip(video, starts, strict=True)]
    sounds = [
        wave[4 * start : 4 * (start + length - 1) + 1] for wave, start in zip(audio, starts, strict=True)
    ]
    return torch.stack(pictures), torch.stack(sounds), starts
