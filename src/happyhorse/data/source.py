"""Where clips come from: world seeds rendered to arrays, with the record that says what they are.

Train seeds count from 0, held-out seeds from `HELDOUT`; the two never meet. A record is plain JSON: captions in
training and held-out wordings, attributes, events, spoken phonemes.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from happyhorse import world
from happyhorse.codec.audio import SAMPLES
from happyhorse.config import Count, Positive
from happyhorse.values import PONY, decoded_frames, latent_frames

HELDOUT = 1 << 40
SPLITS = ("train", "heldout")


@dataclass(frozen=True)
class WorldConfig:
    """What to render: size in pixels (multiples of 32), seconds at 25 fps, families (empty: all that can run here)."""

    width: Count = PONY.width
    height: Count = PONY.height
    seconds: Positive = PONY.seconds
    families: tuple[str, ...] = ()

    @property
    def latent_frames(self) -> int:
        """T: latent frames that cover `seconds` at 25 fps."""
        return latent_frames(round(self.seconds * PONY.fps))

    @property
    def frames(self) -> int:
        """F = 4(T-1)+1: pixel frames, also the number of audio latents."""
        return decoded_frames(self.latent_frames)


@dataclass(frozen=True)
class RawClip:
    """video uint8 [F, H, W, 3], audio float32 [640 F] in [-1, 1] at 16 kHz, and the JSON-ready record."""

    video: np.ndarray
    audio: np.ndarray
    record: dict[str, Any]


def seed_of(split: str, index: int) -> int:
    """World seed of clip `index` of a split."""
    assert split in SPLITS, split
    return index + (HELDOUT if split == "heldout" else 0)


def render_seed(seed: int, config: WorldConfig) -> RawClip:
    """Render and hear the scene of `seed`. Deterministic: same seed and config, same arrays."""
    scene = world.sample(seed, config.frames / PONY.fps, config.families or None)
    video = world.render(scene, config.width, config.height, PONY.fps, config.frames)
    audio = world.hear(scene, PONY.rate, config.frames * SAMPLES)
    return RawClip(video, audio, record_of(scene))


def record_of(scene: world.Scene) -> dict[str, Any]:
    """The JSON-ready record of a world scene; phones are [symbol, start in seconds, end in seconds, line]."""
    phones = [
        [phone.symbol, phone.start / world.RATE, phone.end / world.RATE, index]
        for index, line in enumerate(scene.lines)
        for phone in line.phonemes
    ]
    return {
        "seed": scene.seed,
        "family": scene.family,
        "attributes": {k: v.item() if isinstance(v, np.generic) else v for k, v in scene.attributes.items()},
        "captions": list(scene.captions),
        "heldout": list(scene.heldout),
        "phones": phones,
        "languages": [line.language for line in scene.lines],
        "events": [[e.kind, int(e.sample), float(e.x), float(e.y)] for e in scene.events],
    }
