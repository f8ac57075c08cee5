"""Pictures of what a model under training makes: rows of frames, and spectrograms."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor


def frame_row(video: Float[Tensor, "3 F H W"], count: int = 8) -> np.ndarray:
    """`count` evenly spaced frames of a video in [-1, 1], side by side: uint8 [H, count*W, 3]."""
    picks = torch.linspace(0, video.shape[1] - 1, count).round().long()
    frames = ((video[:, picks].clamp(-1, 1) + 1) * 127.5).round().byte()
    return frames.permute(2, 1, 3, 0).flatten(1, 2).numpy()


def spectrogram(mel: Float[Tensor, "frames bands"]) -> np.ndarray:
    """A log-mel as a grey picture, low bands at the bottom: uint8 [bands, frames, 3]."""
    level = ((mel.float() + 9.2) / 9.2).clamp(0, 1).T.flip(0)
    return (level * 255).byte()[..., None].expand(-1, -1, 3).numpy()


def save_frames(path: Path, videos: Sequence[Float[Tensor, "3 F H W"]]) -> None:
    """Write a PNG with one row of frames a video."""
    _save(path, np.concatenate([frame_row(video) for video in videos]))


def save_spectrograms(path: Path, mels: Sequence[Float[Tensor, "frames bands"]]) -> None:
    """Write a PNG with one spectrogram a row."""
    _save(path, np.concatenate([np.pad(spectrogram(mel), ((0, 4), (0, 0), (0, 0))) for mel in mels]))


def save_sheet(path: Path, clips: Sequence[tuple[Tensor, Tensor]]) -> None:
    """Write a PNG with a row a clip: frames of the video [3, F, H, W] and the spectrogram of its mel [n, bands]."""
    rows = []
    for video, mel in clips:
        frames = frame_row(video)
        picture = Image.fromarray(spectrogram(mel)).resize((2 * video.shape[3], frames.shape[0]))
        rows.append(np.concatenate([frames, np.asarray(picture)], axis=1))
    _save(path, np.concatenate(rows))


def _save(path: Path, picture: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture).save(path)
