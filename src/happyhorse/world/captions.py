"""Filling caption templates: synonyms, articles and sentence style, so that one scene is described in many ways."""

import re
from collections.abc import Mapping, Sequence

import numpy as np

PACE = {
    "slow": ("slowly", "at a slow pace"),
    "medium": ("steadily", "at a medium pace"),
    "fast": ("fast", "quickly"),
}
Slots = Mapping[str, str | Sequence[str]]


def fill(template: str, slots: Slots, rng: np.random.Generator) -> str:
    """The template with every {slot} replaced by its text, or by one of its synonyms where several are given.

    "a" before a vowel becomes "an"; two blanks and a blank before a mark, left by an empty slot, are closed.
    """
    chosen = {
        key: text if isinstance(text, str) else text[int(rng.integers(len(text)))]
        for key, text in slots.items()
    }
    line = template.format_map(chosen)
    line = re.sub(r"\b([Aa]) (?=[aeiouAEIOU])", r"\1n ", line)
    return re.sub(r" +([,.;:])", r"\1", re.sub(r"  +", " ", line)).strip()


def wordings(
    templates: Sequence[str], slots: Slots, rng: np.random.Generator, count: int = 6
) -> tuple[str, ...]:
    """`count` different templates in random order, filled; a quarter become sentences with capital and full stop."""
    lines = [fill(templates[int(i)], slots, rng) for i in rng.permutation(len(templates))[:count]]
    return tuple(line[0].upper() + line[1:] + "." if rng.random() < 0.25 else line for line in lines)
