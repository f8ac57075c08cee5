"""Lengths and sizes: of clips, of their latents, and what can be asked of each size of the architecture.

Dimension letters are those of `happyhorse.values`, which passes these names on.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from happyhorse import sizes

VIDEO_CHANNELS, AUDIO_CHANNELS = 48, 64
"""Channels C of the latents of both codecs, of the small model as of the 15B."""


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
    """`steps` latent steps [S] and the `samples` [N] at `rate` Hz, in each of `channels`, that are kept of what they
    decode to.
    """

    steps: int
    samples: int
    rate: int
    channels: int = 1


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
    longest) px and `lengths` (shortest, longest) s bound what can be asked for; with `tabled` only the sizes of
    `happyhorse.sizes` can; sound has `channels`; `extra_frame` adds the one frame that the open weights were
    trained with (F = 25 s + 1, and F = 25 s where the sound is given; 15B spec section 3.4), T then rounding down.
    Pictures of more than `native` px (their number) are sampled at half the width and height, and enlarged; 0: none
    are.
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
    tabled: bool = False
    channels: int = 1
    native: int = 0

    def shape(
        self,
        seconds: float | None = None,
        width: int | None = None,
        height: int | None = None,
        driven: bool = False,
    ) -> ClipShape:
        """Shape of a clip of `seconds` s and `width` x `height` px (each: the default of the format when
        None); `driven` by a given sound, whose latents are counted without the extra frame.

        Raises ValueError, naming what to ask for instead, when the size cannot be made (a side is not a multiple
        of 32 px, is out of range, or is not in the table), or when the length is out of range.
        """
        seconds = self.seconds if seconds is None else seconds
        width = self.width if width is None else width
        height = self.height if height is None else height
        shortest, longest = self.lengths
        if not math.isfinite(seconds) or not shortest <= seconds <= longest:
            raise ValueError(
                f"a clip of {seconds:g} s cannot be made: {self.name} makes {shortest:g} to {longest:g} s; "
                f"ask for {self.seconds:g} s or another length in that range"
            )
        if not self.extra_frame:
            return self.holding(round(seconds * self.fps), width, height)
        steps = round(seconds * self.fps) + (not driven)
        whole = self.holding(decoded_frames((steps - 1) // 4 + 1), width, height)
        return replace(whole, audio=replace(whole.audio, steps=steps))

    def holding(self, frames: int, width: int, height: int) -> ClipShape:
        """Shape of exactly `frames` >= 1 frames of `width` x `height` px, whatever length may be asked for."""
        self._check_size(width, height)
        steps = decoded_frames(latent_frames(frames))
        audio = AudioShape(steps, frames * self.rate // self.fps, self.rate, self.channels)
        return ClipShape(video=VideoShape(frames, height, width), audio=audio, fps=self.fps)

    def allows(self, width: int, height: int) -> bool:
        """Whether a size in px can be asked for."""
        if self.tabled:
            return sizes.find(width, height) is not None
        times, (shortest, longest) = self._times(width, height), self.sides
        halves = (width / times, height / times)
        return all(side % 32 == 0 and shortest <= side <= longest for side in halves)

    def base(self, width: int, height: int) -> tuple[int, int]:
        """Width and height in px at which a clip of that size is sampled, before super-resolution."""
        if not self.tabled:
            return width // self._times(width, height), height // self._times(width, height)
        size = sizes.find(width, height)
        return size.base if size else (width, height)

    def coded(self, shape: ClipShape) -> ClipShape:
        """What the codec decodes for a clip of `shape`: rows and columns that stand over are cropped."""
        size = sizes.find(shape.video.width, shape.video.height) if self.tabled else None
        if size is None:
            return shape
        width, height = size.latent
        return replace(shape, video=replace(shape.video, width=width, height=height))

    def _times(self, width: int, height: int) -> int:
        return 2 if self.native and width * height > self.native else 1

    def _check_size(self, width: int, height: int) -> None:
        times = self._times(width, height)
        unit, shortest, longest = (times * n for n in (32, *self.sides))
        if self.tabled and not self.allows(width, height):
            raise ValueError(f"{self.name} does not make {width}x{height}; ask for one of {sizes.listed()}")

        def nearest(side: int) -> int:
            return min(max(round(side / unit) * unit, shortest), longest)

        if not self.allows(width, height):
            raise ValueError(
                f"a size of {width}x{height} is impossible: both sides must be multiples of {unit} between "
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
    lengths=(0.4, 60.0),
    extra_frame=False,
)

HAPPYHORSE_15B = Format(
    name="happyhorse-15b",
    fps=25,
    rate=44_100,
    width=448,
    height=256,
    seconds=5.0,
    sides=(256, 1920),
    lengths=(3.0, 15.0),
    extra_frame=True,
    tabled=True,
    channels=2,
)

FORMATS: Mapping[str, Format] = MappingProxyType({f.name: f for f in (PONY, HAPPYHORSE_15B)})
