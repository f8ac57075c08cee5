"""A person in the picture who says a line: who, where, what, when, and how the head moves and the eyes blink."""

from dataclasses import dataclass

import numpy as np

from happyhorse.world.pen import Place
from happyhorse.world.portrait import Look
from happyhorse.world.scene import RATE, Phoneme
from happyhorse.world.speech import Utterance

BLINK = 0.18
"""Seconds that a blink lasts."""


@dataclass(frozen=True)
class Speaker:
    """A person and what they say.

    name: the speaker in `Line.speaker`; start: the sample (at scene.RATE) of the utterance's first sample;
    sway: [3, 2, 2] amplitude (picture units), frequency (Hz) and phase of two sines for x and for y;
    blinks: [n] middles of the blinks in seconds.
    """

    name: str
    look: Look
    place: Place
    language: str
    text: str
    utterance: Utterance
    start: int
    sway: np.ndarray
    blinks: np.ndarray

    @property
    def phonemes(self) -> tuple[Phoneme, ...]:
        """The phonemes on the scene's clock."""
        return tuple(
            Phoneme(sound.symbol, sound.start + self.start, sound.end + self.start)
            for sound in self.utterance.phonemes
        )

    @property
    def releases(self) -> tuple[int, ...]:
        """For each phoneme the sample on the scene's clock at which the mouth opens."""
        return tuple(release + self.start for release in self.utterance.releases)

    def moved(self, times: np.ndarray) -> np.ndarray:
        """Where the head has moved to at times [...] in seconds: [..., 2] in picture units."""
        amplitude, frequency, phase = self.sway
        angle = 2 * np.pi * frequency * np.asarray(times)[..., None, None] + phase
        return (amplitude * np.sin(angle)).sum(axis=-1)

    def closed(self, times: np.ndarray) -> np.ndarray:
        """How far the eyes are closed by a blink at times [...] in seconds: [...] in 0..1."""
        distance = np.abs(np.asarray(times)[..., None] - self.blinks)
        return np.clip(1.6 * (1 - 2 * distance / BLINK), 0, 1).max(axis=-1, initial=0.0)


def draw_speaker(
    rng: np.random.Generator,
    look: Look,
    place: Place,
    language: str,
    text: str,
    utterance: Utterance,
    start: float,
    seconds: float,
) -> Speaker:
    """A speaker whose utterance begins at `start` seconds, with random motion and blinks over `seconds`."""
    amplitude = rng.uniform(0.3, 1.0, (2, 2)) * np.array([[0.012, 0.005], [0.007, 0.005]]) * place.scale
    frequency = rng.uniform([[0.15, 0.4]] * 2, [[0.4, 0.9]] * 2)
    sway = np.stack([amplitude, frequency, rng.uniform(0, 2 * np.pi, (2, 2))])
    blinks = np.cumsum(rng.uniform(1.2, 3.6, 2 + int(seconds))) - rng.uniform(0.3, 1.4)
    onset = round(start * RATE)
    return Speaker(look.person, look, place, language, text, utterance, onset, sway, blinks[blinks < seconds])
