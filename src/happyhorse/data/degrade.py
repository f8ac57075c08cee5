"""Small clips as a generator makes them, enlarged: what super-resolution starts from.

A quarter of the clips are as they were rendered; of the others, each is shifted by a part of a pixel, blurred, given
noise, or compressed as JPEG, one or several of these, all frames of a clip alike. Then each goes through the codec at
its small size, as a clip of a generator does, and is enlarged by interpolation.
"""

import io
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image, ImageFilter

from happyhorse import checkpoint, config
from happyhorse.codec import load_codec
from happyhorse.codec.enlarge import enlarge_pixels
from happyhorse.codec.pixels import as_frames, as_video
from happyhorse.codec.video import VideoCodec
from happyhorse.data.shards import ShardPlan
from happyhorse.data.source import RawClip, seed_of
from happyhorse.precision import mixed

UNTOUCHED, SOME = 0.25, 0.5  # share of clips left alone, chance of each fault in the others


@dataclass(frozen=True)
class EnlargedPlan(ShardPlan):
    """The clips of a `ShardPlan`, degraded, through its codec, and enlarged."""

    @property
    def key(self) -> str:
        """Name of the folder; another way of degrading, or another codec (also its decoder), is another folder."""
        assert self.codec is not None
        return f"enlarged-{super().key}-{config.fingerprint([checkpoint.sha256(f) for f in (self.codec, __file__)])}"

    def clip(self, index: int) -> RawClip:
        """Render the scene of the split's seed `index` at the small size, and make what a generator would show."""
        clip = super().clip(index)
        generator = np.random.default_rng([seed_of(self.split, index), 1])
        small = as_video(torch.from_numpy(degrade(clip.video, generator))[None])
        assert self.codec is not None
        codec = _codec(self.codec)
        with torch.no_grad(), mixed():
            small = codec.decode(codec.encode(small).float()).float()
        large = as_frames(enlarge_pixels(small.clamp(-1, 1))[0])
        return RawClip(large.numpy(), clip.audio, clip.record)


@lru_cache(maxsize=1)
def _codec(path: str) -> VideoCodec:
    return load_codec(path).video


def degrade(
    video: UInt8[np.ndarray, "F H W 3"], generator: np.random.Generator
) -> UInt8[np.ndarray, "F H W 3"]:
    """A clip with faults drawn from `generator`; it may be the same clip."""
    if generator.random() < UNTOUCHED:
        return video
    shifted, blurred, noisy, compressed = generator.random(4) < SOME
    across, down = generator.uniform(-0.5, 0.5, 2)  # px
    radius, deviation, quality = (
        generator.uniform(0.3, 1.0),
        generator.uniform(1, 6),
        generator.integers(35, 90),
    )
    frames = []
    for frame in video:
        image = Image.fromarray(frame)
        if shifted:
            move = (1, 0, across, 0, 1, down)
            image = image.transform(image.size, Image.Transform.AFFINE, move, Image.Resampling.BICUBIC)
        if blurred:
            image = image.filter(ImageFilter.GaussianBlur(radius))
        if noisy:
            grain = generator.normal(0, deviation, frame.shape)
            image = Image.fromarray((np.asarray(image) + grain).round().clip(0, 255).astype(np.uint8))
        if compressed:
            packed = io.BytesIO()
            image.save(packed, "JPEG", quality=int(quality))
            image = Image.open(packed)
        frames.append(np.asarray(image))
    return np.stack(frames)
