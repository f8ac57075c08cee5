"""Training a recogniser: on a made-up language whose three sounds are three bands, it learns to read and to time."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from happyhorse.eval import recogniser, train_recogniser
from happyhorse.eval.recogniser import HOP
from happyhorse.eval.spoken import LANGUAGES, STEP, Lines
from happyhorse.eval.train_recogniser import QUIET, RecogniserObjective, RecogniserRecipe, disguised
from happyhorse.train.loop import read_log, train

BANDS = {"a": slice(5, 20), "b": slice(30, 45), "c": slice(55, 70)}


def lines(count: int, seed: int) -> Lines:
    """Lines of three to five sounds of 60 to 120 ms, each a band of the spectrum; a language is its level."""
    draws = np.random.default_rng(seed)
    mels, facts = [], []
    for index in range(count):
        language = LANGUAGES[index % 2]
        names = [str(draws.choice(list(BANDS)))]
        for _ in range(draws.integers(2, 5)):
            names.append(str(draws.choice([name for name in BANDS if name != names[-1]])))
        lengths = draws.integers(6, 13, len(names))
        mel = torch.full((int(lengths.sum()), 80), QUIET)
        phones, begin = [], 0
        for name, length in zip(names, lengths.tolist(), strict=True):
            mel[begin : begin + length, BANDS[name]] = -2.0 - 2.0 * (index % 2)
            phones.append([name, begin * STEP, (begin + length) * STEP])
            begin += length
        mels.append(mel.half())
        facts.append({"language": language, "text": "".join(names), "phones": phones})
    return Lines(tuple(mels), tuple(facts))


RECIPE = RecogniserRecipe(width=32, blocks=2)
RECIPE = replace(
    RECIPE, loop=replace(RECIPE.loop, steps=200, batch=16, ema=0.9, eval_every=200, autocast=False)
)


@pytest.fixture(scope="module")
def objective() -> RecogniserObjective:
    return RecogniserObjective(RECIPE, lines(64, 0), lines(16, 1))


def test_labels_stand_where_the_sounds_are(objective):
    mels, labels = objective._batch([3, 9], torch.Generator().manual_seed(0))
    assert mels.shape[1] == 2 * labels.shape[1] and mels.shape[2] == 80
    for row, index in enumerate((3, 9)):
        names = [phone[0] for phone in objective.train.facts[index]["phones"]]
        read = torch.unique_consecutive(labels[row]).tolist()
        assert read == [0, *(objective.classes[name] for name in names), 0]


def test_the_same_step_is_the_same_loss_and_parts_differ(objective):
    one, again = objective.loss(3, 0, 2), objective.loss(3, 0, 2)
    assert torch.equal(one[0], again[0]) and objective.loss(3, 1, 2)[1] != one[1]


def test_disguises_keep_the_floor_and_differ():
    mels = torch.full((4, 30, 80), -3.0)
    out = disguised(mels, torch.Generator().manual_seed(0))
    assert out.shape == mels.shape and (out >= QUIET).all() and out.mean((1, 2)).std() > 0.1


def test_it_learns_to_read_and_to_time(objective, tmp_path):
    train(objective, RECIPE.loop, tmp_path, {"recipe": {}})
    module = recogniser.load(tmp_path / train_recogniser.NAME)
    log = read_log(tmp_path / "log.jsonl")
    assert log[-1]["ctc"] < 0.7 * log[0]["ctc"] and log[-1]["frame"] < 0.5 * log[0]["frame"]
    assert set(module.error) == {"error", "error_en", "error_zh", "language_error"}
    assert module.error["language_error"] < 0.2
    mel, fact = objective.heldout.mels[0].float(), objective.heldout.facts[0]
    states = [0] + [c for phone in fact["phones"] for c in (objective.classes[phone[0]], 0)]
    path = recogniser.viterbi(module(mel[None])[1][0].numpy()[:, states])
    starts = [int(np.flatnonzero(path == 2 * i + 1)[0]) * HOP for i in range(len(fact["phones"]))]
    late = np.array(starts) - [start for _, start, _ in fact["phones"]]
    assert np.abs(late).max() <= 1.5 * HOP
    text = next((tmp_path / "preview").glob("*.txt")).read_text()
    assert text.startswith("en: ") and "zh: " in text
