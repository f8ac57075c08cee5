"""Lines to say: short sentences in seven languages, from templates and word lists, with a share held out from training.

`sentence` draws one. A sentence made from a template is held out when a checksum of it says so (5 %), so whether
a line was ever in training is known from the line alone; the fixed phrases (greetings and the like) are always
in training.
"""

import re
import zlib
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module

import numpy as np

from happyhorse.world.speech import LANGUAGES

HELDOUT_SHARE = 20
"""One sentence in this many is held out."""

_CJK = ("zh", "yue", "ja")
_SLOT = re.compile(r"\{(\w+)\}")
_PARTICLE = re.compile(r"(.)\((\w+)/(\w+)\)")
_PHRASE_SHARE = 0.12


@dataclass(frozen=True)
class Lexicon:
    """What a language can say: phrases and templates, and the choices for each slot of a template."""

    phrases: tuple[str, ...]
    templates: tuple[str, ...]
    slots: dict[str, tuple[str, ...]]


def _items(text: str, separator: str) -> tuple[str, ...]:
    return tuple(item for part in text.split(separator) if (item := " ".join(part.split())))


@lru_cache(maxsize=len(LANGUAGES))
def lexicon(language: str) -> Lexicon:
    """The lexicon of a language; raises ValueError for a language that is not in speech.LANGUAGES."""
    if language not in LANGUAGES:
        raise ValueError(f"no language {language!r}: choose one of {', '.join(LANGUAGES)}")
    module = import_module(f"happyhorse.world.lexicon.{language}")
    return Lexicon(
        _items(module.PHRASES, ","),
        _items(module.TEMPLATES, ";"),
        {name: _items(choices, ",") for name, choices in module.SLOTS.items()},
    )


def plain(text: str) -> str:
    """Text without case, punctuation and blanks at its ends: what decides whether two lines are the same sentence."""
    return re.sub(r"[.!?。！？,，、]+", "", text).strip().lower()


def heldout(text: str, language: str) -> bool:
    """Whether a line is kept out of training."""
    bare = plain(text)
    if bare in {plain(phrase) for phrase in lexicon(language).phrases}:
        return False
    return zlib.crc32(f"{language}:{bare}".encode()) % HELDOUT_SHARE == 0


def sentence(rng: np.random.Generator, language: str, held: bool = False) -> str:
    """A random line, from training or (`held`) from the held-out sentences. About 0.15 ms."""
    words = lexicon(language)
    while True:
        if not held and rng.random() < _PHRASE_SHARE:
            return _styled(words.phrases[rng.integers(len(words.phrases))], language, rng)
        text = _filled(words.templates[rng.integers(len(words.templates))], words, rng)
        if heldout(text, language) == held:
            return _styled(text, language, rng)


def join(first: str, second: str, language: str) -> str:
    """Two lines as one text, the first ended by a full stop where it has no stop of its own."""
    stop = "" if first[-1] in "?!？！.。" else "。" if language in _CJK else "."
    return f"{first}{stop}{'' if language in ('zh', 'yue') else ' '}{second}"


def _filled(template: str, words: Lexicon, rng: np.random.Generator) -> str:
    def choose(match: re.Match[str]) -> str:
        choices = words.slots[match.group(1)]
        return choices[rng.integers(len(choices))]

    text = _SLOT.sub(choose, template)
    text = re.sub(r"\ba (?=[aeiou])", "an ", text) if words is lexicon("en") else text
    return _PARTICLE.sub(lambda match: match.group(1) + _particle(*match.groups()), text)


def _particle(syllable: str, after_consonant: str, after_vowel: str) -> str:
    """The Korean particle for the syllable before it: a Hangul code point's remainder by 28 is its final consonant."""
    if after_consonant == "와":  # written in the order vowel / consonant
        after_consonant, after_vowel = after_vowel, after_consonant
    closed = "가" <= syllable <= "힣" and (ord(syllable) - ord("가")) % 28 != 0
    return after_consonant if closed else after_vowel


def _styled(text: str, language: str, rng: np.random.Generator) -> str:
    """Half of the lines begin with a capital; a statement may end in a full stop or, rarely, an exclamation mark."""
    if rng.random() < 0.5:
        text = text[0].upper() + text[1:]
    if text[-1] in "?!？！":
        return text
    stops = ("", "。", "！") if language in _CJK else ("", ".", "!")
    return text + str(rng.choice(stops, p=(0.6, 0.3, 0.1)))
