"""Each language reads words that everybody knows as everybody says them, and numbers in its own words."""

import pytest

from happyhorse.world import espeak, speech

pytestmark = pytest.mark.skipif(not espeak.available(), reason="espeakng-loader is not installed")

WORDS = {
    "en": {"cat": "k æ t", "thing": "θ ɪ ŋ", "measure": "m ɛ ʒ ɚ", "42": "f ɔːɹ ɾ i t uː"},
    "de": {"ich": "ɪ ç", "Buch": "b uː x", "Pferd": "pf eː ɾ t", "21": "aɪ n ʊ n t ts v a n ts ɪ ç"},
    "fr": {"bonjour": "b ɔ̃ ʒ u ʁ", "rue": "ʁ y", "vin": "v ɛ̃", "71": "s w a s ɑ̃ t e ɔ̃ z"},
    "zh": {"妈": "m ɑ˥", "马": "m ɑ˨˩˦", "北京": "p ei˨˩˦ tɕ i˥ ŋ", "四": "s ɿ˥˩", "21": "ər˥˩ ʂ ʅ˧˥ j i˥"},
    "yue": {"三": "s aː m", "香": "h œŋ˥", "21": "j i˨ s ɐ˨ pʰ j ɐ˥ tʰ"},
    "ja": {"さくら": "s ä k ɯᵝ ɽ ä", "ねこ": "n e̞ k o̞", "パン": "p ä ɴ", "42": "j o̞ n d z ɯᵝ n iː"},
    "ko": {"물": "m u ɫ", "빵": "p͈ ɐ ŋ", "21": "i s i p i r"},
}


def unstressed(text, language):
    return " ".join(symbol.lstrip(speech.STRESS) for symbol in speech.phonemes(text, language))


@pytest.mark.parametrize(
    ("language", "word"), [(code, word) for code, words in WORDS.items() for word in words]
)
def test_a_known_word_is_read_as_it_is_said(language, word):
    assert unstressed(word, language) == WORDS[language][word]


@pytest.mark.parametrize("language", speech.LANGUAGES)
def test_a_number_is_said_in_the_language_of_its_line(language):
    said = {code: unstressed("42", code) for code in speech.LANGUAGES}
    assert [code for code in said if said[code] == said[language]] == [language]


def test_a_date_is_said_in_words():
    assert unstressed("3 May 2026", "en") == unstressed("three May two thousand twenty six", "en")
    assert unstressed("am 3. Mai", "de") != unstressed("am 3 Mai", "de")  # the third, and three
    assert unstressed("le 3 mai", "fr") == unstressed("le trois mai", "fr")
    assert unstressed("3月", "zh") == unstressed("三月", "zh")
