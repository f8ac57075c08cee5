"""Captions as other people would word them: less of them, in another order, with words that nobody has heard.

The world has a dozen wordings a scene. A model that has read only these knows them by heart, pairs of neighbouring
words above all, and loses the thread in any other: on held-out wordings the error of the picture at the highest noise
was nearer to that of no prompt than to that of a known wording (docs/log.md). Noise in the words teaches it to go by
those that it knows.
"""

import re

import torch
from jaxtyping import Int
from torch import Tensor

DROP, ALIEN, PAIRS, SHUFFLE = 0.08, 0.12, 0.5, 0.5
"""Chances that a word is left out, that a word which means nothing follows it, that a word does not tell its
neighbours, and that the clauses stand in another order."""
LINE = '""'  # where a line is spoken: always kept


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
