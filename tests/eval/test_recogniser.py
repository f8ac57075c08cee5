"""The recogniser: edit distance, alignment and what is read off its answers, on answers that are known."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from happyhorse import checkpoint
from happyhorse.eval import recogniser, run, spoken
from happyhorse.eval.recogniser import HOP, Recogniser, RecogniserConfig, align, distance, hear, viterbi
from happyhorse.eval.spoken import LANGUAGES
from happyhorse.generate.load import PACKAGED
from happyhorse.world import espeak

RATE = 16_000
rows = st.lists(st.sampled_from("abc"), max_size=6)


@given(rows, rows, rows)
@settings(max_examples=60)
def test_distance_is_a_metric(a, b, c):
    assert distance(a, b) == distance(b, a) and distance(a, a) == 0
    assert abs(len(a) - len(b)) <= distance(a, b) <= max(len(a), len(b))
    assert distance(a, c) <= distance(a, b) + distance(b, c)
    assert (distance(a, b) == 0) == (a == b)


def test_distance_by_hand():
    assert distance("kitten", "sitting") == 3 and distance("", "abc") == 3 and distance("abc", "ac") == 1


def scores(path: list[int], states: int) -> np.ndarray:
    """Log-probabilities of 0.9 along a path."""
    table = np.full((len(path), states), math.log(0.1 / (states - 1)))
    table[np.arange(len(path)), path] = math.log(0.9)
    return table


@pytest.mark.parametrize(
    "path", [[0, 0, 1, 1, 2, 3, 3, 4], [1, 1, 1, 3, 3], [0, 1, 3, 4, 4], [1, 2, 2, 2, 3]]
)
def test_the_likeliest_path_is_found(path):
    assert viterbi(scores(path, 5)).tolist() == path


def test_a_path_takes_every_sound_and_in_order():
    table = scores([3, 3, 3, 3, 1, 1, 1, 1], 5)  # the second sound seems to be first
    path = viterbi(table)
    assert 1 in path and 3 in path and (np.diff(path) >= 0).all() and (np.diff(path) <= 2).all()
    assert viterbi(scores([0, 0], 9)).tolist() == [0, 0]  # four sounds in two steps: none


class Oracle:
    """Answers as a recogniser of "a" and "b" would, always the same: silence, a, a, b, b, silence of 20 ms each."""

    config = SimpleNamespace(phonemes=("a", "b"))

    def __call__(self, mel):
        table = torch.from_numpy(scores([0, 1, 1, 0, 2, 2, 0], 3))[None].float()
        spoken_in = torch.full((1, len(LANGUAGES)), 0.01)
        spoken_in[0, 3] = 0.94
        return table, table, spoken_in.log()


def test_what_is_heard_and_when():
    wave = np.zeros(7 * HOP, np.float32)
    heard = hear(Oracle(), wave)
    assert heard.phonemes == ("a", "b") and heard.language == LANGUAGES[3]
    assert heard.sure == pytest.approx(0.94, abs=1e-3)
    found = align(Oracle(), wave, ["a", "x", "b"])
    times = [(sound.symbol, round(sound.start, 3), round(sound.end, 3)) for sound in found]
    assert times == [("a", 0.02, 0.06), ("b", 0.08, 0.12)]
    assert align(Oracle(), wave, ["x"]) == () and align(Oracle(), wave, ["a"] * 9) == ()


@pytest.mark.parametrize("samples", [0, 100, 16_000, 16_123])
def test_any_length_is_heard(samples):
    module = Recogniser(RecogniserConfig(("a", "b", "c"), width=16, blocks=2)).eval()
    ctc, frame, language = module(spoken.features(recogniser._padded(np.zeros(samples, np.float32))))
    assert ctc.shape == frame.shape and ctc.shape[2] == 4 and language.shape == (1, 7)
    assert ctc.shape[1] == max(samples, recogniser.LEAST) // 160 // 2
    assert torch.allclose(ctc.exp().sum(-1), torch.ones(ctc.shape[:2]), atol=1e-5)


def test_a_recogniser_is_saved_and_read_back(tmp_path):
    module = Recogniser(RecogniserConfig(("a", "ɔ̃"), width=16, blocks=1), seed=3).eval()
    path = recogniser.save(
        tmp_path / "r.safetensors", module, module.state_dict(), {"error": {"error": 0.25}}
    )
    again = recogniser.load(path)
    assert again.config == module.config and again.error == {"error": 0.25}
    mel = torch.randn(1, 50, 80, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(again(mel)[0], module(mel)[0], atol=0.05)  # bfloat16
    with pytest.raises(ValueError, match="'denoiser' part is needed"):
        checkpoint.load(path, "denoiser")
    with pytest.raises(ValueError, match="no weights"):
        recogniser.load(tmp_path / "none.safetensors")


@pytest.mark.skipif(
    not (PACKAGED / "recogniser.safetensors").exists(), reason="no recogniser in the package yet"
)
@pytest.mark.skipif(not espeak.available(), reason="voices need the [speech] extra")
def test_the_one_in_the_package_hears_held_out_lines():
    """As its card says, and each sound within 40 ms of where it is, in the middle."""
    module = run.recogniser()
    wrong = total = 0
    late = []
    for index in range(7):
        line = spoken.line("heldout", 1000 + index)
        wave = np.pad(line.wave, (4000, 4000))
        said = [name for name, *_ in line.phones]
        wrong, total = wrong + distance(said, hear(module, wave).phonemes), total + len(said)
        known = [phone for phone in line.phones if phone[0] in module.config.phonemes]
        found = align(module, wave, said)
        late += [sound.start - 0.25 - start / RATE for sound, (_, start, _) in zip(found, known, strict=True)]
    assert wrong / total < max(2 * module.error["error"], 0.15)
    assert np.median(np.abs(late)) < 0.04
