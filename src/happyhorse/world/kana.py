"""Japanese text as espeak-ng can read it: kana, with particles, long vowels and りゃ りゅ りょ as they sound.

espeak-ng reads kana only (a kanji is spoken as "Chinese letter") and letter by letter: the particle は as "ha",
おう as o + u, りょ as ra + o. Kanji are turned into kana by fugashi with a UniDic dictionary when both are
installed (`pip install "happyhorse[japanese]"`); kana text never needs them, so its reading does not depend on
what is installed.
"""

import re
from functools import lru_cache
from importlib import import_module
from typing import Any

KANJI = re.compile(r"[\u3400-\u9fff々]")
_PARTICLES = {"は": "わ", "へ": "え", "を": "お"}
_O_ROW = "おこごそぞとどのほぼぽもよょろ"
_E_ROW = "えけげせぜてでねへべぺめれ"
_SPELLED_OUT = ("おもう", "さそう", "ひろう", "まよう", "かよう")  # verbs whose last う is a sound of its own
_LONG_O = re.compile(f"(?<=[{_O_ROW}])[うお]")
_LONG_E = re.compile(f"(?<=[{_E_ROW}])[いえ]")
_SPACE = re.compile(r"([\s、。！？!?,.…「」]+)")


def reading(text: str) -> str:
    """Kana that espeak-ng speaks as a Japanese reader would speak text.

    Raises ValueError when text has kanji and no dictionary is installed.
    """
    if KANJI.search(text):
        text = _without_kanji(text)
    return "".join(_word(part) for part in _SPACE.split(text))


def _word(word: str) -> str:
    word = _PARTICLES.get(word, word)
    if not word.endswith(_SPELLED_OUT):
        word = _LONG_E.sub("ー", _LONG_O.sub("ー", word))
    for small, full in zip("ゃゅょャュョ", "やゆよヤユヨ", strict=True):
        word = word.replace("り" + small, "り" + full).replace("リ" + small, "リ" + full)
    return word.lstrip("ーっッ")


def _without_kanji(text: str) -> str:
    spoken = [token.feature.pron or token.surface for token in _tagger()(text)]
    result = " ".join(part if part != "*" else "" for part in spoken)
    if KANJI.search(result):
        raise ValueError(f"no reading is known for some kanji of {text!r}: write the line in kana")
    return result


@lru_cache(maxsize=1)
def _tagger() -> Any:
    try:
        fugashi, dictionary = import_module("fugashi"), import_module("unidic_lite")
    except ImportError as error:
        raise ValueError(
            'kanji need a reading: pip install "happyhorse[japanese]", or write the line in kana'
        ) from error
    return fugashi.Tagger(f'-d "{dictionary.DICDIR}"')
