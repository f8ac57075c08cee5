"""Spoken lines of a prompt, placed on the clock of the clip as phonemes."""

import re

from happyhorse.codec.text import Phone
from happyhorse.world import speech

LEAD = 0.3  # s before the first line
GAP = 0.25  # s between lines
TAIL = 0.15  # s after the last line
FASTEST = 1.35  # how much faster than usual a line may be spoken to fit

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

    A line lasts as long as espeak-ng speaks it, or shorter, down to its length over FASTEST, where the clip
    needs it. Raises ValueError when the lines do not fit, when espeak-ng is not installed, or for a line
    without sound.
    """
    spoken: list[list[tuple[str, float]]] = []
    for line in lines:
        language = language_of(line, caption)
        lasting = zip(speech.phonemes(line, language), speech.durations(line, language), strict=True)
        spoken.append(list(lasting))
    room = seconds - LEAD - TAIL - GAP * (len(lines) - 1)
    needed = sum(duration for line in spoken for _, duration in line)
    if needed > FASTEST * room:
        longer = needed / FASTEST + seconds - room
        raise ValueError(
            f"the spoken words last {needed:.1f} s and do not fit into a clip of {seconds:g} s; "
            f"ask for --seconds {longer + 0.05:.1f} or say less"
        )
    speed = max(1.0, needed / room)
    phones, now = [], LEAD
    for number, line in enumerate(spoken):
        for symbol, duration in line:
            phones.append(Phone(symbol, now, now + duration / speed, number))
            now = phones[-1].end
        now += GAP
    return phones
