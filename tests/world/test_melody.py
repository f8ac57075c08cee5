from itertools import pairwise

import numpy as np
import pytest

from happyhorse.world import melody


def line(name: str, seed: int = 0) -> list[int]:
    return [step for step, _ in melody.steps(name, np.random.default_rng(seed))]


@pytest.mark.parametrize("name", melody.PHRASES)
def test_every_melody_stays_on_eight_steps(name):
    for seed in range(10):
        assert set(line(name, seed)) <= set(range(8))


def test_patterns_are_what_they_are_called():
    for seed in range(10):
        assert (np.diff(line("rising scale", seed)) == 1).all()
        assert (np.diff(line("falling scale", seed)) == -1).all()
        assert len(line("same note", seed)) == 1
        low, high = line("two notes", seed)
        assert low != high
        turns = np.diff(line("up and down", seed))
        assert set(turns) == {1, -1} and (np.diff(turns) <= 0).all()
        tune = line("random", seed)
        assert all(a != b for a, b in pairwise(tune))


def test_twinkle_begins_with_a_fifth():
    names = [melody.spell(60 + melody.semitone(step)) for step in line("Twinkle Twinkle Little Star")[:7]]
    assert names == ["C4", "C4", "G4", "G4", "A4", "A4", "G4"]


def test_pitch():
    assert melody.pitch(69) == 440.0
    assert melody.pitch(60) == pytest.approx(261.626, abs=1e-3)
    assert melody.semitone(7) == 12


def test_notes_come_on_the_beat_and_begin_again():
    notes = melody.perform("falling scale", 0.25, 0.5, 3.0, np.random.default_rng(1))
    samples = [note.sample for note in notes]
    assert samples[0] == 8_000
    assert set(np.diff(samples)) == {4_000}
    assert samples[-1] <= 2.8 * 16_000 < samples[-1] + 4_000
    assert (np.diff([note.step for note in notes]) > 0).sum() == 1, "ten beats are more than one pass"


def test_long_notes_last_longer():
    notes = melody.perform("Twinkle Twinkle Little Star", 0.2, 0.1, 3.0, np.random.default_rng(0))
    assert notes[6].seconds == pytest.approx(0.4)
    assert notes[7].sample - notes[6].sample == 6_400


def test_even_a_short_clip_has_a_note():
    notes = melody.perform("random", 0.5, 0.6, 0.3, np.random.default_rng(0))
    assert len(notes) == 1 and notes[0].sample < 0.3 * 16_000
