"""Words -> token vectors: each word is the sum of embeddings of its hashed character n-grams (fastText, arXiv
1607.04606) and of its pairs with the neighbouring words, so that any wording, typo or new word has a meaning near
that of its parts, and one caption costs some fifteen tokens instead of a hundred bytes.

Text inside double quotes is spoken: it enters as one token a phoneme, placed on the clock of the clip where the
phoneme sounds (see `Phone`). Everything else is caption; caption words stand before the clip, at t = -n .. -1.
"""

import difflib
import re
import unicodedata
import zlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Annotated

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from happyhorse.config import Count, Range
from happyhorse.values import PONY

MAX_WORDS = 96  # caption words kept; a longer prompt is cut, with a warning, by whoever calls `words`
SPELT = 4  # letters that a word at least has which may be meant for another one
ALIKE = 0.84  # how much of both words then has to be the same
QUOTED = re.compile(r"[\"“”„«»「」『』]")
WORD = re.compile(r"[^\W_]+(?:['’\-][^\W_]+)*|[,.;:!?()]")
WIDE = re.compile(r"[぀-ヿ㐀-鿿가-힯]")  # scripts written without spaces, or nearly so: one token a character


@dataclass(frozen=True)
class TextConfig:
    """Size of the hashed vocabulary, features a token at most, and width C of the token vectors."""

    buckets: Annotated[int, Range(2)] = 8192
    features: Count = 24
    width: Count = 256


@dataclass(frozen=True)
class Phone:
    """One spoken phoneme: its symbol with stress and tone marks, start and end in seconds, the number of its line."""

    symbol: str
    start: float
    end: float
    line: int = 0


def split_spoken(prompt: str) -> tuple[str, list[str]]:
    """The caption with every quoted line replaced by `""`, and the lines. Unbalanced quotes are a ValueError."""
    pieces = QUOTED.split(prompt)
    if len(pieces) % 2 == 0:
        raise ValueError(
            "a quotation mark in the prompt is not closed: put the spoken words between two of them"
        )
    return '""'.join(pieces[0::2]), [line.strip() for line in pieces[1::2]]


def words(caption: str) -> list[str]:
    """Lower-case words and marks of a caption; every `""` becomes the word `<line>`."""
    found = []
    for i, part in enumerate(unicodedata.normalize("NFKC", caption).lower().split('""')):
        if i:
            found.append("<line>")
        for word in WORD.findall(part):
            found += list(word) if WIDE.search(word) else [word]
    return found


def unseen(prompt: str, vocabulary: Collection[str]) -> list[str]:
    """Caption words of `prompt` (marks apart) that are not in `vocabulary`, in order, each once."""
    caption, _ = split_spoken(prompt)
    return _alien(words(caption), vocabulary)


def familiar(caption: str, vocabulary: Collection[str]) -> tuple[str, dict[str, str]]:
    """The caption without words and marks that are not in `vocabulary`; and these words, each with the known one that
    is spelt nearly the same, or "". Without a vocabulary the caption stays as it is.

    A word that training has not seen would enter as a vector that means nothing, and so would its pairs with the words
    beside it; on held-out wordings a model makes less of a caption with such words than of one without them. The known
    word does not take the place of the other: "lighting" is no "lightning".
    """
    if not vocabulary:
        return caption, {}
    said, known = words(caption), sorted(vocabulary)
    kept = [word for word in said if word in vocabulary or word == "<line>"]
    others = {word: _nearest(word, known) for word in _alien(said, vocabulary)}
    return " ".join(kept).replace("<line>", '""'), others


def _alien(said: Sequence[str], vocabulary: Collection[str]) -> list[str]:
    """Words of `said` (marks apart) that are not in `vocabulary`, in order, each once."""
    return list(dict.fromkeys(word for word in said if word not in vocabulary and word[0].isalnum()))


def _nearest(word: str, known: Sequence[str]) -> str:
    """The known word with the same first letter that is spelt nearly like `word`, or "": short words have too many."""
    if len(word) < SPELT:
        return ""
    alike = [other for other in known if other[0] == word[0] and len(other) >= SPELT]
    return next(iter(difflib.get_close_matches(word, alike, 1, ALIKE)), "")


def tokenize(
    caption: str, phones: Sequence[Phone], config: TextConfig, frames_per_second: float
) -> tuple[Int[Tensor, "n G"], Float[Tensor, " n"]]:
    """Feature buckets [n, G] (0 = none) of all caption words and phonemes, and their clock times [n].

    Times are in latent frames: caption words at -n .. -1, phonemes at the middle of their sound times
    `frames_per_second` latent frames a second. An empty caption without phonemes gives zero tokens: the null prompt.
    """
    ids, times = [], []
    caption_words = words(caption)[:MAX_WORDS]
    for i, word in enumerate(caption_words):
        before = caption_words[i - 1] if i else "<start>"
        after = caption_words[i + 1] if i + 1 < len(caption_words) else "<end>"
        ids.append(_hash([f"w {word}", f"b {before} {word}", f"b {word} {after}", *_ngrams(word)], config))
        times.append(float(i - len(caption_words)))
    for i, phone in enumerate(phones):
        before = phones[i - 1].symbol if i else "<start>"
        after = phones[i + 1].symbol if i + 1 < len(phones) else "<end>"
        bare = "".join(c for c in phone.symbol if c.isalpha() and c not in "ːˑ") or phone.symbol
        marks = [f"m {c}" for c in phone.symbol if c not in bare]
        pairs = [f"q {before} {phone.symbol}", f"q {phone.symbol} {after}"]
        length = f"l {round((phone.end - phone.start) * PONY.fps)}"
        names = [f"p {phone.symbol}", f"a {bare}", f"n {phone.line}", length, *pairs, *marks]
        ids.append(_hash(names, config))
        times.append((phone.start + phone.end) / 2 * frames_per_second)
    rows = [row + [0] * (config.features - len(row)) for row in ids]
    return torch.tensor(rows, dtype=torch.int32).reshape(-1, config.features), torch.tensor(times)


def _ngrams(word: str) -> list[str]:
    marked = f"<{word}>"
    return [f"g {marked[i : i + n]}" for n in (3, 4) for i in range(len(marked) - n + 1)]


def _hash(names: list[str], config: TextConfig) -> list[int]:
    """Bucket 1 .. buckets-1 of each name; bucket 0 means no feature."""
    return [1 + zlib.crc32(name.encode()) % (config.buckets - 1) for name in names[: config.features]]


class TextEmbedder(nn.Module):
    """Feature buckets [B, n, G] -> token vectors [B, n, C]: the sum of embeddings over the root of their number."""

    def __init__(self, config: TextConfig) -> None:
        """Embeddings drawn from a normal distribution of deviation 1; bucket 0 is fixed at zero."""
        super().__init__()
        self.config = config
        self.bag = nn.EmbeddingBag(config.buckets, config.width, mode="sum", padding_idx=0)

    def forward(self, ids: Int[Tensor, "B n G"]) -> Float[Tensor, "B n C"]:
        """Rows without any feature (padding) give zero vectors."""
        batch, length, features = ids.shape
        total = self.bag(ids.reshape(batch * length, features)).reshape(batch, length, self.config.width)
        return total / (ids > 0).sum(-1, keepdim=True).clamp_min(1).sqrt()
