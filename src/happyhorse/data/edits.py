"""Pairs to learn editing from: a scene, an instruction, and the same scene with what it names changed.

A thing has another colour, the place or the weather is another one, or the sound is that of something else or gone.
The result is rendered, so it is right to the pixel and to the sample, and all that the instruction does not name is
equal. An instruction has wordings for training and others, which are kept out of it, to judge by.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, get_args

import numpy as np
from torch import Tensor

from happyhorse import world
from happyhorse.codec.audio import SAMPLES
from happyhorse.data import variants
from happyhorse.data.batches import indices
from happyhorse.data.shards import Shards, full
from happyhorse.data.source import RawClip, WorldConfig, record_of, seed_of
from happyhorse.data.variants import Variant
from happyhorse.values import PONY
from happyhorse.world.captions import fill
from happyhorse.world.horse_figure import COATS
from happyhorse.world.landscape import SKIES
from happyhorse.world.palette import COLORS
from happyhorse.world.rooms import BACKGROUNDS, WALLS
from happyhorse.world.scene import Scene, hear, render

Kind = Literal["colour", "background", "sound"]


@dataclass(frozen=True)
class Change:
    """What an edit may change of a family: the attribute `key`, to one of `values`; `names` of the thing in
    instructions, of which "{...}" are attributes.
    """

    key: str
    values: Sequence[str]
    names: tuple[str, ...]


_WALL = ("wall", "background", "wall in the background")
COLOR: Mapping[str, Change] = {
    "balls": Change("color", tuple(COLORS), ("ball",)),
    "horse": Change("color", tuple(COATS), ("horse",)),
    "piano": Change("color", tuple(COLORS), ("piano",)),
    "clock": Change("color", tuple(COLORS), ("clock",)),
    "hammer": Change("handle", tuple(COLORS), ("handle", "handle of the hammer", "hammer's handle")),
    "drum": Change("color", tuple(COLORS), ("drum",)),
    "tap": Change("color", tuple(COLORS), ("{vessel}",)),
    "rain": Change("color", tuple(COLORS), ("house",)),
    "face": Change("shirt", tuple(COLORS), ("shirt", "shirt of the {person}", "{person}'s shirt")),
}
"""The thing of a family whose colour an edit changes."""

BACKGROUND: Mapping[str, Change] = {
    "balls": Change("wall", WALLS, _WALL),
    "horse": Change("sky", SKIES, ("weather",)),
    "xylophone": Change("background", BACKGROUNDS, _WALL),
    "piano": Change("background", BACKGROUNDS, _WALL),
    "clock": Change("wall", WALLS, _WALL),
    "hammer": Change("wall", WALLS, _WALL),
    "drum": Change("wall", WALLS, _WALL),
    "tap": Change("wall", WALLS, ("wall", "background", "tiles")),
    "face": Change("background", BACKGROUNDS, _WALL),
    "dialogue": Change("background", BACKGROUNDS, _WALL),
}
"""What lies behind the things of a family, as an edit changes it."""

SOUNDS: Mapping[str, tuple[str, ...]] = {
    "rain": ("rain", "the sound of rain", "falling rain"),
    "thunder": ("thunder", "the sound of thunder", "a thunderstorm"),
    "sea": ("the sea", "waves", "the sound of the sea"),
    "wind": ("wind", "the sound of wind", "wind in the leaves"),
    "crickets": ("crickets", "the chirping of crickets", "a cricket"),
    "fire": ("a fire", "a crackling fire", "the crackling of a fire"),
}
"""Families whose sound an edit puts in the place of another, with its names."""

WEATHER: Mapping[str, tuple[str, ...]] = {
    "sunny": ("sunshine", "a sunny day"),
    "cloudy": ("a cloudy sky", "gray clouds"),
    "sunset": ("sunset", "an evening sky"),
    "night": ("night", "a night sky"),
    "rain": ("rain", "a rainy sky"),
}

COLOR_WORDS = (
    "make the {thing} {to}",
    "turn the {thing} {to}",
    "change the color of the {thing} to {to}",
    "change the colour of the {thing} from {old} to {to}",
    "recolor the {thing}: {to}",
    "the {thing} should be {to}, not {old}",
    "paint the {thing} {to} and leave everything else as it is",
    "the same clip, but the {thing} is {to}",
    "make the {old} {thing} {to}",
)
COLOR_HELDOUT = ("let the {thing} become {to}", "give the {thing} a {to} color instead of {old}")
BACKGROUND_WORDS = (
    "make the {thing} {to}",
    "change the {thing} to {to}",
    "change the background to {to}",
    "change the {thing} from {old} to {to}",
    "replace the {old} {thing} by a {to} one",
    "the {thing} should be {to}",
    "the same clip in front of something {to}",
    "keep everything, but make the background {to}",
)
BACKGROUND_HELDOUT = ("let the {thing} behind it become {to}", "swap the {old} background for a {to} one")
WEATHER_WORDS = (
    "change the weather to {to}",
    "change the background to {to}",
    "change the sky from {old} to {to}",
    "replace {old} by {to}",
    "turn {old} into {to}",
    "the same clip, but with {to}",
    "keep the horse, and change the rest to {to}",
)
WEATHER_HELDOUT = ("let there be {to} around it", "swap the background for {to}")
SOUND_WORDS = (
    "replace the sound with {to}",
    "change the sound to {to}",
    "let it sound like {to}",
    "put {to} in the place of the sound",
    "keep the picture, and replace the sound by {to}",
    "the same clip with {to} as its sound",
)
SOUND_HELDOUT = ("exchange what is heard for {to}", "swap the sound for {to}")
SILENCE_WORDS = (
    "remove the sound",
    "make it silent",
    "take the sound away",
    "the same clip without sound",
    "mute it",
)
SILENCE_HELDOUT = ("drop the sound altogether", "let nothing be heard")
SILENCE = "silence"
WORDINGS = 6  # of one instruction


@dataclass(frozen=True, eq=False)
class Edit:
    """A clip `source`, what is done to it, and the scene that `result` shows; where the sound is replaced it is that
    of `sound`, or none (None there).

    kind: what changes; old, to: the attribute's values or names of sounds; instructions in training wordings, heldout
    in others.
    """

    kind: Kind
    source: Scene
    result: Scene
    old: str
    to: str
    instructions: tuple[str, ...]
    heldout: tuple[str, ...]
    sound: Scene | None = None

    def heard(self, rate: int, samples: int) -> np.ndarray:
        """The sound of the result: float32 [samples] at `rate` Hz."""
        if self.kind != "sound":
            return hear(self.result, rate, samples)
        return np.zeros(samples, np.float32) if self.sound is None else hear(self.sound, rate, samples)


def edit(family: str, seed: int, seconds: float, kind: Kind | None = None) -> Edit | None:
    """An edit of the scene that the world has for `family` and `seed`; what it changes follows from the seed.

    `kind` is what changes (None: any). None where this scene has nothing of that kind to change.
    """
    rng = np.random.default_rng([seed, 11])
    kinds: tuple[Kind, ...] = get_args(Kind) if kind is None else (kind,)
    order: list[Kind] = [kinds[int(i)] for i in rng.permutation(len(kinds))]
    whole = Variant.of(family, seed, seconds)
    for one in order:
        found = _sound(whole.scene, rng) if one == "sound" else _visible(one, whole, rng)
        if found is not None:
            return found
    return None


def _visible(kind: Kind, whole: Variant, rng: np.random.Generator) -> Edit | None:
    scene = whole.scene
    change = (COLOR if kind == "colour" else BACKGROUND).get(scene.family)
    # which of two balls is meant takes more words than these
    if change is None or "color2" in scene.attributes:
        return None
    taken = {str(value) for value in scene.attributes.values()}
    values = [value for value in change.values if value not in taken]
    for to in (values[int(i)] for i in rng.permutation(len(values))[:2]):
        result = whole.changed(change.key, to)
        if result is not None:
            words = _words(kind, scene, change, str(scene.attributes[change.key]), to, rng)
            return Edit(kind, scene, result.scene, str(scene.attributes[change.key]), to, *words)
    return None


def _words(
    kind: Kind, scene: Scene, change: Change, old: str, to: str, rng: np.random.Generator
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    things = [name.format_map(scene.attributes) for name in change.names]
    slots: dict[str, Any] = {"thing": things, "old": old, "to": to}
    if kind == "colour":
        return _filled(COLOR_WORDS, COLOR_HELDOUT, slots, rng)
    if change.key == "sky":
        slots |= {"old": WEATHER[old], "to": WEATHER[to]}
        return _filled(WEATHER_WORDS, WEATHER_HELDOUT, slots, rng)
    return _filled(BACKGROUND_WORDS, BACKGROUND_HELDOUT, slots, rng)


def _sound(scene: Scene, rng: np.random.Generator) -> Edit:
    names = [name for name in SOUNDS if name != scene.family]
    number = int(rng.integers(len(names) + 1))
    if number == len(names):
        words = _filled(SILENCE_WORDS, SILENCE_HELDOUT, {}, rng)
        return Edit("sound", scene, scene, scene.family, SILENCE, *words)
    to = names[number]
    words = _filled(SOUND_WORDS, SOUND_HELDOUT, {"to": SOUNDS[to]}, rng)
    sound = world.sample(scene.seed, scene.seconds, to)
    return Edit("sound", scene, scene, scene.family, to, *words, sound)


def _filled(
    training: Sequence[str], heldout: Sequence[str], slots: Mapping[str, Any], rng: np.random.Generator
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    chosen = [training[int(i)] for i in rng.permutation(len(training))[:WORDINGS]]
    said = dict.fromkeys(fill(line, slots, rng) for line in chosen)
    return tuple(said), tuple(fill(line, slots, rng) for line in heldout)


@dataclass(frozen=True)
class EditPlan:
    """Shards of `pairs` edits of a `split`, as latents of the codec at `codec` or raw where it is None.

    Clips 2 i and 2 i + 1 are the source and the result of pair i; the record of the result has the instructions as its
    captions, and says under "edit" what was changed.
    """

    world: WorldConfig
    split: str
    pairs: int
    codec: str | None = None

    @property
    def clips(self) -> int:
        """Two a pair."""
        return 2 * self.pairs

    @property
    def whole(self) -> int:
        """`clips`, rounded up to full shards."""
        return full(self.clips)

    @property
    def key(self) -> str:
        """Name of the folder; `pairs` is not in it: sets grow."""
        return variants.folder("edits", self.split, self.world, self.codec, __file__)

    def clip(self, index: int) -> RawClip:
        """Render the source or the result of a pair."""
        pair = _pair(self.split, index // 2, self.world)
        size = (self.world.width, self.world.height, PONY.fps, self.world.frames)
        samples = self.world.frames * SAMPLES
        if index % 2 == 0:
            return RawClip(
                render(pair.source, *size), hear(pair.source, PONY.rate, samples), record_of(pair.source)
            )
        record = record_of(pair.result) | {
            "captions": list(pair.instructions),
            "heldout": list(pair.heldout),
            "phones": [],  # what is said, an edit takes from the clip
            "languages": [],
            "edit": {"kind": pair.kind, "old": pair.old, "to": pair.to},
        }
        return RawClip(render(pair.result, *size), pair.heard(PONY.rate, samples), record)


@lru_cache(maxsize=2)
def _pair(split: str, index: int, settings: WorldConfig) -> Edit:
    """Pair `index`: of the scene of that seed, for which an edit of some kind always exists: its sound."""
    seed, seconds = seed_of(split, index), settings.frames / PONY.fps
    found = edit(world.sample(seed, seconds, settings.families or None).family, seed, seconds)
    assert found is not None
    return found


class Edits:
    """Shards of an `EditPlan` as a sequence of results, whose records hold the source's latents under "before"."""

    def __init__(self, shards: Shards) -> None:
        self.shards = shards
        self.records: list[dict[str, Any]] = shards.records[1::2]

    def __len__(self) -> int:
        return len(self.shards) // 2

    def batch(self, size: int, seed: int, step: int) -> list[int]:
        """Pairs of the batch of `step`, `size` of them, a pure function of (seed, step)."""
        return indices(len(self), size, seed, step)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor, dict[str, Any]]:
        """Video, audio and record of the result of a pair, its record with "before": video and audio of the other."""
        video, audio, record = self.shards[2 * index + 1]
        return video, audio, record | {"before": self.shards[2 * index][:2]}
