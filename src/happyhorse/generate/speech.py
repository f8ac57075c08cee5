"""Spoken lines of a prompt, placed on the clock of the clip as phonemes."""

import re

from happyhorse.codec.text import Phone
from happyhorse.world import speech

LEAD = 0.16  # s before the first line, at the least
GAP = 0.2  # s between lines
TAIL = 0.2  # s after the last line, at the least
EARLY = 0.35  # share of the time to spare that goes before the first line
FASTEST = 1.35  # how much faster than usual lines may be spoken to fit

_NAMED = {
    "yue": r"cantonese|粤|粵|廣東話|广东话",
    "zh": r"mandarin|chinese|普通话|國語|中文",
    "ja": r"japanese|日本語",
    "ko": r"korean|한국어",
    "de": r"german|deutsch",
    "fr": r"french|français",
    "en": r"english",
}
_SCRIPTS = (  # the first that matches decides
    ("ja", r"[\u3040-\u30ff]"),
    ("ko", r"[\uac00-\ud7af\u1100-\u11ff]"),
    ("yue", r"[嘅咗唔係喺冇啲佢哋嚟嘢乜咁]"),
    ("zh", r"[\u3400-\u9fff]"),
    ("de", r"[äöüß]"),
    ("fr", r"[éèêëàâçîïôûùœæ]"),
)


def language_of(line: str, caption: str) -> str:
    """The language in which `line` is spoken, a key of `world.speech.LANGUAGES`.

    The script decides where it can; a language named in the caption ("says in Cantonese") decides among those
    that share a script; Latin letters without either are English.
    """
    by_script = next((code for code, pattern in _SCRIPTS if re.search(pattern, line, re.IGNORECASE)), "en")
    shared = {
        "zh": ("zh", "yue", "ja"),
        "yue": ("zh", "yue"),
        "en": ("en", "de", "fr"),
        "de": ("de", "fr", "en"),
    }
    for code in shared.get(by_script, ()):
        if re.search(_NAMED[code], caption, re.IGNORECASE):
            return code
    return by_script


def place(lines: list[str], caption: str, seconds: float) -> list[Phone]:
    """Phonemes of `lines`, one after the other, with start and end in seconds inside a clip of `seconds` s.

    They have the rhythm in which espeak-ng speaks them, as in training, or a faster one (down to their length over
    FASTEST) where the clip needs it. Raises ValueError when the lines do not fit, when espeak-ng is not installed, or
    for a line without sound.
    """
    if not lines:
        return []
    spoken = [speech.synthesise(line, language_of(line, caption)).phonemes for line in lines]
    lengths = [line[-1].end / speech.RATE for line in spoken]
    room, needed = seconds - LEAD - TAIL - GAP * (len(lines) - 1), sum(lengths)
    if needed > FASTEST * room:
        longer = needed / FASTEST + seconds - room
        raise ValueError(
            f"the spoken words last {needed:.1f} s and do not fit into a clip of {seconds:g} s; "
            f"ask for --seconds {longer + 0.05:.1f} or say less"
        )
    speed = max(1.0, needed / room)
    phones, begin = [], LEAD + EARLY * max(0.0, room - needed)
    for number, (line, length) in enumerate(zip(spoken, lengths, strict=True)):
        for sound in line:
            start, end = (begin + sample / speech.RATE / speed for sample in (sound.start, sound.end))
            phones.append(Phone(sound.symbol, start, end, number))
        begin += length / speed + GAP
    return phones
