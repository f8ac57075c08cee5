"""Pictures of a subject to go by: stills in which the thing of a clip is seen in another scene, at another time.

The ball of the clip in another room on another floor, the face before another wall in the middle of a word. Of such a
clip a share of the captions leaves out what the pictures tell: the colour of the ball, say.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from happyhorse import world
from happyhorse.codec.audio import SAMPLES
from happyhorse.data import variants
from happyhorse.data.batches import indices
from happyhorse.data.shards import Shards, full
from happyhorse.data.source import RawClip, WorldConfig, seed_of
from happyhorse.data.variants import Variant
from happyhorse.values import PONY
from happyhorse.world.draw import Canvas
from happyhorse.world.rooms import BACKGROUNDS
from happyhorse.world.scene import Scene

MOST = 3
"""Pictures of a subject that a model is shown at most, and that are made for each clip."""

SUBJECT: Mapping[str, tuple[str, ...]] = {
    "balls": ("count", "color", "size"),
    "horse": ("color",),
    "piano": ("color",),
    "clock": ("color", "shape"),
    "hammer": ("handle",),
    "drum": ("color", "size"),
    "tap": ("vessel", "color"),
    "face": ("person", "hair", "style", "skin", "shirt"),
}
"""Attributes that a thing keeps in every picture of it, by family; other families show no one thing."""

FIRST = 1 << 50  # seeds of the other scenes: far from those of clips, and from one another
TRIES = 6


def subject(scene: Scene) -> dict[str, str]:
    """The attributes of the subject of a scene; none where it shows no one thing, but a view, or two of them."""
    if scene.family not in SUBJECT or "color2" in scene.attributes:
        return {}
    return {key: str(scene.attributes[key]) for key in SUBJECT[scene.family] if key in scene.attributes}


def still(scene: Scene, width: int, height: int, time: float) -> UInt8[np.ndarray, "H W 3"]:
    """The picture of a scene `time` s after it began."""
    canvas = Canvas(width, height)
    scene.backdrop(canvas)
    scene.paint(canvas, time)
    picture = np.empty((height, width, 3), np.uint8)
    canvas.uint8(out=picture)
    return picture


def elsewhere(scene: Scene, number: int) -> tuple[Scene, float]:
    """Another scene with the subject of `scene`, and a time in it; `number` counts those of one scene, from 0.

    A face is the same in every part only in its own scene, so it gets another background there. Where no other scene
    can be had it is the same one, at another time.
    """
    rng = np.random.default_rng([scene.seed, number, 12])
    time = float(rng.uniform(0, scene.seconds))
    if scene.family == "face":
        own = {str(value) for value in scene.attributes.values()}
        walls = [wall for wall in BACKGROUNDS if wall not in own]
        found = Variant.of("face", scene.seed, scene.seconds).changed("background", str(rng.choice(walls)))
        return (found.scene if found else scene), time
    for attempt in range(TRIES):
        seed = FIRST + (scene.seed * MOST + number) * TRIES + attempt
        found = _with(subject(scene), Variant.of(scene.family, seed, scene.seconds))
        if found is not None:
            return found.scene, time
    return scene, time


def _with(wanted: Mapping[str, str], other: Variant) -> Variant | None:
    """Another scene with all the attributes that are wanted; None where it cannot have them."""
    if str(other.scene.attributes.get("count", "")) != wanted.get("count", ""):
        return None
    found: Variant | None = other
    done: list[str] = ["count"]
    for key, value in wanted.items():
        if key != "count" and found is not None:
            found = found.changed(key, value, done)
            done.append(key)
    return found


def bare(caption: str, told: Mapping[str, str]) -> str:
    """A caption without the words for what pictures tell, such as the colour of a ball."""
    for value in told.values():
        caption = re.sub(rf"\b{re.escape(value)}\b(?:-\w+)? ?", "", caption)
    caption = re.sub(r"\b([Aa])n (?=[^aeiouAEIOU])", r"\1 ", caption)
    caption = re.sub(r"\b([Aa]) (?=[aeiouAEIOU])", r"\1n ", caption)
    return re.sub(r" +([,.;:])", r"\1", re.sub(r"  +", " ", caption)).strip()


def spoken_of(scene: Scene) -> dict[str, str]:
    """Those attributes of the subject that `bare` leaves out of captions: not who or what it is, or how many."""
    return {key: value for key, value in subject(scene).items() if key not in ("person", "vessel", "count")}


@dataclass(frozen=True)
class ReferencePlan:
    """Shards of MOST stills each for the first `scenes` clips of a `split`, as latents of the codec at `codec` or raw.

    Stills MOST i and on belong to the clip of seed i; their records say under "subject" what they tell. For a clip
    without a subject they are black, and their records say nothing.
    """

    world: WorldConfig
    split: str
    scenes: int
    codec: str | None = None

    @property
    def clips(self) -> int:
        """Stills."""
        return MOST * self.scenes

    @property
    def whole(self) -> int:
        """`clips`, rounded up to full shards."""
        return full(self.clips)

    @property
    def key(self) -> str:
        """Name of the folder; `scenes` is not in it: sets grow."""
        return variants.folder("references", self.split, self.world, self.codec, __file__)

    def clip(self, index: int) -> RawClip:
        """Render a still: a clip of one frame, with the silence that belongs to it."""
        seed, size = seed_of(self.split, index // MOST), (self.world.width, self.world.height)
        scene = world.sample(seed, self.world.frames / PONY.fps, self.world.families or None)
        told = spoken_of(scene)
        picture = np.zeros((size[1], size[0], 3), np.uint8)
        if subject(scene):
            other, time = elsewhere(scene, index % MOST)
            picture = still(other, *size, time)
        return RawClip(picture[None], np.zeros(SAMPLES, np.float32), {"seed": seed, "subject": told})


class References:
    """Clips with a subject, as a sequence; their records hold the latents of MOST stills under "references"."""

    def __init__(self, clips: Shards, stills: Shards) -> None:
        """`stills` are those of the first of the `clips`. Raises ValueError where none of these has a subject."""
        self.clips, self.stills = clips, stills
        told = [record["subject"] for record in stills.records[::MOST]]
        self.chosen = [index for index in range(min(len(clips), len(told))) if told[index]]
        if not self.chosen:
            raise ValueError(
                f"none of the clips shows a subject; choose families among {', '.join(SUBJECT)}, or set "
                "flow.flow.conditions.references=0"
            )
        self.records: list[dict[str, Any]] = [_told(clips.records[i], told[i]) for i in self.chosen]

    def __len__(self) -> int:
        return len(self.chosen)

    def batch(self, size: int, seed: int, step: int) -> list[int]:
        """Clips of the batch of `step`, `size` of them, a pure function of (seed, step)."""
        return indices(len(self), size, seed, step)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor, dict[str, Any]]:
        """Video, audio and record of a clip, its record with "references": latents [MOST, C, Y, X]."""
        clip = self.chosen[index]
        video, audio, _ = self.clips[clip]
        stills = torch.stack([self.stills[MOST * clip + number][0][:, 0] for number in range(MOST)])
        return video, audio, self.records[index] | {"references": stills}


def _told(record: dict[str, Any], told: Mapping[str, str]) -> dict[str, Any]:
    """A record whose captions are also there without what the pictures tell."""
    return record | {"captions": [*record["captions"], *(bare(line, told) for line in record["captions"])]}
