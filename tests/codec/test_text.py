"""Words, quotes and clock times of the small model's text tokens."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from happyhorse.codec.text import (
    MAX_WORDS,
    Phone,
    TextConfig,
    TextEmbedder,
    familiar,
    split_spoken,
    tokenize,
    unseen,
    words,
)

CONFIG = TextConfig(buckets=512, features=24, width=8)


def test_spoken_lines_leave_a_mark():
    assert split_spoken('a woman says "good morning" and waves') == (
        'a woman says "" and waves',
        ["good morning"],
    )
    assert split_spoken("他说“你好”。") == ('他说""。', ["你好"])
    assert words('she says ""!') == ["she", "says", "<line>", "!"]


@pytest.mark.parametrize("prompt", ['she says "hello', 'a" b "c" d'])
def test_unbalanced_quotes_are_refused(prompt: str):
    if prompt.count('"') % 2:
        with pytest.raises(ValueError, match="not closed"):
            split_spoken(prompt)


def test_scripts_without_spaces_are_cut_to_characters():
    assert words("红色的球 ball") == ["红", "色", "的", "球", "ball"]


@given(st.text(max_size=300))
def test_any_text_makes_tokens(text: str):
    ids, times = tokenize(text, [], CONFIG, 6.25)
    assert ids.shape == (len(times), CONFIG.features)
    assert len(times) == min(len(words(text)), MAX_WORDS)
    assert not ids.numel() or int(ids.max()) < CONFIG.buckets
    assert times.tolist() == [float(t) for t in range(-len(times), 0)]


def test_same_word_shares_features_and_neighbours_tell_order():
    forward, _ = tokenize("red ball blue wall", [], CONFIG, 6.25)
    backward, _ = tokenize("blue ball red wall", [], CONFIG, 6.25)
    red, other = set(forward[0].tolist()), set(backward[2].tolist())
    assert len(red & other) >= 4  # the word and its n-grams
    assert red != other  # but its neighbours differ


def test_phonemes_sit_on_the_clock():
    ids, times = tokenize('""', [Phone("a", 0.0, 0.32), Phone("p", 0.32, 0.64)], CONFIG, 6.25)
    assert times.tolist() == pytest.approx([-1.0, 1.0, 3.0])
    assert not torch.equal(ids[1], ids[2])


def test_unseen_words_are_named_once():
    assert unseen("A red zebra, a zebra!", {"a", "red"}) == ["zebra"]


KNOWN = {"a", "red", "ball", "bounces", "wall", "four", "drum", ",", "and"}


@pytest.mark.parametrize(
    ("caption", "read", "instead"),
    [
        ("a red ball bounces", "a red ball bounces", {}),
        ("A Red ball, boncing!", "a red ball ,", {"boncing": ""}),
        ("a zebra bounced and drums", "a and", {"zebra": "", "bounced": "bounces", "drums": "drum"}),
        ("for all reds", "", {"for": "", "all": "", "reds": ""}),
        ('man: "" a zebra ""', '"" a ""', {"man": "", "zebra": ""}),
        ("<line> a ball", "a ball", {"line": ""}),
        ("红 ball", "ball", {"红": ""}),
        ("", "", {}),
    ],
)  # fmt: skip
def test_words_that_are_not_known_are_left_out(caption, read, instead):
    assert familiar(caption, KNOWN) == (read, instead)
    assert familiar(caption, ()) == (caption, {})
    assert familiar(read, KNOWN) == (read, {})


@given(st.text())
def test_what_is_read_is_known_and_reads_the_same_again(caption):
    read, instead = familiar(caption, KNOWN)
    assert set(words(read)) <= KNOWN | {"<line>"} and familiar(read, KNOWN) == (read, {})
    assert set(instead.values()) <= KNOWN | {""}


def test_padding_rows_are_zero_vectors():
    embedder = TextEmbedder(CONFIG)
    ids, _ = tokenize("a ball", [], CONFIG, 6.25)
    padded = torch.cat([ids, torch.zeros(2, CONFIG.features, dtype=torch.int32)])[None]
    vectors = embedder(padded)
    assert vectors.shape == (1, 4, 8)
    assert not vectors[0, 2:].any() and vectors[0, :2].any(-1).all()


@pytest.mark.parametrize("shape", [(2, 0), (0, 3), (0, 0)])
def test_no_tokens_at_all_are_no_vectors(shape):
    vectors = TextEmbedder(CONFIG)(torch.zeros(*shape, CONFIG.features, dtype=torch.int32))
    assert vectors.shape == (*shape, CONFIG.width)
