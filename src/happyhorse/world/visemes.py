"""Phonemes in time -> the shape of a mouth in time: how far open, how wide, how rounded, teeth, tongue.

Neighbouring sounds blend (co-articulation) by dominance functions: every sound pulls the mouth towards its target
with a weight that falls off exponentially in time on both sides, and the shape is the weighted mean (Cohen and
Massaro, "Modeling coarticulation in synthetic visual speech", 1993). Two things are exact and not blended: during
the closure of p, b, m the lips touch (aperture 0, for at least CLOSURE so that a frame at 25 fps always shows it),
and in silence the mouth is closed.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from happyhorse.world.scene import RATE, Phoneme
from happyhorse.world.speech import PAUSE, split

CLOSURE = 0.05
"""Shortest time in seconds for which the lips touch at p, b, m: longer than a frame at 25 fps."""

BILABIALS = frozenset("pbm")
TRACKS = ("aperture", "width", "rounding", "teeth", "tongue")

_OPENING, _CLOSING = 0.05, 0.06  # seconds the lips take around a closure
_WAKING, _RESTING = 0.09, 0.12  # seconds from rest to speech and back
_LEAD = (
    0.012  # seconds by which lips lead: with it, opening and loudness of our voices correlate best at no lag
)
_REST_GAP = 0.16  # a longer silence between sounds closes the mouth


@dataclass(frozen=True)
class Viseme:
    """Target of a sound, all in 0..1: aperture (lips' distance), width (spread), rounding, teeth and tongue
    (how much shows), and the weight with which it pulls."""

    aperture: float
    width: float
    rounding: float
    teeth: float
    tongue: float
    weight: float = 1.0


_VOWELS = {
    "aäɑ": Viseme(1.0, 0.55, 0.0, 0.35, 0.5),
    "æ": Viseme(0.92, 0.8, 0.0, 0.5, 0.5),
    "ɐʌ": Viseme(0.78, 0.5, 0.0, 0.35, 0.45),
    "ɛ": Viseme(0.66, 0.75, 0.0, 0.5, 0.4),
    "e": Viseme(0.52, 0.85, 0.0, 0.55, 0.4),
    "ə": Viseme(0.46, 0.45, 0.0, 0.35, 0.3, 0.7),
    "ɜɚ": Viseme(0.5, 0.4, 0.25, 0.35, 0.3),
    "ɪᵻ": Viseme(0.38, 0.85, 0.0, 0.6, 0.3),
    "i": Viseme(0.3, 1.0, 0.0, 0.8, 0.2),
    "ɿʅ": Viseme(0.24, 0.8, 0.0, 0.9, 0.2),
    "ɯ": Viseme(0.3, 0.6, 0.15, 0.5, 0.2),
    "ɔɒ": Viseme(0.78, 0.3, 0.55, 0.1, 0.35),
    "o": Viseme(0.6, 0.2, 0.8, 0.0, 0.3),
    "ɤ": Viseme(0.5, 0.5, 0.1, 0.3, 0.3),
    "ʊ": Viseme(0.4, 0.2, 0.8, 0.1, 0.2),
    "u": Viseme(0.3, 0.0, 1.0, 0.0, 0.1),
    "yʏ": Viseme(0.3, 0.1, 0.95, 0.1, 0.1),
    "ø": Viseme(0.48, 0.2, 0.85, 0.1, 0.2),
    "œɵ": Viseme(0.6, 0.3, 0.65, 0.2, 0.3),
}
_CONSONANTS = {
    "pbm": Viseme(0.05, 0.5, 0.1, 0.0, 0.0, 1.5),
    "fv": Viseme(0.16, 0.6, 0.0, 1.0, 0.0, 2.2),
    "ɸ": Viseme(0.12, 0.3, 0.5, 0.2, 0.0, 1.8),
    "θð": Viseme(0.26, 0.6, 0.0, 0.6, 1.0, 1.6),
    "td": Viseme(0.22, 0.6, 0.0, 0.9, 0.3, 0.9),
    "n": Viseme(0.24, 0.6, 0.0, 0.7, 0.5, 0.8),
    "sz": Viseme(0.17, 0.75, 0.0, 1.0, 0.1, 1.6),
    "ʃʒ": Viseme(0.22, 0.2, 0.7, 0.9, 0.1, 1.7),
    "ʂʐʈ": Viseme(0.22, 0.4, 0.45, 0.9, 0.1, 1.5),
    "ɕʑ": Viseme(0.19, 0.8, 0.0, 1.0, 0.1, 1.6),
    "lɫ": Viseme(0.36, 0.6, 0.0, 0.4, 1.0, 1.0),
    "ɾɽr": Viseme(0.3, 0.55, 0.0, 0.5, 0.7, 0.7),
    "ɹ": Viseme(0.26, 0.25, 0.6, 0.4, 0.2, 1.2),
    "ʁχxh": Viseme(0.42, 0.5, 0.0, 0.3, 0.2, 0.25),
    "ç": Viseme(0.26, 0.85, 0.0, 0.8, 0.2, 0.9),
    "kɡŋɴqʔɲ": Viseme(0.36, 0.5, 0.0, 0.4, 0.2, 0.3),
    "j": Viseme(0.28, 0.9, 0.0, 0.7, 0.2, 1.0),
    "wɥ": Viseme(0.13, 0.0, 1.0, 0.0, 0.0, 1.8),
}
_VISEMES = {
    letter: shape
    for table in (_VOWELS, _CONSONANTS)
    for letters, shape in table.items()
    for letter in letters
}
_VOWEL_LETTERS = frozenset("".join(_VOWELS))
_NEUTRAL = Viseme(0.36, 0.5, 0.0, 0.3, 0.2, 0.3)


@dataclass(frozen=True)
class Closure:
    """Lips touching for p, b or m: the symbol's sound, and the samples at RATE where they meet and part."""

    sound: str
    start: int
    end: int


def closures(phonemes: Sequence[Phoneme], releases: Sequence[int]) -> tuple[Closure, ...]:
    """The closures of the lips in a line, in order, one for each p, b and m."""
    found = []
    for phoneme, release in zip(phonemes, releases, strict=True):
        sound = split(phoneme.symbol)[1]
        if sound[:1] in BILABIALS:
            found.append(Closure(sound, min(phoneme.start, release - round(CLOSURE * RATE)), release))
    return tuple(found)


def targets(symbol: str) -> tuple[Viseme, ...]:
    """The mouth shapes of a phoneme symbol in their order: two for a diphthong, one for any other sound."""
    letters = [letter for letter in split(symbol)[1] if letter in _VISEMES]
    if len(letters) > 1 and letters[0] not in _VOWEL_LETTERS:
        # of an affricate (ts, tʃ) the second part is seen, of another pair (pʰ has one letter, pf two) the first
        letters = letters[1:] if letters[0] in "tdʈ" else letters[:1]
    shapes = [_VISEMES[letter] for letter in letters]
    return (shapes[0], shapes[-1]) if len(shapes) > 1 else (shapes[0] if shapes else _NEUTRAL,)


def mouth(phonemes: Sequence[Phoneme], releases: Sequence[int], times: np.ndarray) -> dict[str, np.ndarray]:
    """The mouth at times [F] in seconds: TRACKS name -> [F] in 0..1, aperture exactly 0 in closures and in silence.

    phonemes and releases are in samples at scene.RATE on the clock of `times`; pauses may be among them.
    """
    shapes, middles, spans = [], [], []
    for phoneme in phonemes:
        if phoneme.symbol == PAUSE:
            continue
        parts = targets(phoneme.symbol)
        length = (phoneme.end - phoneme.start) / RATE
        for index, shape in enumerate(parts):
            shapes.append(shape)
            middles.append(phoneme.start / RATE + length * (index + 0.5) / len(parts))
            spans.append(length / len(parts))
    rest = np.zeros((len(TRACKS), len(times)))
    rest[1] = 0.5
    if not shapes:
        return dict(zip(TRACKS, rest, strict=True))
    distance = np.abs(times[:, None] + _LEAD - np.array(middles)) / (0.35 * np.array(spans) + 0.012)
    weight = np.array([shape.weight for shape in shapes]) * np.exp(-distance) + 1e-12
    values = np.array([[getattr(shape, name) for name in TRACKS] for shape in shapes])
    blended = (weight @ values / weight.sum(axis=1, keepdims=True)).T
    spoken = _spoken(phonemes, times)
    tracks = rest + (blended - rest) * spoken
    for closure in closures(phonemes, releases):
        tracks[0] *= np.maximum(
            np.clip((closure.start / RATE - times) / _CLOSING, 0, 1),
            np.clip((times - closure.end / RATE) / _OPENING, 0, 1),
        )
    return dict(zip(TRACKS, tracks, strict=True))


def _spoken(phonemes: Sequence[Phoneme], times: np.ndarray) -> np.ndarray:
    """[F]: 1 while speech goes on, 0 in silence, smooth between: the mouth wakes before the sound and rests after."""
    runs: list[list[float]] = []
    for phoneme in phonemes:
        if phoneme.symbol == PAUSE:
            continue
        start, end = phoneme.start / RATE, phoneme.end / RATE
        if runs and start - runs[-1][1] < _REST_GAP:
            runs[-1][1] = end
        else:
            runs.append([start, end])
    level = np.zeros(len(times))
    for start, end in runs:
        rise = np.clip((times - start) / _WAKING + 1, 0, 1)
        fall = np.clip((end - times) / _RESTING + 1, 0, 1)
        level = np.maximum(level, np.minimum(rise, fall))
    return level * level * (3 - 2 * level)
