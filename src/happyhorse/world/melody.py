"""Melodies the instruments of the world can play: named patterns and the openings of tunes in the public domain."""

from dataclasses import dataclass

import numpy as np

from happyhorse.world.scene import RATE

MAJOR = (0, 2, 4, 5, 7, 9, 11)
NAMES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
TEMPI = {"slow": (0.52, 0.64), "medium": (0.34, 0.42), "fast": (0.20, 0.26)}
TEMPO_WORDS = {
    "slow": ("slowly", "at a slow tempo", "in a slow tempo"),
    "medium": ("at a medium tempo", "at a moderate speed", "not too fast"),
    "fast": ("fast", "quickly", "at a fast tempo"),
}

# Steps of the major scale above the tonic, one a beat unless ":beats" says otherwise.
TUNES = {
    "Twinkle Twinkle Little Star": "0 0 4 4 5 5 4:2 3 3 2 2 1 1 0:2",
    "Frère Jacques": "0 1 2 0 0 1 2 0 2 3 4:2 2 3 4:2",
    "Ode to Joy": "2 2 3 4 4 3 2 1 0 0 1 2 2:1.5 1:.5 1:2",
    "Mary Had a Little Lamb": "2 1 0 1 2 2 2:2 1 1 1:2 2 4 4:2",
    "Jingle Bells": "2 2 2:2 2 2 2:2 2 4 0:1.5 1:.5 2:4",
    "London Bridge": "4:1.5 5:.5 4 3 2 3 4:2 1 2 3:2 2 3 4:2",
    "Au clair de la lune": "0 0 0 1 2:2 1:2 0 2 1 1 0:4",
}

PHRASES = {
    "rising scale": ("a rising scale", "a scale going up", "an ascending scale"),
    "falling scale": ("a falling scale", "a scale going down", "a descending scale"),
    "same note": ("the same note again and again", "one note over and over", "a single repeated note"),
    "arpeggio": ("an arpeggio", "a broken chord", "an arpeggio up and down"),
    "up and down": (
        "a scale up and down",
        "a few notes up and back down",
        "a melody that goes up and then down",
    ),
    "two notes": ("two alternating notes", "two notes in turn", "two notes back and forth"),
    "random": ("a random melody", "a random tune", "random notes"),
    "Twinkle Twinkle Little Star": ("Twinkle Twinkle Little Star", "Twinkle Twinkle"),
    "Frère Jacques": ("Frère Jacques", "Frere Jacques"),
    "Ode to Joy": ("Ode to Joy", "the Ode to Joy"),
    "Mary Had a Little Lamb": ("Mary Had a Little Lamb",),
    "Jingle Bells": ("Jingle Bells",),
    "London Bridge": ("London Bridge", "London Bridge Is Falling Down"),
    "Au clair de la lune": ("Au clair de la lune",),
}


@dataclass(frozen=True)
class Note:
    """sample: onset at 16 kHz; step: of the major scale above the tonic, 0..7; seconds: until the next note is due."""

    sample: int
    step: int
    seconds: float


def choose(rng: np.random.Generator) -> str:
    """The name of a melody, patterns twice as often as tunes."""
    names = list(PHRASES)
    weight = np.array([0.5 if name in TUNES else 1.0 for name in names])
    return names[int(rng.choice(len(names), p=weight / weight.sum()))]


def steps(name: str, rng: np.random.Generator) -> list[tuple[int, float]]:
    """One pass of the melody: (step 0..7, beats); the random one has 32 notes, never the same twice in a row."""
    if name in TUNES:
        parts = [part.split(":") for part in TUNES[name].split()]
        return [(int(part[0]), float(part[1]) if len(part) > 1 else 1.0) for part in parts]
    first = int(rng.integers(0, 3))
    if name == "rising scale":
        line = list(range(first, 8))
    elif name == "falling scale":
        line = list(range(7 - first, -1, -1))
    elif name == "same note":
        line = [int(rng.integers(0, 8))]
    elif name == "arpeggio":
        line = [0, 2, 4, 7, 4, 2] if rng.random() < 0.7 else [0, 2, 4, 2]
    elif name == "up and down":
        top = int(rng.integers(3, 6))
        line = [*range(first, first + top), *range(first + top - 2, first, -1)]
    elif name == "two notes":
        low = int(rng.integers(0, 6))
        line = [low, int(rng.integers(low + 1, 8))]
        line = line if rng.random() < 0.5 else line[::-1]
    else:
        line = [int(rng.integers(0, 8))]
        for _ in range(31):
            line.append(int(rng.choice([k for k in range(8) if k != line[-1] and abs(k - line[-1]) <= 5])))
    return [(step, 1.0) for step in line]


def perform(
    name: str, beat: float, start: float, seconds: float, rng: np.random.Generator
) -> tuple[Note, ...]:
    """The melody from `start` s on, `beat` s to the beat, over and over; one note at least, and 0.2 s for the last."""
    line = steps(name, rng)
    notes: list[Note] = []
    time = min(start, 0.4 * seconds)
    while True:
        for step, beats in line:
            if notes and time > seconds - 0.2:
                return tuple(notes)
            notes.append(Note(round(time * RATE), step, beats * beat))
            time += beats * beat


def semitone(step: int) -> int:
    """Semitones of a step of the major scale above its tonic."""
    return 12 * (step // 7) + MAJOR[step % 7]


def pitch(midi: int) -> float:
    """Frequency in Hz of a MIDI note number, equal temperament at A4 = 69 = 440 Hz."""
    return 440.0 * 2.0 ** ((midi - 69) / 12)


def spell(midi: int) -> str:
    """Name of a MIDI note, C4 = 60."""
    return f"{NAMES[midi % 12]}{midi // 12 - 1}"
