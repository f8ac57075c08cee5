"""What a part of a training batch is cut from: latents of clips, their records, and windows of them."""

from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from happyhorse.data.edits import Edits
from happyhorse.data.references import References
from happyhorse.data.sets import Mixed
from happyhorse.data.shards import Shards


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
    starts = [max(0, int((draw * 1.5 - 0.5) * (latest + 1))) for draw in draws.tolist()]
    pictures = [clip[:, start : start + length] for clip, start in zip(video, starts, strict=True)]
    sounds = [
        wave[4 * start : 4 * (start + length - 1) + 1] for wave, start in zip(audio, starts, strict=True)
    ]
    return torch.stack(pictures), torch.stack(sounds), starts
