import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from happyhorse.world import espeak, speech, words

SOUNDS = {  # sounds that thousands of lines must contain, by language
    "en": "p b t d k ɡ f v θ ð s z ʃ ʒ h m n ŋ l ɹ w j tʃ dʒ iː ɪ ɛ æ ʌ ɑː ɔː ʊ uː ə eɪ aɪ ɔɪ aʊ oʊ ɜː",
    "zh": "p pʰ t tʰ k kʰ m n ŋ f l s ʂ ʐ ɕ χ ts tsʰ ʈʂ ʈʂʰ tɕ tɕʰ a i u y ɤ ei ai ɑu ou ər ʅ ɿ",
    "yue": "p pʰ t tʰ k kʰ m n ŋ f l s h ts tsʰ j w aː ɐ ɛ i ɔ u y ɐi ei ou œŋ ʊŋ",
    "ja": "p b t d k ɡ s z ɕ tɕ dʑ ts h ç ɸ m n ɴ ŋ ɽ j w ä i ɯᵝ e̞ o̞ o̞ː kʲ",
    "ko": "p p͈ pʰ t t͈ k͈ kʰ s s͈ tɕ dʑ m n ŋ ɫ ɾ h j w ɐ ʌ o u ɯ i e ɛ b d ɡ",
    "de": "p b t d k ɡ f v s z ʃ ç x h m n ŋ l ɾ j ts pf iː ɪ yː ʏ eː ɛ øː œ a ɑː oː ɔ uː ʊ ə aɪ aʊ ɔø",
    "fr": "p b t d k ɡ f v s z ʃ ʒ m n ɲ l ʁ j w ɥ i e ɛ a ɔ o u y ø œ ə ɛ̃ ɑ̃ ɔ̃ œ̃",
}


@pytest.mark.parametrize("language", speech.LANGUAGES)
def test_lines_are_many_filled_and_split(language):
    rng = np.random.default_rng(0)
    training = {words.plain(words.sentence(rng, language)) for _ in range(1500)}
    held = {words.plain(words.sentence(rng, language, held=True)) for _ in range(60)}
    assert len(training) > 900
    assert not training & held
    assert not any(words.heldout(text, language) for text in training)
    assert all(words.heldout(text, language) for text in held)
    assert not any(re.search(r"[{}/()\"]", text) for text in training | held)


@pytest.mark.parametrize("language", speech.LANGUAGES)
def test_every_slot_is_known_and_used(language):
    lexicon = words.lexicon(language)
    used = {slot for template in lexicon.templates for slot in re.findall(r"\{(\w+)\}", template)}
    assert used == set(lexicon.slots)
    assert all(len(set(choices)) == len(choices) for choices in lexicon.slots.values())


@pytest.mark.skipif(not espeak.available(), reason="espeakng-loader is not installed")
@pytest.mark.parametrize("language", speech.LANGUAGES)
def test_lines_cover_the_sounds_of_the_language(language):
    rng = np.random.default_rng(0)
    heard = {
        speech.split(symbol)[1]
        for _ in range(600)
        for symbol in speech.phonemes(words.sentence(rng, language), language)
    }
    assert not set(SOUNDS[language].split()) - heard


def test_greetings_are_never_held_out():
    for language in speech.LANGUAGES:
        assert not any(words.heldout(phrase, language) for phrase in words.lexicon(language).phrases)


@settings(max_examples=60)
@given(st.integers(0, 2**32 - 1), st.sampled_from(list(speech.LANGUAGES)), st.booleans())
def test_style_never_changes_the_split(seed, language, held):
    text = words.sentence(np.random.default_rng(seed), language, held)
    assert text == text.strip() and words.heldout(text, language) == held
    assert words.heldout(text.rstrip(".!。！") + "!", language) == held
    assert words.heldout(text[0].upper() + text[1:], language) == held


@pytest.mark.parametrize(
    ("noun", "pair", "expected"),
    [
        ("책", "이/가", "책이"),
        ("모자", "이/가", "모자가"),
        ("책", "은/는", "책은"),
        ("모자", "을/를", "모자를"),
        ("책", "와/과", "책과"),
        ("모자", "와/과", "모자와"),
    ],
)
def test_korean_particles_follow_the_last_syllable(noun, pair, expected):
    lexicon = words.Lexicon((), (), {"noun": (noun,)})
    assert words._filled("{noun}(" + pair + ")", lexicon, np.random.default_rng(0)) == expected


def test_two_lines_are_joined_by_a_stop():
    assert words.join("hello", "how are you?", "en") == "hello. how are you?"
    assert words.join("你好！", "再见", "zh") == "你好！再见"
    assert words.join("はい", "そう です", "ja") == "はい。 そう です"


def test_an_unknown_language_is_refused():
    with pytest.raises(ValueError, match="choose one of"):
        words.lexicon("xx")
