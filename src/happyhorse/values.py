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

import hashlib
import math
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from jaxtyping import Float, Float32, UInt8

LONGEST_PROMPT = 2000  # characters


# ----------------------------------------------------------------------------------------------------------
# Shapes


@dataclass(frozen=True, slots=True)
class VideoShape:
    """Pixels of a clip (`frames` [F], `height` [H], `width` [W]) and the latent grid that a 4x16x16 codec
    gives them.

    Latent frame 0 is pixel frame 0 alone; latent frame t >= 1 is pixel frames 4t-3 .. 4t (15B spec section
    3.4).
    """

    frames: int
    height: int
    width: int

    @property
    def latent(self) -> tuple[int, int, int]:
        """(T, Y, X): T = ceil((F-1)/4) + 1, Y = height/16, X = width/16."""
        return latent_frames(self.frames), self.height // 16, self.width // 16

    @property
    def decoded_frames(self) -> int:
        """Frames the codec decodes, 4(T-1)+1 >= F; what exceeds `frames` is cut off."""
        return decoded_frames(latent_frames(self.frames))

    @property
    def tokens(self) -> int:
        """Video tokens of the denoiser at its patch of (1, 2, 2): T * Y/2 * X/2."""
        t, y, x = self.latent
        return t * (y // 2) * (x // 2)


@dataclass(frozen=True, slots=True)
class AudioShape:
    """`steps` latent steps [S] and the `samples` [N] at `rate` Hz that are kept of what they decode to."""

    steps: int
    samples: int
    rate: int


@dataclass(frozen=True, slots=True)
class ClipShape:
    """The two halves of one clip; sound and picture last equally long."""

    video: VideoShape
    audio: AudioShape
    fps: int

    @property
    def seconds(self) -> float:
        """Length in seconds of the pixel frames that are kept."""
        return self.video.frames / self.fps


def latent_frames(frames: int) -> int:
    """Latent frames T that hold `frames` >= 1 pixel frames: ceil((F-1)/4) + 1."""
    return math.ceil((frames - 1) / 4) + 1


def decoded_frames(latents: int) -> int:
    """Pixel frames that `latents` >= 1 latent frames decode to: 4(T-1) + 1."""
    return 4 * (latents - 1) + 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """What clips of one size of the architecture look like: rates, default size, and what can be asked for.

    `fps` frames/s; `rate` Hz; `width`, `height` px and `seconds` are the defaults; `sides` (shortest,
    longest) px and `lengths` (shortest, longest) s bound what can be asked for; `extra_frame` adds the one
    frame that the open weights were trained with (F = 25 s + 1, 15B spec section 3.4), T then rounding down.
    """

    name: str
    fps: int
    rate: int
    width: int
    height: int
    seconds: float
    sides: tuple[int, int]
    lengths: tuple[float, float]
    extra_frame: bool

    def shape(
        self, seconds: float | None = None, width: int | None = None, height: int | None = None
    ) -> ClipShape:
        """Shape of a clip of `seconds` s and `width` x `height` px (each: the default of the format when
        None).

        Raises ValueError, naming what to ask for instead, when a side is not a multiple of 32 px or out of
        range, or when the length is out of range.
        """
        seconds = self.seconds if seconds is None else seconds
        width = self.width if width is None else width
        height = self.height if height is None else height
        self._check_size(width, height)
        shortest, longest = self.lengths
        if not math.isfinite(seconds) or not shortest <= seconds <= longest:
            raise ValueError(
                f"a clip of {seconds:g} s cannot be made: {self.name} makes {shortest:g} to {longest:g} s; "
                f"ask for {self.seconds:g} s or another length in that range"
            )
        if self.extra_frame:
            steps = round(seconds * self.fps) + 1
            frames = decoded_frames((steps - 1) // 4 + 1)
        else:
            frames = round(seconds * self.fps)
            steps = decoded_frames(latent_frames(frames))
        audio = AudioShape(steps=steps, samples=frames * self.rate // self.fps, rate=self.rate)
        return ClipShape(video=VideoShape(frames, height, width), audio=audio, fps=self.fps)

    def _check_size(self, width: int, height: int) -> None:
        shortest, longest = self.sides

        def nearest(side: int) -> int:
            return min(max(round(side / 32) * 32, shortest), longest)

        if (nearest(width), nearest(height)) != (width, height):
            raise ValueError(
                f"a size of {width}x{height} is impossible: both sides must be multiples of 32 between "
                f"{shortest} and {longest} pixels; ask for {nearest(width)}x{nearest(height)}"
            )


PONY = Format(
    name="pony",
    fps=25,
    rate=16_000,
    width=224,
    height=128,
    seconds=3.0,
    sides=(64, 512),
    lengths=(0.4, 10.0),
    extra_frame=False,
)

HAPPYHORSE_15B = Format(
    name="happyhorse-15b",
    fps=25,
    rate=44_100,
    width=448,
    height=256,
    seconds=5.0,
    sides=(128, 1920),
    lengths=(1.0, 15.0),
    extra_frame=True,
)

FORMATS: Mapping[str, Format] = MappingProxyType({f.name: f for f in (PONY, HAPPYHORSE_15B)})


# ----------------------------------------------------------------------------------------------------------
# What is asked for


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Request:
    """One clip as it was asked for; the same request on the same machine gives the same clip.

    `prompt` text; `seed` in [0, 2^63); `seconds` s; `width`, `height` px; `steps` >= 1 of the sampler;
    `guidance` and `audio_guidance` >= 1 (1 = off) for picture and sound; `takes` >= 1 clips, at seeds seed,
    seed+1, ...; `first_frame` a path or a picture uint8 [H, W, 3]; `sampler` a name in `flow.samplers`;
    `model` a name or a path.

    Raises ValueError with a remedy for anything that can be judged without the model. Sizes and lengths are
    judged by `Format.shape`.
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
    first_frame: Path | UInt8[np.ndarray, "H W 3"] | None = None
    sampler: str = "unipc"
    model: str = "pony"

    def __post_init__(self) -> None:
        check_prompt(self.prompt)
        if not 0 <= self.seed < 2**63:
            raise ValueError(f"seed {self.seed} is out of range; give a whole number from 0 to 2^63 - 1")
        for name, low, high in (("steps", 1, 1000), ("takes", 1, 1000)):
            value = getattr(self, name)
            if not low <= value <= high:
                raise ValueError(f"{name} {value} is out of range; give a whole number from {low} to {high}")
        for name in ("guidance", "audio_guidance"):
            value = getattr(self, name)
            if not (math.isfinite(value) and 1 <= value <= 30):
                raise ValueError(f"{name.replace('_', ' ')} {value:g} is out of range; give 1 (off) to 30")
        object.__setattr__(self, "seconds", float(self.seconds))
        picture = self.first_frame
        if isinstance(picture, np.ndarray):
            if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
                raise ValueError(
                    f"a first frame is uint8 [H, W, 3], not {picture.dtype} {list(picture.shape)}; "
                    "convert it, or pass the path of a picture"
                )
        elif picture is not None:
            object.__setattr__(self, "first_frame", Path(picture))

    def take(self, index: int) -> "Request":
        """The request of one take alone, `index` in [0, takes): it gives that clip again."""
        return replace(self, seed=(self.seed + index) % 2**63, takes=1)

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON; a first frame is its path, or the SHA-256 of its pixels."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        picture = values["first_frame"]
        if isinstance(picture, np.ndarray):
            digest = hashlib.sha256(repr(picture.shape).encode() + picture.tobytes())
            values["first_frame"] = f"sha256:{digest.hexdigest()}"
        elif picture is not None:
            values["first_frame"] = str(picture)
        return values

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Request) and self.as_dict() == other.as_dict()

    def __hash__(self) -> int:
        return hash(tuple(self.as_dict().values()))


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

    `video` uint8 RGB [F, H, W, 3] at `fps` frames/s; `audio` float32 mono [N] in [-1, 1] at `rate` Hz;
    `request` what was asked for (None for a clip that was not generated); `timings` seconds by stage.
    """

    video: UInt8[np.ndarray, "F H W 3"]
    audio: Float32[np.ndarray, " N"]
    fps: int = PONY.fps
    rate: int = PONY.rate
    request: Request | None = None
    timings: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        assert self.video.dtype == np.uint8, self.video.dtype
        assert self.video.ndim == 4 and self.video.shape[3] == 3, self.video.shape
        assert self.audio.dtype == np.float32 and self.audio.ndim == 1, (self.audio.dtype, self.audio.shape)

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
        audio = AudioShape(decoded_frames(latent_frames(frames)), len(self.audio), self.rate)
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
