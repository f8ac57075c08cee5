"""The language of each line, and every refusal."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from happyhorse.generate.language import SEVEN, code_of, read_lines


@pytest.mark.parametrize(
    ("prompt", "languages"),
    [
        ('a man speaks "hello"', "en"),
        ('a man says in French "bonjour"', "fr"),
        ('"où es-tu"', "fr"),
        ('"grüß dich"', "de"),
        ('a German woman says "guten Tag"', "de"),
        ('a German dog barks at a boy, who says "hello my friend"', "en"),
        ('a woman says "你好"', "zh"),
        ('in Cantonese "你好"', "yue"),
        ('"你係邊個"', "yue"),
        ('"おはよう"', "ja"),
        ('says in Japanese "東京"', "ja"),
        ('"안녕하세요"', "ko"),
        ('"iPhoneを買う"', "ja"),
        ('"42"', "en"),
        ('"42" in German', "de"),
        ('"bonjour", says a woman in French', "fr"),
        ('a boy says "Ça va?" (English)', "en"),
        # several lines, in order
        ('man: "hello" woman: "guten Morgen"', "en de"),
        ('man: "おはよう" woman: "東京" (Japanese)', "ja ja"),
        ('two people talk in Japanese. man: "おはよう" woman: "東京"', "ja ja"),
        ('a man says "wo bist du" and a woman answers "hier" in German', "de de"),
        ('"bonjour" in French, and then "hello"', "fr en"),
        ('man: "Wo ist der Hund?" woman: "Dort."', "de de"),
    ],
)
def test_each_line_has_its_language(prompt, languages):
    _, lines, _ = read_lines(prompt)
    assert " ".join(line.language for line in lines) == languages


def test_an_option_speaks_for_all_lines():
    for option in ("de", "German", " german "):
        _, lines, notes = read_lines('man: "hallo" woman: "hello" in English', option)
        assert [line.language for line in lines] == ["de", "de"] and notes == ()
    assert code_of("Cantonese") == "yue"
    with pytest.raises(ValueError, match="'es' is no language that can be spoken here") as refusal:
        code_of("es")
    assert SEVEN in str(refusal.value)


def test_a_guess_is_told():
    _, _, notes = read_lines('a man says "guten Morgen"')
    assert len(notes) == 1 and "spoken in German, by its words" in notes[0] and "in English" in notes[0]
    assert read_lines('a man says "good morning"')[2] == ()


def test_emoji_are_left_out_and_noted():
    caption, lines, notes = read_lines('a ball ⚽ says "hello 👋🏽 you"')
    assert [line.text for line in lines] == ["hello you"] and notes[0].startswith("emoji are left out")
    assert caption == 'a ball ⚽ says ""'
    assert read_lines('it is "20 °C" outside')[2] == ()


REFUSED = {
    'she says "hello': "not closed",
    'she says ""': r'nothing to say in ""; write words',
    'she says "..."': "nothing to say",
    'she says "😀"': "nothing to say",
    '"你好 안녕"': "mixes Chinese and Hangul letters; put each language into a line of its own",
    '"こんにちは 안녕"': "mixes Hangul and kana",
    '"привет"': r"Cyrillic letters, which cannot be spoken here; the languages are English \(en\), Mandarin",
    '"שלום"': "Hebrew letters",
    'a man says in Spanish "hola"': "Spanish cannot be spoken here; the languages are English",
    'a man speaks Russian: "da"': "Russian cannot be spoken",
    'a man says in Japanese "konnichiwa"': "is not Japanese as it is written; use kana or kanji",
    'a man says in English "안녕"': "is not English as it is written; use Latin letters",
}


@pytest.mark.parametrize("prompt", REFUSED)
def test_what_cannot_be_said_is_refused_with_its_remedy(prompt):
    with pytest.raises(ValueError, match=REFUSED[prompt]):
        read_lines(prompt)


def test_other_languages_may_be_mentioned():
    for prompt in (
        'a Spanish guitar, a man says "hello"',
        "a bird that sings in Spanish",
        'a house in Russian style, "hello"',
    ):
        read_lines(prompt)


@given(st.text(alphabet='ab"“”né한你ор あ0😀. ', max_size=40))
def test_any_prompt_is_read_or_refused_with_a_sentence(prompt):
    try:
        caption, lines, _ = read_lines(prompt)
    except ValueError as refusal:
        assert len(str(refusal)) > 20
    else:
        assert caption.count('""') >= len(lines) and all(line.text for line in lines)
