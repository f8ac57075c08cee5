"""USE, second stage: the prompt becomes text tokens, what is given becomes clean latents.

A clean token is a condition (decision 0001). So there is one form for all of them, a first frame, a sound, the rest of
a clip of which a span is made anew: latents, and masks that say which of them are known. What is no part of the clip,
pictures of a subject or the clip that is edited, stands beside it (decision 0019).
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, UInt8
from torch import Tensor

from happyhorse.generate.denoiser import Beside
from happyhorse.generate.learnt import check
from happyhorse.generate.material import Material
from happyhorse.generate.model import Model
from happyhorse.generate.noise import Draw, of_seed
from happyhorse.values import (
    AUDIO_CHANNELS,
    VIDEO_CHANNELS,
    ClipShape,
    Request,
    decoded_frames,
    latent_frames,
)
from happyhorse.world.speech import resample

SETTLE = 8  # latent frames, more than the codec looks back
STILL = 6  # latent frames before the one that is taken for a still picture
PIECE = 32  # latent frames that are encoded at once


@dataclass(frozen=True, eq=False)
class Known:
    """Latents of which some are known.

    `video` [1, C, T, Y, X] and `audio` [1, S, Ca] hold the known ones where `frames` [T] and `steps` [S] are true.
    `beside` is what stands beside them, if anything does.
    """

    video: Float[Tensor, "one C T Y X"]
    audio: Float[Tensor, "one S Ca"]
    frames: Bool[Tensor, " T"]
    steps: Bool[Tensor, " S"]
    beside: Beside | None = None

    @classmethod
    def nothing(cls, shape: ClipShape, device: torch.device) -> "Known":
        """Latents [1, C, T, Y, X] and [1, S, Ca] of a clip of `shape`, none of them known."""
        (t, y, x), steps = shape.video.latent, shape.audio.steps
        return cls(
            torch.zeros(1, VIDEO_CHANNELS, t, y, x, device=device),
            torch.zeros(1, steps, AUDIO_CHANNELS, device=device),
            torch.zeros(t, dtype=torch.bool, device=device),
            torch.zeros(steps, dtype=torch.bool, device=device),
        )

    def filled(self, window: range, made: dict[str, Tensor]) -> "Known":
        """With the latents `made` ("video" [1, C, t, Y, X], "audio" [1, s, Ca]) of a window, where none were known."""
        video, audio, frames, steps = (
            part.clone() for part in (self.video, self.audio, self.frames, self.steps)
        )
        there = slice(4 * window.start, 4 * window.start + made["audio"].shape[1])
        video[:, :, window.start : window.stop] = torch.where(
            frames[window.start : window.stop, None, None],
            video[:, :, window.start : window.stop],
            made["video"],
        )
        audio[:, there] = torch.where(steps[there, None], audio[:, there], made["audio"])
        frames[: window.stop], steps[: there.stop] = True, True
        return Known(video, audio, frames, steps, self.beside)

    def put_back(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """`state` ("video" [1, C, T, Y, X], "audio" [1, S, Ca]) with the known latents in their places, clean."""
        return {
            "video": torch.where(self.frames[:, None, None], self.video, state["video"]),
            "audio": torch.where(self.steps[:, None], self.audio, state["audio"]),
        }


@dataclass(frozen=True, eq=False)
class Conditions:
    """What the denoiser is told.

    `words` in the form in which the model reads them; `known`: the latents that are given (None: none); `notes`: what
    the person who asked should know, one sentence each; `spoken`: seconds in which lines are said.
    """

    words: Any
    known: Known | None = None
    notes: tuple[str, ...] = ()
    spoken: float = 0.0


def condition(request: Request, model: Model, material: Material, draw: Draw | None = None) -> Conditions:
    """Read the prompt, and encode what is given; `draw` is where noise comes from (None: the seed).

    Raises ValueError for a prompt that the model cannot read, and for what it has not learnt to go by.
    """
    check(model.name, model.facts, request)
    draw = draw or of_seed(request.seed)
    reading = model.read(request, material)
    known = encode(material, model, draw)
    stands = beside(material, model, draw)
    if stands is not None:
        known = replace(known or Known.nothing(material.part, model.device), beside=stands)
    return Conditions(reading.words, known, reading.notes, reading.spoken)


def encode(material: Material, model: Model, draw: Draw) -> Known | None:
    """What is given, as latents of the part; None where nothing is.

    A still picture becomes the last of STILL + 1 latent frames of a clip in which nothing moves: the codec looks back
    in time, so a latent frame of a still is only right after others of the same.
    """
    known = Known.nothing(material.part, model.device)
    if material.video is not None and material.frames.any():
        count = decoded_frames(int(np.flatnonzero(material.frames)[-1]) + 1)
        shown = material.video[material.begin : material.begin + count]
        shown = np.concatenate([shown, shown[-1:].repeat(count - len(shown), 0)])
        for start, latents in _in_pieces(shown, model):
            known.video[:, :, start : start + latents.shape[2]] = latents
        known.frames[:] = torch.from_numpy(material.frames)
    for index, picture in material.stills.items():
        still = picture[None].repeat(decoded_frames(STILL + 1 if index else 1), 0)
        known.video[:, :, index] = model.encode_video(still)[:, :, -1]
        known.frames[index] = True
    if material.audio is not None and material.steps.any():
        count = int(np.flatnonzero(material.steps)[-1]) + 1
        known.audio[:, :count] = model.encode_audio(_heard(material, count, model.hears), count, draw)
        known.steps[:] = torch.from_numpy(material.steps)
    return known if known.frames.any() or known.steps.any() else None


def beside(material: Material, model: Model, draw: Draw) -> Beside | None:
    """What stands beside the clip, as latents: pictures, coded as first frames are, or a clip to edit; else None."""
    pictures, video, audio = None, None, None
    if material.references:
        pictures = torch.cat([model.encode_video(picture[None]) for picture in material.references], 2)
        pictures = pictures.transpose(1, 2)
    if material.source is not None:
        shape, source = material.part, material.source
        frames = source.video[: shape.video.decoded_frames]
        frames = np.concatenate([frames, frames[-1:].repeat(shape.video.decoded_frames - len(frames), 0)])
        video = torch.cat([latents for _, latents in _in_pieces(frames, model)], 2)
        wave = resample(source.audio, source.rate, model.hears)
        audio = model.encode_audio(wave, shape.audio.steps, draw)
    return None if pictures is None and video is None else Beside(pictures, video, audio)


def _in_pieces(
    frames: UInt8[np.ndarray, "F H W 3"], model: Model
) -> Iterator[tuple[int, Float[Tensor, "one C t Y X"]]]:
    """Latents of 4(T-1)+1 frames, PIECE at a time, each with where they begin: a minute at once would take gigabytes.

    The codec looks back less than SETTLE latent frames, so encoding those again makes the pieces equal to the whole.
    """
    count = latent_frames(len(frames))
    for start in range(0, count, PIECE):
        lead = max(0, start - SETTLE)
        piece = frames[4 * lead : decoded_frames(min(start + PIECE, count))]
        yield start, model.encode_video(piece)[:, :, start - lead :]


def _heard(material: Material, steps: int, rate: int) -> Float32[np.ndarray, " n"]:
    """The given sound of the part's first `steps` frames, at `rate` Hz."""
    assert material.audio is not None
    begin, stored = material.begin, material.whole.audio.rate
    heard = material.audio[
        begin * stored // material.whole.fps : (begin + steps) * stored // material.whole.fps
    ]
    return resample(heard, stored, rate)
