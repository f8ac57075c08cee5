"""Buckets: the few sizes and lengths to which clips of any size and length are brought, so that they fill batches.

A bucket is width x height x frames. Sides are multiples of 32 px (the codec's 16 times the denoiser's patch of 2),
lengths 4k+1 frames at 25 a second (the codec keeps the first frame alone, then takes four at a time; 15B spec section
3.4). Nothing is invented: a clip is scaled until it covers its bucket, cut evenly on both sides, and shortened, never
stretched or padded.
"""

import math
from dataclasses import dataclass
from functools import cache

FPS = 25
SIDE = 32  # px
RATIOS = (16 / 9, 4 / 3, 1.0, 3 / 4, 9 / 16)  # width to height
SHORTEST = 5  # frames of the shortest clip that moves in the latents

Crop = tuple[int, int, int, int]
"""What is kept of a picture: left, top, width, height in px of the picture as it is shown."""


@dataclass(frozen=True, order=True)
class Bucket:
    """Size in px and length in frames; one frame is a still. Raises ValueError for what the codec cannot hold."""

    width: int
    height: int
    frames: int

    def __post_init__(self) -> None:
        _check_size(self.width, self.height)
        if self.frames < 1 or self.frames % 4 != 1:
            raise ValueError(
                f"{self.frames} frames fit no bucket: lengths are 4k+1, such as {_down(self.frames)}"
            )

    @property
    def name(self) -> str:
        """WIDTHxHEIGHTxFRAMES."""
        return f"{self.width}x{self.height}x{self.frames}"


@dataclass(frozen=True)
class Buckets:
    """The buckets around a base size in px, up to a length in seconds. Raises ValueError for impossible ones."""

    width: int = 224
    height: int = 128
    seconds: float = 3.0

    def __post_init__(self) -> None:
        _check_size(self.width, self.height)
        if not SHORTEST / FPS <= self.seconds <= 60:
            raise ValueError(
                f"buckets of {self.seconds:g} s cannot be made: ask for {SHORTEST / FPS:g} to 60 s"
            )

    @property
    def sizes(self) -> tuple[tuple[int, int], ...]:
        """(width, height) in px: the base size, the same turned, and for each of `RATIOS` the one nearest to it."""
        return _sizes(self.width, self.height)

    @property
    def lengths(self) -> tuple[int, ...]:
        """Frames, longest first: what fits into `seconds`, and into three, two and one quarters of it."""
        whole = _down(round(self.seconds * FPS))
        parts = (_down(whole * quarters // 4) for quarters in (4, 3, 2, 1))
        return tuple(dict.fromkeys(length for length in parts if length >= SHORTEST))

    def size(self, width: int, height: int) -> tuple[int, int]:
        """The (width, height) in px whose shape is nearest to that of a picture of `width` x `height` px."""
        shape = math.log(width / height)
        return min(self.sizes, key=lambda size: abs(math.log(size[0] / size[1]) - shape))

    def length(self, frames: int) -> int:
        """The longest of `lengths` within `frames` frames. Raises ValueError where a clip is shorter than all."""
        for length in self.lengths:
            if length <= frames:
                return length
        need = self.lengths[-1]
        remedy = f" or ask for --seconds {4 * frames / FPS:g}" if frames >= SHORTEST else ""
        raise ValueError(
            f"{_count(frames)} ({frames / FPS:.2g} s) where the shortest bucket has {need} ({need / FPS:.2g} s); "
            f"give a longer clip{remedy}"
        )


def crop(width: int, height: int, bucket: Bucket) -> Crop:
    """The middle of a picture of `width` x `height` px, as large as possible, in the shape of `bucket`."""
    scale = max(bucket.width / width, bucket.height / height)
    across, down = min(width, round(bucket.width / scale)), min(height, round(bucket.height / scale))
    return (width - across) // 2, (height - down) // 2, across, down


@cache
def _sizes(width: int, height: int) -> tuple[tuple[int, int], ...]:
    area, sides = width * height, range(SIDE, 2 * max(width, height) + 1, SIDE)

    def distance(size: tuple[int, int], ratio: float) -> float:
        return abs(math.log(size[0] / size[1] / ratio)) + abs(math.log(size[0] * size[1] / area))

    every = [(w, h) for w in sides for h in sides]
    chosen = [min(every, key=lambda size, ratio=ratio: distance(size, ratio)) for ratio in RATIOS]
    return tuple(dict.fromkeys([(width, height), (height, width), *chosen]))


def _down(frames: int) -> int:
    """The nearest 4k+1 that is not above `frames`, at least 1."""
    return 4 * ((max(frames, 1) - 1) // 4) + 1


def _count(frames: int) -> str:
    return "one frame" if frames == 1 else f"{frames} frames"


def _check_size(width: int, height: int) -> None:
    if min(width, height) < SIDE or width % SIDE or height % SIDE:
        near = "x".join(str(max(SIDE, round(side / SIDE) * SIDE)) for side in (width, height))
        raise ValueError(
            f"a size of {width}x{height} is impossible: sides are multiples of {SIDE} px; ask for {near}"
        )
