"""Training the recogniser on the voices of espeak-ng, in about half an hour of one core; resumable like every run.

What a training line sounds like is changed at random at every sight of it: tempo, length of the voice's tract, level,
colour, noise. The voices of a model, and of people nobody trained on, are less alike than those of espeak-ng.
"""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from happyhorse import checkpoint, config
from happyhorse.codec import load_codec
from happyhorse.codec.mel import BANDS, FLOOR
from happyhorse.data.batches import indices, step_generator
from happyhorse.eval import recogniser, spoken
from happyhorse.eval.recogniser import HOP, SILENCE, Recogniser, RecogniserConfig
from happyhorse.eval.spoken import LANGUAGES, STEP, Lines
from happyhorse.precision import mixed
from happyhorse.train.loop import LoopConfig, train
from happyhorse.train.optim import OptimConfig
from happyhorse.train.parallel import moved, where

NAME = "recogniser.safetensors"
EDGE = 30  # frames of silence, at most, before and after a line
RARE = 3  # a phoneme that fewer training lines have is not learnt
QUIET = math.log(FLOOR)


@dataclass(frozen=True)
class RecogniserRecipe:
    """Lines of the seven languages to learn from and to be judged by, size of the network, and how it is trained."""

    lines: int = 16_000
    heldout: int = 420
    width: int = 256
    blocks: int = 6
    loop: LoopConfig = LoopConfig(
        steps=1600,
        batch=32,
        ema=0.99,
        log_every=20,
        eval_every=400,
        preview_every=800,
        save_every=50,
        optim=OptimConfig(muon_lr=3e-3, adam_lr=2e-3, cooldown=0.5),
    )


class RecogniserObjective:
    """Trains a recogniser on spoken lines; judged by phoneme errors in voices and sentences kept from it."""

    def __init__(self, recipe: RecogniserRecipe, train: Lines, heldout: Lines) -> None:
        """A new recogniser of the phonemes that occur in `train`."""
        counts = Counter(name for fact in train.facts for name in {phone[0] for phone in fact["phones"]})
        names = tuple(sorted(name for name, count in counts.items() if count >= RARE))
        self.module = Recogniser(RecogniserConfig(names, recipe.width, recipe.blocks), recipe.loop.seed)
        self.loop, self.train, self.heldout = recipe.loop, train, heldout
        self.classes = {name: index for index, name in enumerate(names, 1)}
        self.order = sorted(range(len(train)), key=lambda i: len(train.mels[i]))

    def loss(self, step: int, part: int, parts: int) -> tuple[Tensor, dict[str, float]]:
        """CTC, cross-entropy of every 20 ms and of the language, in nats a phoneme, a frame and a line; scalar."""
        size = min(self.loop.batch, len(self.order))
        group = indices(len(self.order) // size, 1, self.loop.seed, step)[0]  # lines of about one length
        generator = step_generator(self.loop.seed, step, part)
        chosen = self.order[group * size : (group + 1) * size][part::parts]
        mels, frames = self._batch(chosen, generator)
        said = [[self.classes[p[0]] for p in self._phones(i)] for i in chosen]
        language = torch.tensor([LANGUAGES.index(self.train.facts[i]["language"]) for i in chosen])
        targets, lengths = (
            torch.tensor([c for row in said for c in row]),
            torch.tensor([len(r) for r in said]),
        )
        here = where(self.module)
        mels, frames, language, targets, lengths = moved((mels, frames, language, targets, lengths), here)
        with mixed(here.type, self.loop.autocast):
            ctc, frame, spoken_in = self.module(mels)
        steps = torch.full((len(chosen),), ctc.shape[1], device=here)
        losses = {
            "ctc": F.ctc_loss(ctc.transpose(0, 1), targets, steps, lengths, SILENCE, zero_infinity=True),
            "frame": F.nll_loss(frame.flatten(0, 1), frames.flatten(), ignore_index=-1),
            "language": F.nll_loss(spoken_in, language),
        }
        total = losses["ctc"] + losses["frame"] + 0.3 * losses["language"]
        return total, {name: float(value.detach()) for name, value in losses.items()}

    def _phones(self, index: int) -> list[Any]:
        return [phone for phone in self.train.facts[index]["phones"] if phone[0] in self.classes]

    def _batch(self, chosen: Sequence[int], generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Changed log-mels [B, frames, 80] within silence, and the class of every 20 ms [B, frames // 2]."""
        tempo = 0.88 + 0.28 * float(torch.rand((), generator=generator))
        begins = torch.randint(EDGE + 1, (len(chosen),), generator=generator).tolist()
        spans = [round(len(self.train.mels[i]) * tempo) for i in chosen]
        count = max(begin + span for begin, span in zip(begins, spans, strict=True))
        count += int(torch.randint(2, EDGE, (), generator=generator))
        count += count % 2
        mels = torch.full((len(chosen), count, BANDS), QUIET)
        labels = np.full((len(chosen), count // 2), SILENCE)
        middles = (np.arange(count // 2) + 0.5) * HOP
        for row, (index, begin, span) in enumerate(zip(chosen, begins, spans, strict=True)):
            mel = self.train.mels[index].float()
            mels[row, begin : begin + span] = F.interpolate(mel.T[None], span, mode="linear")[0].T
            scale = span / len(mel)
            for name, start, end in self.train.facts[index]["phones"]:
                first, last = begin * STEP + scale * start, begin * STEP + scale * end
                labels[row, (middles >= first) & (middles < last)] = self.classes.get(name, -1)
        return disguised(mels, generator), torch.from_numpy(labels)

    @torch.no_grad()
    def evaluate(self) -> dict[str, float]:
        """Share of phonemes wrong in held-out lines, over all languages and by language, and of languages."""
        errors, sizes, wrong = Counter(), Counter(), 0
        here = where(self.module)
        for mel, fact in zip(self.heldout.mels, self.heldout.facts, strict=True):
            heard = recogniser.read(self.module, mel.float().to(here))
            said = [phone[0] for phone in fact["phones"]]
            errors[fact["language"]] += recogniser.distance(said, heard.phonemes)
            sizes[fact["language"]] += len(said)
            wrong += heard.language != fact["language"]
        values = {f"error_{language}": errors[language] / sizes[language] for language in sizes}
        whole = sum(errors.values()) / sum(sizes.values())
        return {"error": whole, **values, "language_error": wrong / len(self.heldout)}

    def preview(self, folder: Path | None, step: int) -> None:
        """Write what is said and what is heard in one held-out line of each language as STEP.txt."""
        rows = []
        for language in LANGUAGES:
            facts = enumerate(self.heldout.facts)
            index = next((i for i, fact in facts if fact["language"] == language), None)
            if index is not None:
                fact = self.heldout.facts[index]
                heard = recogniser.read(self.module, self.heldout.mels[index].float().to(where(self.module)))
                rows += [f"{language}: {fact['text']}", " ".join(p[0] for p in fact["phones"])]
                rows += [" ".join(heard.phonemes), ""]
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{step:06d}.txt").write_text("\n".join(rows), encoding="utf-8")

    def release(self, folder: Path, weights: dict[str, Tensor], facts: dict[str, Any]) -> Path:
        """Write the recogniser in bfloat16 with its errors on held-out voices and sentences."""
        return recogniser.save(folder / NAME, self.module, weights, facts | {"error": self.evaluate()})


def disguised(
    mels: Float[Tensor, "B frames bands"], generator: torch.Generator
) -> Float[Tensor, "B frames bands"]:
    """Log-mels as another voice in another room: bands stretched, level and colour changed, noise added."""

    def draw(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(len(mels), 1, 1, generator=generator)

    place = (torch.arange(BANDS) * draw(0.9, 1.1).squeeze(-1)).clamp(max=BANDS - 1)  # [B, bands]
    low = place.long()
    share = (place - low)[:, None]
    lower, upper = (
        mels.gather(2, band[:, None].expand_as(mels)) for band in (low, (low + 1).clamp(max=BANDS - 1))
    )
    bands = torch.linspace(-1, 1, BANDS)
    wave = torch.cos(math.pi * (bands * draw(0.3, 1.5) + draw(0, 2)))
    colour = draw(-1.0, 1.0) + draw(-0.7, 0.7) * bands + draw(0, 0.5) * wave
    voice = lower + share * (upper - lower) + colour
    noise = draw(QUIET, -5.0) + draw(-1.0, 1.0) * bands
    spread = torch.rand(mels.shape, generator=generator).clamp_min(1e-4).log().neg().log()  # power of noise
    loud = torch.logaddexp(2 * voice, 2 * noise + spread) / 2
    return torch.logaddexp(loud, torch.tensor(QUIET))


def run(
    recipe: RecogniserRecipe,
    folder: Path,
    codec: Path | None,
    report: Callable[[str, int, int, dict[str, float]], None] = lambda what, done, total, values: None,
) -> Path:
    """Train a recogniser into `folder`, going on where it stopped; returns its path.

    `codec` is that through which a share of the lines goes (None: none). Raises ValueError when espeak-ng is missing.
    """
    if codec:
        load_codec(str(codec))  # a wrong one should stop the work before it begins

    def lines(split: str, count: int) -> Lines:
        return spoken.lines(
            split, count, codec, lambda done, total: report(f"{split} lines", done, total, {})
        )

    objective: Any = RecogniserObjective(
        recipe, lines("train", recipe.lines), lines("heldout", recipe.heldout)
    )
    facts = {
        "recipe": config.plain(recipe),
        "codec": checkpoint.sha256(codec) if codec else None,
        "languages": list(LANGUAGES),
    }
    steps = recipe.loop.steps
    train(
        objective, recipe.loop, folder, facts, lambda step, values: report("recogniser", step, steps, values)
    )
    return folder / NAME
