"""In which language each spoken line of a prompt is said, and what cannot be said at all."""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from happyhorse.codec.text import split_spoken
from happyhorse.world.speech import LANGUAGES
from happyhorse.world.words import lexicon

EMOJI = re.compile(
    "[\u200d\u20e3\u2300-\u23ff\u2600-\u27bf\u2b00-\u2bff\ufe0e\ufe0f\U0001f000-\U0001faff\U000e0020-\U000e007f]"
)
SEVEN = ", ".join(f"{name} ({code})" for code, name in LANGUAGES.items())
_SCRIPTS = {
    "Latin": r"[A-Za-zªºÀ-ʯḀ-ỿ]",
    "kana": r"[\u3040-\u30ff\u31f0-\u31ff]",
    "Hangul": r"[\u1100-\u11ff\u3130-\u318f\uac00-\ud7af]",
    "Chinese": r"[\u3005\u3007\u3400-\u9fff\uf900-\ufaff]",
}
_WRITTEN = {  # the script that a line must have some of, those that it may have besides, how to say so
    "en": ({"Latin"}, set(), "Latin letters"),
    "de": ({"Latin"}, set(), "Latin letters"),
    "fr": ({"Latin"}, set(), "Latin letters"),
    "zh": ({"Chinese"}, {"Latin"}, "Chinese characters"),
    "yue": ({"Chinese"}, {"Latin"}, "Chinese characters"),
    "ja": ({"kana", "Chinese"}, {"Latin"}, "kana or kanji"),
    "ko": ({"Hangul"}, {"Latin"}, "Hangul"),
}
_NAMED = {
    "yue": "cantonese|粤语|粤|粵語|粵|廣東話|广东话",
    "zh": "mandarin|chinese|普通话|普通話|國語|国语|中文",
    "ja": "japanese|日本語",
    "ko": "korean|한국어",
    "de": "german|deutsch",
    "fr": "french|français|französisch",
    "en": "english|englisch|anglais|英語|英语",
}
_ANY = "|".join(f"(?P<{code}>{names})" for code, names in _NAMED.items())
_MENTION = re.compile(rf"(?<![a-z]){_ANY}", re.IGNORECASE)
_AT_ONCE = re.compile(rf"^[\s,;]*(?:\(\s*)?(?:in|auf|en)?\s*(?:{_ANY})\s*\)?", re.IGNORECASE)
_ORDER = re.compile(
    r"(?:\b(?:in|auf|en|speaks?|speaking|talks?|talking)\s+|用|说|說|話)(?:[a-z]+\s)?$", re.IGNORECASE
)
_OTHERS = re.compile(
    r"\b(?:in|speaks?|speaking)\s+(arabic|bengali|czech|danish|dutch|esperanto|finnish|greek|hebrew|hindi|"
    r"hungarian|indonesian|italian|latin|norwegian|persian|polish|portuguese|romanian|russian|spanish|swahili|"
    r"swedish|tamil|thai|turkish|ukrainian|urdu|vietnamese)\b(?!\s+(?:letters|script|style|dress|costume))",
    re.IGNORECASE,
)
_MARKS = {  # letters that only one language of their script has
    "yue": re.compile("[嘅咗唔係喺冇啲佢哋嚟嘢乜咁]"),
    "de": re.compile("[äöüß]", re.IGNORECASE),
    "fr": re.compile("[éèêëàâçîïôûùœæ]", re.IGNORECASE),
}


@dataclass(frozen=True)
class Line:
    """What is said, and a key of `world.speech.LANGUAGES`."""

    text: str
    language: str


def code_of(language: str) -> str:
    """The key of `world.speech.LANGUAGES` that a code or a name stands for ("ja", "Japanese").

    Raises ValueError, listing the seven, for another language.
    """
    wanted = language.strip().casefold()
    for code, name in LANGUAGES.items():
        if wanted in (code, name.casefold()):
            return code
    raise ValueError(f"{language!r} is no language that can be spoken here; choose one of {SEVEN}")


def read_lines(prompt: str, language: str | None = None) -> tuple[str, tuple[Line, ...], tuple[str, ...]]:
    """The caption of a prompt (each quoted line is `""` in it), its spoken lines in order, and notes.

    `language` is that of all lines. None: what the caption orders for each line ("in Japanese"), else what its
    script, its accents or its words say, else a language that the caption mentions ("a German woman"), else that of
    the line before it, else English or Mandarin by its script. Emoji are left out.

    Raises ValueError, with a remedy, for a quotation mark that is not closed, a line without words, letters of several
    scripts or of another one than its language has, and other languages than the seven.
    """
    caption, spoken = split_spoken(prompt)
    lines = [" ".join(EMOJI.sub(" ", line).split()) for line in spoken]
    notes = ["emoji are left out: they are neither shown nor spoken"] if EMOJI.search(prompt) else []
    for line, written in zip(lines, spoken, strict=True):
        if not any(c.isalnum() for c in line):
            raise ValueError(
                f'there is nothing to say in "{written}"; write words between the quotation marks'
            )
    other = _OTHERS.search(caption)
    if lines and other and language is None:
        raise ValueError(f"{other[1].title()} cannot be spoken here; the languages are {SEVEN}")
    option = None if language is None else code_of(language).upper()
    claims = [option] * len(lines) if option else _claims(caption, len(lines))
    found: list[Line] = []
    for line, claim in zip(lines, claims, strict=True):
        code, guessed = _choose(line, claim, found[-1].language if found else None)
        found.append(Line(line, code))
        if guessed:
            notes.append(
                f'"{line}" is spoken in {LANGUAGES[code]}, by its words; '
                f'to have another language, say so before it, for example: in English "..."'
            )
    return caption, tuple(found), tuple(notes)


def _claims(caption: str, count: int) -> list[str | None]:
    """For each line, the language that the caption gives it; in capitals where it is ordered ("in Japanese")."""
    parts = caption.split('""')
    claims: list[str | None] = []
    for i in range(count):
        claim = _last_named(parts[i])
        behind = _AT_ONCE.match(parts[i + 1])
        if claim is None and behind and behind.lastgroup:
            claim = behind.lastgroup.upper()
        if behind:
            parts[i + 1] = parts[i + 1][behind.end() :]
        claims.append(claim)
    if count and claims[-1] is None:
        claims[-1] = _last_named(parts[-1])
    named = {claim.lower() for claim in claims if claim}
    if len(named) == 1:  # one language for all lines, where they can be in it
        claims = [claim or next(iter(named)) for claim in claims]
    return claims


def _last_named(text: str) -> str | None:
    claim = None
    for mention in _MENTION.finditer(text):
        if mention.lastgroup and (claim is None or claim.islower()):
            claim = mention.lastgroup
        if mention.lastgroup and _ORDER.search(text[: mention.start()]):
            claim = mention.lastgroup.upper()
    return claim


def _choose(line: str, claim: str | None, before: str | None) -> tuple[str, bool]:
    """The language of a line, and whether it was guessed from its words."""
    scripts = _scripts(line)
    fitting = [
        code
        for code, (own, also, _) in _WRITTEN.items()
        if not scripts or (scripts & own and scripts <= own | also)
    ]
    if not fitting:
        raise ValueError(
            f'"{line}" mixes {" and ".join(sorted(scripts))} letters; put each language into a line of its own'
        )
    code, ordered = (claim or "").lower(), (claim or "").isupper()
    if ordered and code in fitting:
        return code, False
    if ordered:
        raise ValueError(
            f'"{line}" is not {LANGUAGES[code]} as it is written; use {_WRITTEN[code][2]}, or name another language'
        )
    for mark, pattern in _MARKS.items():
        if mark in fitting and pattern.search(line):
            return mark, False
    known = {one: len(_words(line) & _vocabulary(one)) for one in ("en", "de", "fr") if one in fitting}
    best = max(known, key=lambda one: known[one], default="")  # the first of equals: English
    if best and known[best]:
        return best, best not in ("en", code)
    for one in (code, before):
        if one in fitting:
            return one, False
    return ("zh" if scripts and "zh" in fitting else fitting[0]), False


def _scripts(line: str) -> set[str]:
    """Names of the scripts of the letters of a line. Raises ValueError for one that no language here has."""
    scripts = set()
    for letter in filter(str.isalpha, unicodedata.normalize("NFKC", line)):
        script = next((name for name, letters in _SCRIPTS.items() if re.match(letters, letter)), None)
        if script is None:
            name = unicodedata.name(letter, f"U+{ord(letter):04X}").split()[0].title()
            raise ValueError(
                f'"{line}" has {name} letters, which cannot be spoken here; the languages are {SEVEN}'
            )
        scripts.add(script)
    return scripts


def _words(line: str) -> frozenset[str]:
    return frozenset(re.findall(r"[^\W\d_]{2,}", line.casefold()))


@cache
def _vocabulary(code: str) -> frozenset[str]:
    """Words of the lines that the world speaks in a language."""
    known = lexicon(code)
    texts: Sequence[str] = [
        *known.phrases,
        *known.templates,
        *(text for slot in known.slots.values() for text in slot),
    ]
    return frozenset().union(*(_words(re.sub(r"\{\w+\}", " ", text)) for text in texts))
