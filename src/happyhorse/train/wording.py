"""Captions as other people would word them: less of them, in another order, with words that nobody has heard.

The world has a dozen wordings a scene. A model that has read only these knows them by heart, pairs of neighbouring
words above all, and loses the thread in any other: on held-out wordings the error of the picture at the highest noise
was nearer to that of no prompt than to that of a known wording (docs/log.md). Noise in the words teaches it to go by
those that it knows; `wordings.toml` tells the same scenes in many more ways, by their attributes.
"""

import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from happyhorse.codec.text import split_spoken, words
from happyhorse.world.captions import fill

DROP, ALIEN, PAIRS, SHUFFLE = 0.08, 0.12, 0.5, 0.5
"""Chances that a word is left out, that a word which means nothing follows it, that a word does not tell its
neighbours, and that the clauses stand in another order."""
LINE = '""'  # where a line is spoken: always kept
SPOKEN = "text"  # so begin the names of attributes that are said, not told
SLOT = re.compile(r"\{(\w+)\}")
SENTENCE = 0.25  # share of tellings that become sentences, as among the world's own captions
NUMBERS = [
    "no",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
]


@dataclass(frozen=True)
class Telling:
    """A template of captions for the clips of a family whose attributes have the values of `when`."""

    template: str
    when: Mapping[str, tuple[Any, ...]]

    def fits(self, attributes: Mapping[str, Any]) -> bool:
        """Whether it is true of a clip with these attributes."""
        return all(attributes.get(name) in values for name, values in self.when.items())


@dataclass(frozen=True)
class Wordings:
    """All tellings by family, and the synonyms of attributes' values by family and attribute ("any": every family)."""

    tellings: Mapping[str, tuple[Telling, ...]]
    synonyms: Mapping[str, Mapping[str, Mapping[str, list[str]]]]

    def tell(self, family: str, attributes: Mapping[str, Any], generator: torch.Generator) -> str | None:
        """A caption for a clip of the world, with what is spoken in double quotes; None for clips of other kinds.

        A quarter become sentences with a capital and a full stop.
        """
        fitting = [telling for telling in self.tellings.get(family, ()) if telling.fits(attributes)]
        if not (fitting and attributes):
            return None
        rng = np.random.default_rng(int(torch.randint(2**31, (), generator=generator)))
        slots = {name: self._names(family, name, value) for name, value in attributes.items()}
        line = fill(fitting[int(rng.integers(len(fitting)))].template, slots, rng)
        if rng.random() >= SENTENCE:
            return line
        return line[0].upper() + line[1:] + ("" if line[-1] in ".!?" else ".")

    def _names(self, family: str, name: str, value: Any) -> list[str]:
        """What a value of an attribute is called: its synonyms, a small number as a word, or itself."""
        for kind in (family, "any"):
            found = self.synonyms.get(kind, {}).get(name, {}).get(str(value))
            if found:
                return found
        if isinstance(value, int) and 0 <= value < len(NUMBERS):
            return [NUMBERS[value]]
        return [str(value)]

    def vocabulary(self, records: Iterable[Mapping[str, Any]]) -> set[str]:
        """Caption words that may be told of the clips of `records`."""
        values: dict[str, dict[str, set[Any]]] = {}
        for record in records:
            slots = values.setdefault(record["family"], {})
            for name, value in record["attributes"].items():
                slots.setdefault(name, set()).add(value)
        known: set[str] = set()
        for family, slots in values.items():
            names = {
                name: sorted({called for value in found for called in self._names(family, name, value)})
                for name, found in slots.items()
                if not name.startswith(SPOKEN)
            }
            for telling in self.tellings.get(family, ()):
                known |= _said(telling.template, names)
        return known


def _said(template: str, names: Mapping[str, Sequence[str]]) -> set[str]:
    """Caption words of a template with each of the names in its slots; none where a slot has none."""
    asked = [name for name in SLOT.findall(template) if not name.startswith(SPOKEN)]
    if not all(name in names for name in asked):
        return set()
    first = {name: names[name][0] for name in asked}
    lines = [template] if not asked else []
    for name in asked:
        for called in names[name]:
            filled = first | {name: called}
            lines.append(SLOT.sub(lambda slot, filled=filled: filled.get(slot[1], ""), template))
    return {word for line in lines for word in words(split_spoken(line)[0])} - {"<line>"}


@cache
def wordings() -> Wordings:
    """Those of `wordings.toml`, which explains its form."""
    read = tomllib.loads(resources.files("happyhorse.train").joinpath("wordings.toml").read_text("utf-8"))
    tellings: dict[str, list[Telling]] = {}
    for group in read["captions"]:
        when = {
            name: tuple(values) if isinstance(values, list) else (values,)
            for name, values in group.get("when", {}).items()
        }
        tellings.setdefault(group["family"], []).extend(Telling(line, when) for line in group["say"])
    return Wordings({family: tuple(many) for family, many in tellings.items()}, read["slots"])


def reworded(caption: str, generator: torch.Generator) -> str:
    """The caption with clauses shuffled, words left out, and words in between that mean nothing.

    Spoken lines, which stand as `""`, and the clauses around them stay in their order.
    """
    clauses = re.split(r"(?<=[,;.])\s+", caption)
    if LINE not in caption and _chance(SHUFFLE, generator):
        order = torch.randperm(len(clauses), generator=generator).tolist()
        clauses = [clauses[place] for place in order]
    found = []
    for word in " ".join(clauses).split():
        if LINE in word or not _chance(DROP, generator):
            found.append(word)
        if _chance(ALIEN, generator):
            found.append(alien(generator))
    return " ".join(found)


def alien(generator: torch.Generator) -> str:
    """A word of one to three syllables that hardly any language has."""
    count = int(torch.randint(1, 4, (), generator=generator))
    letters = torch.randint(0, 60, (count, 3), generator=generator).tolist()
    consonants, vowels = "bcdfghjklmnpqrstvwxz", "aeiou"
    return "".join(
        consonants[a % 20] + vowels[b % 5] + (consonants[c % 20] if c < 20 else "") for a, b, c in letters
    )


def parted(ids: Int[Tensor, "n G"], words: int, generator: torch.Generator) -> Int[Tensor, "n G"]:
    """Feature buckets [n, G] of `codec.text.tokenize`, where some of the first `words` do not know their neighbours."""
    alone = torch.rand(words, 1, generator=generator) < PAIRS
    ids = ids.clone()
    ids[:words, 1:3] = ids[:words, 1:3].masked_fill(alone, 0)
    return ids


def _chance(share: float, generator: torch.Generator) -> bool:
    return float(torch.rand((), generator=generator)) < share
