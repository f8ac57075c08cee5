"""Spoken lines to teach and to test a recogniser: log-mels with their phonemes in time, made once and kept.

Line `i` of a split is a function of (split, i) alone: languages in turn, a random person, mood and voice, a random
sentence. Held-out lines are sentences that no training line says, in a voice that no training line of the language
has. A share of the training lines has been through the audio codec, because that is how a model's speech sounds.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float32
from safetensors.torch import load_file, save_file
from torch import Tensor

from happyhorse import checkpoint, config
from happyhorse.codec import Codec, load_codec
from happyhorse.codec.audio import SAMPLES
from happyhorse.codec.mel import HOP, log_mel
from happyhorse.data.shards import cache_dir, world_version
from happyhorse.files import write_atomic
from happyhorse.world import speech, voices, words

LANGUAGES = tuple(speech.LANGUAGES)
STEP = 2 * HOP  # samples of a frame: 100 a second
SHARD = 512  # lines
CODED = 4  # one training line in this many has been through the codec
SPLITS = ("train", "heldout")


@dataclass(frozen=True)
class Spoken:
    """A line: what is said, its sound float32 [N] at 16 kHz, and its phonemes (sound, first sample, end sample)."""

    language: str
    text: str
    wave: Float32[np.ndarray, " N"]
    phones: tuple[tuple[str, int, int], ...]


def line(split: str, index: int) -> Spoken:
    """Line `index` of a split, "train" or "heldout". Raises ValueError when espeak-ng is not installed."""
    held = split == "heldout"
    rng = np.random.default_rng([SPLITS.index(split), index, 20_261])
    language = LANGUAGES[index % len(LANGUAGES)]
    person = str(rng.choice(list(voices.TIMBRES)))
    mood = str(rng.choice(list(voices.MOODS)))
    voice = voices.draw(rng, person, language, mood, held)
    text = words.sentence(rng, language, held)
    utterance = speech.synthesise(text, language, voice)
    return Spoken(language, text, utterance.wave, sounds(utterance.phonemes))


def sounds(phonemes: tuple[Any, ...]) -> tuple[tuple[str, int, int], ...]:
    """(sound, first sample, end sample) of world phonemes without stress, tone and pauses, samples at 16 kHz."""
    return tuple((speech.split(p.symbol)[1], p.start, p.end) for p in phonemes if p.symbol != speech.PAUSE)


def features(wave: Float[Tensor, "B N"]) -> Float[Tensor, "B frames bands"]:
    """Log-mel at 100 Hz of waves at 16 kHz: frame j is centred on sample 160 j + 80, N // 160 frames."""
    whole = wave.shape[1] // STEP * STEP
    mel = log_mel(wave[:, :whole])
    return mel.unflatten(1, (-1, 2)).mean(2)


def through(codec: Codec, wave: Float32[np.ndarray, " N"]) -> Float32[np.ndarray, " N"]:
    """A wave [N] at 16 kHz after encoding and decoding by the audio codec."""
    padded = np.pad(wave, (0, -len(wave) % SAMPLES))
    with torch.inference_mode():
        heard = codec.audio.decode(codec.audio.encode(torch.from_numpy(padded)[None]))[0]
    return heard.numpy()[: len(wave)]


@dataclass(frozen=True)
class Lines:
    """Lines of a split: log-mels [frames, 80] at 100 Hz, half precision; for each its language, text and phones."""

    mels: tuple[Float[Tensor, "frames bands"], ...]
    facts: tuple[dict[str, Any], ...]

    def __len__(self) -> int:
        return len(self.mels)


def lines(
    split: str, count: int, codec: Path | None = None, progress: Callable[[int, int], None] | None = None
) -> Lines:
    """The first `count` lines of a split, made now where they are not kept; `codec` is that of the coded share.

    `progress(done, total)` counts lines. Raises ValueError when espeak-ng is not installed or a line is no line.
    """
    coded = checkpoint.sha256(codec) if codec and split == "train" else None
    key = config.fingerprint([world_version(), checkpoint.sha256(__file__), coded])
    folder = cache_dir() / f"spoken-{split}-{key}"
    folder.mkdir(parents=True, exist_ok=True)
    mels: list[Tensor] = []
    facts: list[dict[str, Any]] = []
    for shard in range(-(-count // SHARD)):
        path = folder / f"{shard:05d}.safetensors"
        if not path.with_suffix(".json").exists():
            _make(path, split, shard, codec if coded else None)
        kept = load_file(path)
        mels += kept["mel"].split(kept["frames"].tolist())
        facts += json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        if progress:
            progress(min(len(mels), count), count)
    return Lines(tuple(mels[:count]), tuple(facts[:count]))


def _make(path: Path, split: str, shard: int, codec: Path | None) -> None:
    mels, facts = [], []
    for index in range(shard * SHARD, (shard + 1) * SHARD):
        spoken = line(split, index)
        wave = spoken.wave
        # lines of every language in turn, so a group of languages after the other
        if codec and index // len(LANGUAGES) % CODED == 0:
            wave = through(_codec(str(codec)), wave)
        mels.append(features(torch.from_numpy(wave)[None])[0].half())
        facts.append({"language": spoken.language, "text": spoken.text, "phones": spoken.phones})
    tensors = {"mel": torch.cat(mels), "frames": torch.tensor([len(mel) for mel in mels])}
    write_atomic(path, lambda hidden: save_file(tensors, hidden))
    text = json.dumps(facts, ensure_ascii=False)
    write_atomic(path.with_suffix(".json"), lambda hidden: hidden.write_text(text, encoding="utf-8"))


@lru_cache(maxsize=1)
def _codec(path: str) -> Codec:
    return load_codec(path)
