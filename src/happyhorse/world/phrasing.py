"""Captions for people who speak: the line stands in double quotes, the language is mostly named."""

from collections.abc import Sequence

import numpy as np

from happyhorse.world.captions import fill, wordings
from happyhorse.world.portrait import Look
from happyhorse.world.speech import LANGUAGES

_QUOTE = (
    "\x00{}\x00"  # stands for a line while the rest is filled, so that filling never touches what is said
)
_PERSON = {
    "man": ("man", "man", "man", "guy"),
    "woman": ("woman", "woman", "woman", "lady"),
    "boy": ("boy", "boy", "young boy", "little boy"),
    "girl": ("girl", "girl", "young girl", "little girl"),
}
_MANNER = {
    "neutral": ("",),
    "happy": ("happily", "with a smile", "cheerfully", "in a happy voice"),
    "sad": ("sadly", "in a sad voice"),
    "angry": ("angrily", "in an angry voice"),
    "surprised": ("in surprise", "with a surprised look"),
}
_FEELING = {
    "neutral": ("",),
    "happy": ("happy", "smiling", "cheerful"),
    "sad": ("sad", "unhappy"),
    "angry": ("angry", "furious"),
    "surprised": ("surprised", "astonished"),
}
_STYLE = {
    "long": "long {} hair",
    "bob": "short {} hair",
    "curly": "curly {} hair",
    "bun": "{} hair in a bun",
    "ponytail": "{} hair in a ponytail",
    "pigtails": "{} pigtails",
    "bangs": "long {} hair",
    "short": "short {} hair",
    "side": "short {} hair",
    "spiky": "spiky {} hair",
}

FACE = (
    "a {feeling} {person} with {hair} says {line} in {language}, {background} background",
    "a {person} with {hair} says {line} in {language}",
    "a {person} with {hair} {extra} says {manner} in {language}: {line}, {background} background",
    "talking {person}, {hair}, {feeling}, says {line} ({language})",
    "a {feeling} {person} with {hair} {extra} says {line} in front of a {background} wall",
    "close-up of a {feeling} {person} with {hair} speaking {language}: {line}",
    "a cartoon {person} with {hair} and a {shirt} shirt says {line} {manner}, {background} background",
    "{person}, {hair}, {shirt} shirt, {background} background, says in {language} {line}",
    "in front of a {background} background, a {feeling} {person} with {hair} says {line}",
    "the {person} speaks {language} {manner}: {line}; {hair}, {background} background",
    "the face of a {person} with {hair} {extra}, saying {line} {manner}",
    "a {person} in a {shirt} shirt says {line} in {language} {manner}",
    "{line}, says a {feeling} {person} with {hair} in {language}",
    "{person}: {line}",
    "a {feeling} {person} with {hair}, {background} background. {person}: {line}",
)
FACE_HELDOUT = (
    "we see a {feeling} {person} with {hair} who tells us in {language}: {line}, {background} backdrop",
    "{background} background. {language}. A {person} with {hair} speaks the words {line} {manner}",
    "portrait of a {person} with {hair} {extra} talking, and the line is {line}",
    "{line} spoken in {language} by a {feeling} {person} with {hair}",
)
DIALOGUE = (
    "two people talk in {language}, {background} background. {first}: {line0} {second}: {line1}",
    "a {first} with {hair0} and a {second} with {hair1}. {first}: {line0} {second}: {line1}",
    "a {first} says {line0} and a {second} answers {line1} in {language}",
    "a {first} on the {side0} says {line0}, then a {second} on the {side1} says {line1}",
    "{first}: {line0} {second}: {line1}",
    "dialogue in {language} between a {first} with {hair0} and a {second} with {hair1}, {background} background. "
    "{first}: {line0} {second}: {line1}",
    "the {feeling0} {first} says {line0}; the {feeling1} {second} says {line1}; {background} background",
    "{background} background, a {left} on the left and a {right} on the right, {first}: {line0} {second}: {line1} "
    "({language})",
)
DIALOGUE_HELDOUT = (
    "a conversation: first the {first} with {hair0} says {line0}, and the {second} with {hair1} replies {line1}",
    "{language} conversation, {background} backdrop: {line0} asks the {first}, {line1} says the {second}",
)


def hair_words(look: Look) -> tuple[str, ...]:
    """What may be said of the hair, after "with"."""
    if look.style == "bald":
        return ("a bald head", "no hair")
    styled = _STYLE[look.style].format(look.hair)
    plain = f"{look.hair} hair" if look.style != "pigtails" else styled
    beard = f" and a {look.hair} beard" if look.beard else ""
    return (plain, plain + beard, styled + beard)


def face_captions(
    rng: np.random.Generator, look: Look, background: str, language: str, text: str
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Training captions and held-out captions of one person who says `text`."""
    slots = {
        **_words(look),
        "background": background,
        "language": LANGUAGES[language],
        "line": _QUOTE.format(0),
    }
    training = wordings(FACE, slots, rng)
    heldout = [fill(template, slots, rng) for template in FACE_HELDOUT]
    return _quoted(training, [text]), _quoted(heldout, [text])


def dialogue_captions(
    rng: np.random.Generator,
    looks: Sequence[Look],
    background: str,
    language: str,
    texts: Sequence[str],
    left_first: bool,
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Training captions and held-out captions of two people of whom looks[0] speaks first, on the left or not."""
    sides = ("left", "right") if left_first else ("right", "left")
    ordered = looks if left_first else tuple(reversed(looks))
    slots = {
        "background": background,
        "language": LANGUAGES[language],
        "first": looks[0].person,
        "second": looks[1].person,
        "left": ordered[0].person,
        "right": ordered[1].person,
    }
    for index, look in enumerate(looks):
        slots |= {
            f"{key}{index}": choices for key, choices in _words(look).items() if key in ("hair", "feeling")
        }
        slots |= {f"line{index}": _QUOTE.format(index), f"side{index}": sides[index]}
    training = wordings(DIALOGUE, slots, rng)
    heldout = [fill(template, slots, rng) for template in DIALOGUE_HELDOUT]
    return _quoted(training, texts), _quoted(heldout, texts)


def _words(look: Look) -> dict[str, tuple[str, ...] | str]:
    return {
        "person": _PERSON[look.person],
        "hair": hair_words(look),
        "extra": ("wearing glasses", "and glasses") if look.glasses else "",
        "shirt": look.shirt,
        "manner": _MANNER[look.mood],
        "feeling": _FEELING[look.mood],
    }


def _quoted(lines: Sequence[str], texts: Sequence[str]) -> tuple[str, ...]:
    """The captions with what is said in double quotes at its place, and blanks and commas of empty slots closed."""
    result = []
    for line in lines:
        line = line.replace(" :", ":").replace(" ;", ";").replace(", ,", ",").replace(",,", ",")
        for index, text in enumerate(texts):
            line = line.replace(_QUOTE.format(index), f'"{text}"')
        line = line[:-1] if line.endswith('".') else line
        result.append(line)
    return tuple(result)
