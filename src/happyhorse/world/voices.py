"""Who speaks: a voice for a person and a mood, with timbres kept back from training for every language."""

import numpy as np

from happyhorse.world.speech import LANGUAGES, Voice

TIMBRES = {
    "man": ("", "m1", "m2", "m3", "m5", "m7", "Michael", "Hugo"),
    "woman": ("f1", "f2", "f3", "f4", "f5", "Annie", "linda"),
    "boy": ("f1", "f4", "shelby", "steph", "aunty"),
    "girl": ("f2", "f3", "f5", "Annie", "linda", "Andrea"),
}
PITCHES = {"man": (32, 62), "woman": (36, 56), "boy": (64, 80), "girl": (76, 92)}
MOODS = {  # change of pitch, intonation, share of the rate, loudness
    "neutral": (0, 45, 1.0, 1.0),
    "happy": (7, 75, 1.06, 1.1),
    "sad": (-9, 18, 0.86, 0.7),
    "angry": (2, 80, 1.12, 1.4),
    "surprised": (12, 92, 0.98, 1.2),
}
RATES = (122, 166)
PACES = {"zh": 1.15, "ko": 1.05, "fr": 0.9}  # espeak speaks some languages slowly or hastily


def timbres(person: str, language: str, heldout: bool = False) -> tuple[str, ...]:
    """The espeak variants of a person in a language: those for training, or the one kept back from it."""
    names = TIMBRES[person]
    kept = list(LANGUAGES).index(language) % len(names)
    return (names[kept],) if heldout else names[:kept] + names[kept + 1 :]


def draw(
    rng: np.random.Generator, person: str, language: str, mood: str = "neutral", heldout: bool = False
) -> Voice:
    """A random voice. person: a key of TIMBRES; language: of LANGUAGES; mood: of MOODS."""
    names = timbres(person, language, heldout)
    shift, intonation, share, loudness = MOODS[mood]
    pitch = int(rng.integers(PITCHES[person][0], PITCHES[person][1] + 1)) + shift
    return Voice(
        names[rng.integers(len(names))],
        round(rng.uniform(*RATES) * share * PACES.get(language, 1.0)),
        int(np.clip(pitch, 0, 99)),
        int(np.clip(intonation + rng.integers(-6, 7), 0, 99)),
        loudness * float(rng.uniform(0.85, 1.15)),
    )
