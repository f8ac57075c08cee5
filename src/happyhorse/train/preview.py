"""Pictures and clips of what a model under training makes: rows of frames, spectrograms, MP4s with sound."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image, ImageDraw
from torch import Tensor

from happyhorse import media
from happyhorse.codec.mel import HOP, log_mel
from happyhorse.codec.pixels import as_frames, as_video
from happyhorse.values import Clip

LABEL = 14  # height in pixels of the strip with a caption


def frame_row(video: Float[Tensor, "3 F H W"], count: int = 8) -> np.ndarray:
    """`count` evenly spaced frames of a video in [-1, 1], side by side: uint8 [H, count*W, 3]."""
    picks = torch.linspace(0, video.shape[1] - 1, count).round().long()
    return as_frames(video.cpu()[:, picks]).transpose(0, 1).flatten(1, 2).numpy()


def spectrogram(mel: Float[Tensor, "frames bands"]) -> np.ndarray:
    """A log-mel as a grey picture, low bands at the bottom: uint8 [bands, frames, 3]."""
    level = ((mel.cpu().float() + 9.2) / 9.2).clamp(0, 1).T.flip(0)
    return (level * 255).byte()[..., None].expand(-1, -1, 3).numpy()


def save_frames(path: Path, videos: Sequence[Float[Tensor, "3 F H W"]]) -> None:
    """Write a PNG with one row of frames a video."""
    _save(path, np.concatenate([frame_row(video) for video in videos]))


def save_spectrograms(path: Path, mels: Sequence[Float[Tensor, "frames bands"]]) -> None:
    """Write a PNG with one spectrogram a row."""
    _save(path, np.concatenate([np.pad(spectrogram(mel), ((0, 4), (0, 0), (0, 0))) for mel in mels]))


def save_clips(folder: Path, step: int, clips: Mapping[str, Clip]) -> None:
    """Write each clip as STEP-NAME.mp4, all of them as the sheet STEP.png, and what was asked for as captions.json.

    The clips, by name, carry the request that they were made for.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name, clip in clips.items():
        media.write(clip, folder / f"{step:06d}-{name}.mp4")
    captions = {name: clip.request.prompt if clip.request else "" for name, clip in clips.items()}
    (folder / "captions.json").write_text(
        json.dumps(captions, ensure_ascii=False, indent=1) + "\n", encoding="utf-8"
    )
    rows = [row for name, clip in clips.items() for row in (_label(captions[name], clip), _row(clip))]
    _save(folder / f"{step:06d}.png", np.concatenate(rows))


def _row(clip: Clip) -> np.ndarray:
    """Eight frames of a clip and its spectrogram, twice as wide as a frame: uint8 [H, 10 W, 3]."""
    frames = frame_row(as_video(torch.from_numpy(clip.video)))
    whole = len(clip.audio) // HOP * HOP
    heard = Image.fromarray(spectrogram(log_mel(torch.from_numpy(clip.audio[None, :whole]))[0]))
    return np.concatenate([frames, np.asarray(heard.resize((2 * clip.width, clip.height)))], axis=1)


def _label(caption: str, clip: Clip) -> np.ndarray:
    """A white strip with a caption: uint8 [LABEL, 10 W, 3]."""
    strip = Image.new("RGB", (10 * clip.width, LABEL), "white")
    ImageDraw.Draw(strip).text(
        (3, 1), caption.encode("latin-1", "replace").decode("latin-1"), fill=(30, 30, 30)
    )
    return np.asarray(strip)


def _save(path: Path, picture: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture).save(path)
