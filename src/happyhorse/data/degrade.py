"""Small pictures as a generator makes them and not as a renderer does: what super-resolution has to forgive.

A quarter of the clips stay as they are; of the others, each is shifted by a part of a pixel, blurred, given noise, or
compressed as JPEG, one or several of these, all frames of a clip alike.
"""

import io
from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageFilter

from happyhorse import checkpoint
from happyhorse.data.shards import ShardPlan
from happyhorse.data.source import RawClip, seed_of

UNTOUCHED, SOME = 0.25, 0.5  # share of clips left alone, chance of each fault in the others


@dataclass(frozen=True)
class DegradedPlan(ShardPlan):
    """The clips of a `ShardPlan`, each with faults of its own in the picture."""

    @property
    def key(self) -> str:
        """Name of the folder; another way of degrading is another folder."""
        return f"degraded-{super().key}-{checkpoint.sha256(__file__)[:8]}"

    def clip(self, index: int) -> RawClip:
        """Render the scene of the split's seed `index`, and degrade it."""
        clip = super().clip(index)
        generator = np.random.default_rng([seed_of(self.split, index), 1])
        return RawClip(degrade(clip.video, generator), clip.audio, clip.record)


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
