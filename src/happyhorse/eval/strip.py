"""Clips as pictures: frames in a row, and of a spoken one the spectrogram of its voice and what its mouth does."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float32, UInt8
from PIL import Image, ImageDraw

from happyhorse.codec.mel import HOP, log_mel
from happyhorse.eval.lips import CLOSED, Speech
from happyhorse.train.preview import spectrogram

PLACES, WIDE = 8, 112  # frames of a row, and px of each
FRAMES = 6  # of a spoken clip
WIDTH = 720  # px
VOICE, LIPS = 72, 56  # px, heights of the spectrogram and of the curves
ASKED, DONE, MET = (190, 190, 190), (200, 60, 60), (225, 235, 250)


def sheet(
    video: UInt8[np.ndarray, "F H W 3"], audio: Float32[np.ndarray, " N"], speech: Speech
) -> Image.Image:
    """Frames in a row; under them, on one clock, the spectrogram and the mouth: red as seen, grey as asked.

    Closures of p, b and m are shaded; the red curve lies on the line where the lips touch.
    """
    wide = WIDTH // FRAMES
    high = round(wide * video.shape[1] / video.shape[2])
    image = Image.new("RGB", (WIDTH, high + VOICE + LIPS), "white")
    for place, frame in enumerate(np.linspace(0, len(video) - 1, FRAMES).round().astype(int)):
        image.paste(
            Image.fromarray(video[frame]).resize((wide, high), Image.Resampling.LANCZOS), (place * wide, 0)
        )
    whole = len(audio) // HOP * HOP
    mel = spectrogram(log_mel(torch.from_numpy(audio[None, :whole]))[0])
    image.paste(Image.fromarray(mel).resize((WIDTH, VOICE)), (0, high))
    seconds = len(video) / speech.fps
    draw, floor = ImageDraw.Draw(image), high + VOICE + LIPS - 6

    def line(values: np.ndarray, times: np.ndarray, scale: float, color: tuple[int, int, int]) -> None:
        points = [
            (WIDTH * t / seconds, floor - (LIPS - 12) * min(v / scale, 1.1))
            for t, v in zip(times.tolist(), values.tolist(), strict=True)
            if np.isfinite(v)
        ]
        if len(points) > 1:
            draw.line(points, fill=color, width=2)

    for start, end in speech.closures:
        draw.rectangle((WIDTH * start / seconds, high + VOICE, WIDTH * end / seconds, floor), fill=MET)
    line(speech.asked, (np.arange(len(speech.asked)) + 0.5) * seconds / max(len(speech.asked), 1), 1.0, ASKED)
    above = np.maximum(speech.opening - CLOSED, 0)
    most = float(np.nanmax(above, initial=CLOSED))
    line(above, np.arange(len(above)) / speech.fps, most, DONE)
    return image


def row(video: UInt8[np.ndarray, "F H W 3"]) -> UInt8[np.ndarray, "h w 3"]:
    """Evenly spaced frames of a clip, small, side by side."""
    high = round(WIDE * video.shape[1] / video.shape[2])
    chosen: Sequence[int] = np.linspace(0, len(video) - 1, PLACES).round().astype(int).tolist()
    small = [
        np.asarray(Image.fromarray(video[i]).resize((WIDE, high), Image.Resampling.LANCZOS)) for i in chosen
    ]
    return np.concatenate(small, axis=1)
