"""Spoken lines: the same every time, held-out ones unlike all others, kept once made."""

import numpy as np
import pytest
import torch

from happyhorse.eval import spoken
from happyhorse.world import espeak, words

pytestmark = pytest.mark.skipif(not espeak.available(), reason="voices need the [speech] extra")


def test_a_line_follows_from_its_number():
    one, again, other = spoken.line("train", 5), spoken.line("train", 5), spoken.line("train", 12)
    assert np.array_equal(one.wave, again.wave) and one.phones == again.phones
    assert one.language == other.language == spoken.LANGUAGES[5] and one.text != other.text
    assert [spoken.line("train", i).language for i in range(7)] == list(spoken.LANGUAGES)


def test_heldout_lines_are_held_out():
    for index in range(7):
        kept, taught = spoken.line("heldout", index), spoken.line("train", index)
        assert words.heldout(kept.text, kept.language) and not words.heldout(taught.text, taught.language)


def test_phones_cover_the_sound():
    line = spoken.line("train", 0)
    starts, ends = [start for _, start, _ in line.phones], [end for _, _, end in line.phones]
    assert starts == sorted(starts) and all(a < b for a, b in zip(starts, ends, strict=True))
    assert starts[0] < 0.03 * 16_000 and abs(ends[-1] - len(line.wave)) < 0.1 * 16_000
    assert not any(mark in name for name, *_ in line.phones for mark in "ˈˌ˥˩_")


def test_features_are_a_hundred_a_second():
    wave = torch.zeros(1, 16_050)
    wave[0, 8000:] = 0.1 * torch.sin(torch.arange(8050) * 0.5)
    mel = spoken.features(wave)
    assert mel.shape == (1, 100, 80)
    assert float(mel[0, 20].max()) < -9 and float(mel[0, 80].max()) > -4


def test_lines_are_made_once_and_some_through_the_codec(tmp_path, monkeypatch, tiny_model):
    monkeypatch.setenv("HAPPYHORSE_CACHE", str(tmp_path))
    monkeypatch.setattr(spoken, "SHARD", 4)
    counted = []
    plain = spoken.lines("train", 6, progress=lambda *values: counted.append(values))
    assert counted == [(4, 6), (6, 6)] and len(plain) == 6
    coded = spoken.lines("train", 6, tiny_model / "codec.safetensors")
    assert coded.facts == plain.facts
    # the first seven lines, one of each language, are of the share that goes through the codec
    assert not torch.equal(coded.mels[0], plain.mels[0])
    monkeypatch.setattr(spoken, "line", None)
    again = spoken.lines("train", 5)
    assert all(torch.equal(a, b) for a, b in zip(again.mels, plain.mels, strict=False)) and len(again) == 5
