"""The values that travel through the system, and the one legend of dimension letters.

Letters in shapes, everywhere in this package:

    B  batch                    T    latent frames
    L  packed tokens            Y X  latent rows and columns
    D  width of the model       S    audio latent steps
    H  heads                    C    channels
    K  width of a head          F    pixel frames
    N  samples of a waveform    H W  pixel rows and columns (only beside F or a picture, never beside heads)

Units: seconds for time, sigma in [0, 1] with 1 = noise, offset in sync = t_audio - t_video in ms (+ = sound
late). This module imports no torch: a `Request` or a `Clip` can be handled where no model is loaded.
"""

import json
import math
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Float32, UInt8

from happyhorse import given
from happyhorse.errors import did_you_mean
from happyhorse.given import Picture, Sound
from happyhorse.shapes import AUDIO_CHANNELS as AUDIO_CHANNELS
from happyhorse.shapes import FORMATS as FORMATS
from happyhorse.shapes import HAPPYHORSE_15B as HAPPYHORSE_15B
from happyhorse.shapes import PONY as PONY
from happyhorse.shapes import VIDEO_CHANNELS as VIDEO_CHANNELS
from happyhorse.shapes import AudioShape as AudioShape
from happyhorse.shapes import ClipShape as ClipShape
from happyhorse.shapes import Format as Format
from happyhorse.shapes import VideoShape as VideoShape
from happyhorse.shapes import decoded_frames as decoded_frames
from happyhorse.shapes import latent_frames as latent_frames

LONGEST_PROMPT = 5000  # characters


# ----------------------------------------------------------------------------------------------------------
# What is asked for


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Request:
    """One clip as it was asked for; the same request on the same machine gives the same clip.

    `prompt` text; `seed` in [0, 2^63); `seconds` s; `width`, `height` px; `steps` >= 1 of the sampler;
    `guidance` and `audio_guidance` >= 1 (1 = off) for picture and sound; `takes` >= 1 clips, at seeds seed,
    seed+1, ...; `language` of all spoken lines, a code or a name ("ja", "Japanese"), None: from each line;
    `sampler` a name in `flow.samplers`; `model` a name or a path. Where a size is made by super-resolution:
    `upscale_steps` >= 1, `upscale_guidance` >= 1, and whether latents are enlarged with `align_corners`.

    What is given besides the prompt, each a file or an array: pictures as a path or uint8 [H, W, 3]
    (`first_frame`, `last_frame`, `key_frames` with their times in s); `audio` to be the sound of the clip, a
    path or a `Sound`; a path or a `Clip` to make a sound for (`video`), to go on from (`extend`; then
    `seconds` and times are those of the new part) or to make anew from `span[0]` to `span[1]` s (`retake`);
    1 to 3 pictures of a subject to go by (`references`); a path or a `Clip` to change as the prompt says
    (`edit`), of which the "picture" or the "sound" stays as it is with `keep`.

    Raises ValueError with a remedy for anything that can be judged without the model and without opening a
    file. Sizes and lengths are judged by `Format.shape`.
    """

    prompt: str
    seed: int = 0
    seconds: float = PONY.seconds
    width: int = PONY.width
    height: int = PONY.height
    steps: int = 32
    guidance: float = 3.0
    audio_guidance: float = 4.0
    takes: int = 1
    first_frame: Picture | None = None
    last_frame: Picture | None = None
    key_frames: tuple[tuple[float, Picture], ...] = ()
    audio: Path | Sound | None = None
    video: "Path | Clip | None" = None
    extend: "Path | Clip | None" = None
    retake: "Path | Clip | None" = None
    span: tuple[float, float] | None = None
    references: tuple[Picture, ...] = ()
    edit: "Path | Clip | None" = None
    keep: str | None = None
    language: str | None = None
    sampler: str = "unipc"
    upscale_steps: int = 5
    upscale_guidance: float = 1.0
    align_corners: bool = True
    model: str = "pony"

    def __post_init__(self) -> None:
        check_prompt(self.prompt)
        if not 0 <= self.seed < 2**63:
            raise ValueError(f"seed {self.seed} is out of range; give a whole number from 0 to 2^63 - 1")
        for name, low, high in (("steps", 1, 1000), ("upscale_steps", 1, 1000), ("takes", 1, 1000)):
            value = getattr(self, name)
            if not low <= value <= high:
                raise ValueError(f"{name} {value} is out of range; give a whole number from {low} to {high}")
        for name in ("guidance", "audio_guidance", "upscale_guidance"):
            value = getattr(self, name)
            if not (math.isfinite(value) and 1 <= value <= 30):
                raise ValueError(f"{name.replace('_', ' ')} {value:g} is out of range; give 1 (off) to 30")
        if not (math.isfinite(self.seconds) and self.seconds > 0):
            raise ValueError(f"a clip of {self.seconds:g} s cannot be made; give a number of seconds above 0")
        normal = {
            "seconds": float(self.seconds),
            "first_frame": given.as_picture(self.first_frame, "first frame"),
            "last_frame": given.as_picture(self.last_frame, "last frame"),
            "key_frames": given.as_key_frames(self.key_frames),
            "audio": given.as_sound(self.audio),
            **{
                name: given.as_clip(getattr(self, name), Clip, name)
                for name in ("video", "extend", "retake", "edit")
            },
            "span": given.as_span(self.span),
            "references": given.as_references(self.references),
            "keep": given.as_keep(self.keep),
        }
        given.check(normal)
        for name, value in normal.items():
            object.__setattr__(self, name, value)

    def take(self, index: int) -> "Request":
        """The request of one take alone, `index` in [0, takes): it gives that clip again."""
        return replace(self, seed=(self.seed + index) % 2**63, takes=1)

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON: a file is its path; a picture, sound or clip in memory is its SHA-256."""
        return {f.name: given.plain(getattr(self, f.name)) for f in fields(self)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Request":
        """The request that `as_dict` gave as `values`; what is missing there has its default.

        Raises ValueError where `Request` does, for a key that is no field, and for what was in memory.
        """
        known = cls.__dataclass_fields__
        for key in values:
            if key not in known:
                raise ValueError(f"a request has no {key!r}{did_you_mean(key, known)}")
        return cls(**{key: given.restorable(key, value) for key, value in values.items()})

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Request) and self.as_dict() == other.as_dict()

    def __hash__(self) -> int:
        return hash(json.dumps(self.as_dict()))


def check_prompt(prompt: str) -> None:
    """Raise ValueError, saying what to do, when `prompt` is empty, too long or not text."""
    if not prompt.strip():
        raise ValueError(
            'the prompt is empty; describe a scene, for example "a red ball bounces on a wooden floor"'
        )
    if len(prompt) > LONGEST_PROMPT:
        raise ValueError(f"the prompt has {len(prompt):,} characters; use at most {LONGEST_PROMPT:,}")
    controls = (c for c in prompt if unicodedata.category(c) in ("Cc", "Cs") and c not in "\t\n\r")
    strange = next(controls, None)
    if strange is not None:
        raise ValueError(
            f"the prompt is not text: it holds the character U+{ord(strange):04X}; give plain Unicode text"
        )


# ----------------------------------------------------------------------------------------------------------
# What is made


@dataclass(frozen=True, slots=True, eq=False)
class Latents:
    """One clip inside the model: tensors `video` [48, T, Y, X] and `audio` [S, 64], of about unit scale."""

    video: Float[Any, "C T Y X"]
    audio: Float[Any, "S C"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Clip:
    """Picture and sound of equal length.

    `video` uint8 RGB [F, H, W, 3] at `fps` frames/s; `audio` float32 in [-1, 1] at `rate` Hz, mono [N] or stereo
    [N, 2]; `request` what was asked for (None for a clip that was not generated); `timings` seconds by stage.
    """

    video: UInt8[np.ndarray, "F H W 3"]
    audio: Float32[np.ndarray, "N ..."]
    fps: int = PONY.fps
    rate: int = PONY.rate
    request: Request | None = None
    timings: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        assert self.video.dtype == np.uint8, self.video.dtype
        assert self.video.ndim == 4 and self.video.shape[3] == 3, self.video.shape
        assert self.audio.dtype == np.float32, self.audio.dtype
        assert self.audio.ndim == 1 or self.audio.shape[1:] == (2,), self.audio.shape

    @property
    def seconds(self) -> float:
        """Length of the picture in seconds."""
        return len(self.video) / self.fps

    @property
    def width(self) -> int:
        """Width in pixels."""
        return self.video.shape[2]

    @property
    def height(self) -> int:
        """Height in pixels."""
        return self.video.shape[1]

    @property
    def shape(self) -> ClipShape:
        """The shape that a codec needs to hold this clip."""
        frames = len(self.video)
        steps = decoded_frames(latent_frames(frames))
        audio = AudioShape(steps, len(self.audio), self.rate, self.audio.ndim)
        return ClipShape(VideoShape(frames, self.height, self.width), audio, self.fps)

    def save(self, path: str | Path) -> Path:
        """Write the clip with its sound, signed as machine-made, and return the path.

        The suffix chooses the format: `.mp4` (H.264 + AAC) or `.webm` (AV1 + Opus). The file appears whole or
        not at all. Raises ValueError for another suffix and OSError when the place cannot be written.
        """
        from happyhorse.generate.mux import save

        return save(self, Path(path))

    def __repr__(self) -> str:
        asked = f" of {self.request.prompt!r}, seed {self.request.seed}" if self.request else ""
        size = f"{self.seconds:g} s, {self.width}x{self.height}, {self.fps} fps, {self.rate} Hz"
        return f"<Clip{asked}: {size}>"

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        """What a notebook shows: the clip itself, playing inline (HTML), beside its plain description."""
        from happyhorse.generate.display import html

        return {"text/html": html(self), "text/plain": repr(self)}
