"""Frames as files and renders have them, and as codecs do."""

import torch
from jaxtyping import Float, UInt8
from torch import Tensor


def as_video(frames: UInt8[Tensor, "*B F H W 3"]) -> Float[Tensor, "*B 3 F H W"]:
    """Frames as video in [-1, 1], float32, where they are."""
    return frames.movedim(-1, -4).float() / 127.5 - 1


def as_frames(video: Float[Tensor, "*B 3 F H W"]) -> UInt8[Tensor, "*B F H W 3"]:
    """Video in [-1, 1] as frames, rounded; what lies outside is brought to the ends."""
    return (video.float().clamp(-1, 1) * 127.5 + 127.5).round().to(torch.uint8).movedim(-4, -1)
