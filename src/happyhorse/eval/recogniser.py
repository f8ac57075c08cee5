"""A recogniser of phonemes: what a voice says, in which of seven languages, and when each sound is spoken.

A convolutional network on log-mels with three heads that share everything below: phonemes by connectionist temporal
classification (Graves et al. 2006), the phoneme of each 20 ms, and the language. It is trained by this repository on
the voices of espeak-ng (`train_recogniser`), so it judges speech of that kind: its own error on held-out voices and
sentences travels with its weights, and no figure of it means more than that.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Float32
from torch import Tensor, nn

from happyhorse import checkpoint, config
from happyhorse.codec.audio import ConvNext
from happyhorse.codec.mel import BANDS, RATE
from happyhorse.eval.spoken import LANGUAGES, STEP, features

KIND = "recogniser"
HOP = 2 * STEP  # samples between two outputs: 50 a second
SILENCE = 0  # class of both heads of phonemes: blank, silence
LEAST = 3 * HOP  # samples; shorter sounds are padded


@dataclass(frozen=True)
class RecogniserConfig:
    """Width and number of blocks, and the phonemes that are known, in the order of their classes from 1."""

    phonemes: tuple[str, ...]
    width: int = 256
    blocks: int = 6


@dataclass(frozen=True)
class Heard:
    """What was heard: phonemes in order, the language (a key of `world.speech.LANGUAGES`) and its probability."""

    phonemes: tuple[str, ...]
    language: str
    sure: float


@dataclass(frozen=True)
class Sound:
    """A phoneme in time, start and end in seconds."""

    symbol: str
    start: float
    end: float


class Recogniser(nn.Module):
    """Log-mels at 100 Hz -> classes of phonemes at 50 Hz, twice, and the language."""

    adam_parameters = ("stem", "ctc", "frame", "language", "look", "depthwise")

    def __init__(self, config: RecogniserConfig, seed: int = 0) -> None:
        """Weights drawn from `seed`."""
        super().__init__()
        self.config = config
        self.error: Mapping[str, Any] = {}  # on held-out voices and sentences, as its training measured it
        width, classes = config.width, 1 + len(config.phonemes)
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.stem = nn.Conv1d(BANDS, width, 5, padding=2)
            self.halve = nn.Conv1d(width, width, 4, stride=2, padding=1)
            self.blocks = nn.ModuleList(ConvNext(width) for _ in range(config.blocks))
            self.look = nn.Linear(width, 1)
            self.context = nn.Linear(width, width)
            self.norm = nn.LayerNorm(width)
            self.ctc = nn.Linear(width, classes)
            self.frame = nn.Linear(width, classes)
            self.language = nn.Linear(width, len(LANGUAGES))

    def forward(
        self, mel: Float[Tensor, "B frames bands"]
    ) -> tuple[Float[Tensor, "B n classes"], Float[Tensor, "B n classes"], Float[Tensor, "B languages"]]:
        """Log-probabilities: for CTC and of every 20 ms [B, frames // 2, 1 + phonemes], and of the languages [B, 7]."""
        x = F.gelu(self.stem(((mel + 5) / 3).transpose(1, 2)))
        x = F.gelu(self.halve(x)).transpose(1, 2)
        middle = len(self.blocks) // 2
        voice = x.new_zeros(())
        for index, block in enumerate(self.blocks):
            if index == middle:  # who speaks, and in which language, says how to hear the rest
                voice = (self.look(x).softmax(1) * x).sum(1)
                x = x + self.context(voice)[:, None]
            x = block(x)
        x = self.norm(x)
        return tuple(  # type: ignore[return-value]
            head.float().log_softmax(-1) for head in (self.ctc(x), self.frame(x), self.language(voice))
        )


def save(path: Path, module: Recogniser, weights: Mapping[str, Tensor], facts: Mapping[str, Any]) -> Path:
    """Write a recogniser in bfloat16; `weights` by name (any shape) are its averaged ones, `facts` its card."""
    part = checkpoint.Checkpoint(KIND, config.plain(module.config), dict(weights), dict(facts))
    return checkpoint.save(path, part, torch.bfloat16)[0]


def load(path: str | Path) -> Recogniser:
    """Read a recogniser. Raises ValueError where there is none, it is damaged, or it is something else."""
    part = checkpoint.load(path, KIND)
    module = Recogniser(config.build(RecogniserConfig, part.config))
    checkpoint.load_into(module, part.weights, str(path))
    module.error = part.facts.get("error", {})
    return module.eval().requires_grad_(False)


def hear(module: Recogniser, wave: Float32[np.ndarray, " N"]) -> Heard:
    """What a wave [N] at 16 kHz says, in which language."""
    return read(module, features(_padded(wave))[0])


@torch.no_grad()
def read(module: Recogniser, mel: Float[Tensor, "frames bands"]) -> Heard:
    """What a log-mel at 100 Hz says: the best class of every 20 ms, repeats and blanks left out."""
    ctc, _, language = module(mel[None])
    best = torch.unique_consecutive(ctc[0].argmax(-1))
    chosen = int(language[0].argmax())
    said = tuple(module.config.phonemes[int(c) - 1] for c in best if c != SILENCE)
    return Heard(said, LANGUAGES[chosen], float(language[0, chosen].exp()))


@torch.no_grad()
def align(module: Recogniser, wave: Float32[np.ndarray, " N"], phonemes: Sequence[str]) -> tuple[Sound, ...]:
    """When each of `phonemes` is spoken in a wave [N] at 16 kHz, which is taken to say them in that order.

    The likeliest path through phonemes with optional silence between them (Viterbi). Sounds that the recogniser does
    not know are passed over; none where the wave is too short for the rest.
    """
    known = [p for p in phonemes if p in module.config.phonemes]
    if not known:
        return ()
    _, frame, _ = module(features(_padded(wave)))
    classes = [SILENCE]
    for phoneme in known:
        classes += [1 + module.config.phonemes.index(phoneme), SILENCE]
    path = viterbi(frame[0].numpy()[:, classes])
    seconds = HOP / RATE
    found = []
    for place, phoneme in enumerate(known):
        steps = np.flatnonzero(path == 2 * place + 1)
        if not len(steps):
            return ()
        found.append(Sound(phoneme, float(steps[0] * seconds), float((steps[-1] + 1) * seconds)))
    return tuple(found)


def viterbi(scores: Float[np.ndarray, "n states"]) -> np.ndarray:
    """The likeliest state [n] at each step of a row of states, given their log-probabilities [n, states].

    States with an even number are silence and may be passed over; the others are taken one after the other. A row that
    is too long for the steps gives silence throughout.
    """
    steps, states = scores.shape
    total = np.full(states, -np.inf)
    total[:2] = scores[0, :2]
    came = np.zeros((steps, states), int)
    odd = np.arange(states) % 2 == 1
    for step in range(1, steps):
        ways = np.full((3, states), -np.inf)
        ways[0] = total
        ways[1, 1:] = total[:-1]
        ways[2, 2:] = np.where(odd[2:], total[:-2], -np.inf)
        came[step] = ways.argmax(0)
        total = ways.max(0) + scores[step]
    state = states - 1 if states == 1 or total[-1] >= total[-2] else states - 2
    if not np.isfinite(total[state]):
        return np.zeros(steps, int)
    path = np.zeros(steps, int)
    for step in range(steps - 1, -1, -1):
        path[step] = state
        state -= came[step, state]
    return path


def distance(said: Sequence[str], heard: Sequence[str]) -> int:
    """Edits (a sound more, less, or another) that turn one row of phonemes into the other (Levenshtein 1966)."""
    row = list(range(len(heard) + 1))
    for i, sound in enumerate(said, 1):
        before, row[0] = row[0], i
        for j, other in enumerate(heard, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (sound != other))
    return row[-1]


def silent(wave: Float32[np.ndarray, " N"], count: int, fps: float) -> Bool[np.ndarray, " count"]:
    """[count] whether 20 ms around each frame of `fps` frames/s of a wave [N] at 16 kHz lie 35 dB under its loudest."""
    power = np.cumsum(np.pad(np.square(wave, dtype=np.float64), (1, 0)))
    middle = np.arange(count) * RATE / fps
    ends = np.clip(np.round(middle[:, None] + [-0.01 * RATE, 0.01 * RATE]).astype(int), 0, len(wave))
    level = (power[ends[:, 1]] - power[ends[:, 0]]) / np.maximum(ends[:, 1] - ends[:, 0], 1)
    return level <= max(level.max(initial=0.0) * 10**-3.5, 1e-8)


def _padded(wave: Float32[np.ndarray, " N"]) -> Float[Tensor, "one N"]:
    return F.pad(torch.from_numpy(wave)[None], (0, max(0, LEAST - len(wave))))
