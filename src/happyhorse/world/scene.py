"""Scenes: what a sample of the procedural world is, and how one is drawn, painted and heard.

A scene is a short story with exact ground truth: functions that paint it at any time and any size, a
function that sounds it at any rate, the events that are both seen and heard, and captions. Everything is a
deterministic function of (family, seed, seconds).
"""

import difflib
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec

import numpy as np

from happyhorse.world.draw import Canvas
from happyhorse.world.espeak import MISSING

FPS = 25
"""Frames a second of a clip, where nothing else is asked for."""
RATE = 16_000
"""Samples a second of a clip, where nothing else is asked for; event times are counted in them."""

SPREAD = 0.25
"""Share of its range within which a number falls that no caption tells (decision 0022)."""
DETAILS = 4
"""How many sets of details there are that no caption tells: shades of bricks, blades of grass, the crown of a tree."""

Attributes = Mapping[str, str | int | float]


@dataclass(frozen=True)
class Event:
    """Something seen and heard at one moment.

    kind: "impact", "hoof", "note", "strike", "tick", "flash", ...; sample: onset at 16 kHz; (x, y): where,
    in picture units (x from the centre column, y down from the top, one unit is the picture's height).
    """

    kind: str
    sample: int
    x: float
    y: float
    attrs: Attributes = field(default_factory=dict)


@dataclass(frozen=True)
class Phoneme:
    """One sound of speech: its IPA symbol, and where it starts and ends in samples at 16 kHz."""

    symbol: str
    start: int
    end: int


@dataclass(frozen=True)
class Line:
    """A spoken line with its phonemes in time."""

    text: str
    language: str
    speaker: str
    phonemes: tuple[Phoneme, ...]


@dataclass(frozen=True)
class Scene:
    """One sample of the world.

    attributes: exact facts ({"color": "red", "floor": "wooden", "count": 1}); events: sorted by sample;
    captions: four or more paraphrases for training, heldout: two or more whose wordings never occur among
    any captions; backdrop(canvas): paints what stands still; paint(canvas, t): paints what moves at t
    seconds over a copy of the backdrop; sound(rate): float32 [round(seconds * rate)] within -1..1;
    track(times [F]): ground truth per frame by name, [F] or [F, 2].
    """

    family: str
    seed: int
    seconds: float
    attributes: Attributes
    events: tuple[Event, ...]
    captions: tuple[str, ...]
    heldout: tuple[str, ...]
    backdrop: Callable[[Canvas], None]
    paint: Callable[[Canvas, float], None]
    sound: Callable[[int], np.ndarray]
    track: Callable[[np.ndarray], dict[str, np.ndarray]]
    lines: tuple[Line, ...] = ()

    def __post_init__(self) -> None:
        samples = [event.sample for event in self.events]
        assert samples == sorted(samples), "events must be sorted by sample"
        assert not set(self.captions) & set(self.heldout), "a held-out wording must not be a caption"


@dataclass(frozen=True)
class Family:
    """Where a family of scenes is made: `module` in this package, `function(rng, seed, seconds) -> Scene`,
    how often `sample` takes it, and the third-party module it needs, if any."""

    module: str
    function: str
    weight: float
    requires: str | None = None

    @property
    def available(self) -> bool:
        """Whether what the family needs is installed; costs no import."""
        return self.requires is None or find_spec(self.requires) is not None


TABLE: Mapping[str, Family] = {
    "balls": Family("balls", "make", 3.0),
    "horse": Family("horse", "make", 2.5),
    "xylophone": Family("xylophone", "make_xylophone", 1.5),
    "piano": Family("piano", "make_piano", 1.0),
    "clock": Family("clock", "make_clock", 0.7),
    "hammer": Family("hammer", "make_hammer", 1.2),
    "drum": Family("drum", "make_drum", 0.8),
    "tap": Family("tap", "make_tap", 0.8),
    "rain": Family("rain", "make_rain", 0.6),
    "thunder": Family("thunder", "make_thunder", 0.8),
    "sea": Family("sea", "make_sea", 0.6),
    "wind": Family("wind", "make_wind", 0.6),
    "crickets": Family("crickets", "make_crickets", 0.6),
    "fire": Family("fire", "make_fire", 0.6),
    "face": Family("face", "make", 4.0, requires="espeakng_loader"),
    "dialogue": Family("face", "make_dialogue", 0.6, requires="espeakng_loader"),
}
FAMILIES: tuple[str, ...] = tuple(TABLE)


def available() -> tuple[str, ...]:
    """The families whose requirements are installed, in the order of FAMILIES."""
    return tuple(name for name, family in TABLE.items() if family.available)


def about(rng: np.random.Generator, low: float, high: float) -> float:
    """A number that no caption tells, such as where a clock hangs: uniform in the middle SPREAD of low..high."""
    middle, half = (low + high) / 2, SPREAD * (high - low) / 2
    return float(rng.uniform(middle - half, middle + half))


def details(seed: int) -> int:
    """Which of the DETAILS sets of details the scene of a seed has, 0 .. DETAILS - 1."""
    return seed % DETAILS


def sample(seed: int, seconds: float = 3.0, families: str | Sequence[str] | None = None) -> Scene:
    """The scene of a seed: the same arguments give the same scene, sound and pixels.

    families: a name, or names to choose among by their weights; None means all that are `available()`. With
    a single name the scene is the one that any other choice of this family gives for the seed. Raises
    ValueError for an unknown family, an empty choice, a negative seed, a length that is not positive, or a
    named family whose requirement is not installed.
    """
    if seed < 0:
        raise ValueError(f"a seed must not be negative, got {seed}; give 0 or more")
    if not 0.0 < seconds < float("inf"):
        raise ValueError(f"a scene cannot last {seconds} seconds; give a length above 0")
    names = available() if families is None else (families,) if isinstance(families, str) else tuple(families)
    if not names:
        raise ValueError(f"no family to choose from; name some of {', '.join(FAMILIES)}")
    for name in names:
        if name not in TABLE:
            near = difflib.get_close_matches(name, FAMILIES, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"take some of {', '.join(FAMILIES)}"
            raise ValueError(f"no family of scenes called {name!r}; {hint}")
        if not TABLE[name].available:
            raise ValueError(f"no scenes of the family {name!r} here: {MISSING}")
    weights = np.array([TABLE[name].weight for name in names])
    chooser = np.random.default_rng([seed, zlib.crc32(b"family")])
    name = names[
        int(np.searchsorted(np.cumsum(weights / weights.sum())[:-1], chooser.random(), side="right"))
    ]
    family = TABLE[name]
    make = getattr(import_module(f"happyhorse.world.{family.module}"), family.function)
    return make(np.random.default_rng([seed, zlib.crc32(name.encode())]), seed, seconds)


def render(scene: Scene, width: int, height: int, fps: float = FPS, frames: int | None = None) -> np.ndarray:
    """uint8 [F, height, width, 3]: frame f shows the scene at f / fps seconds; F = frames, or round(seconds
    * fps)."""
    count = round(scene.seconds * fps) if frames is None else frames
    backdrop = Canvas(width, height)
    scene.backdrop(backdrop)
    video = np.empty((count, height, width, 3), np.uint8)
    for index in range(count):
        canvas = backdrop.copy()
        scene.paint(canvas, index / fps)
        canvas.uint8(out=video[index])
    return video


def hear(scene: Scene, rate: int = RATE, samples: int | None = None) -> np.ndarray:
    """float32 [N] at `rate` Hz; with `samples`, cut or padded with silence to that length."""
    wave = scene.sound(rate)
    if samples is None or samples == len(wave):
        return wave
    return np.pad(wave[:samples], (0, max(0, samples - len(wave))))
