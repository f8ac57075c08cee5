"""Training a judge on renders of the world, in about two minutes on two cores."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from happyhorse.codec.mel import RATE
from happyhorse.eval.asks import MAIN, main_color, sounds_like
from happyhorse.eval.judge import (
    COLORS,
    FRAMES,
    GRID,
    HEIGHT,
    SECONDS,
    WIDTH,
    Ear,
    Eye,
    Hue,
    Judge,
    pictures,
    spectrogram,
    whereabouts,
)
from happyhorse.world.scene import available, hear, render, sample

BATCH = 32
SHOWN = 3  # frames that the eye is shown in a step of training; it judges by all of them


@dataclass(frozen=True)
class _Set:
    frames: np.ndarray  # [n, 8, 64, 112, 3]
    mels: Tensor  # [n, frames, bands]
    family: Tensor  # [n]
    color: Tensor  # [n], -1 where there is no main colour
    sound: Tensor  # [n]


def train(
    seed: int = 0,
    clips: int = 1800,
    colored: int = 2700,
    heldout: int = 600,
    epochs: int = 6,
    families: Sequence[str] | None = None,
) -> Judge:
    """Trains a judge on renders and measures it on `heldout` others, every family equally often.

    It sees `clips` with their sound, and `colored` more, of families that have a main colour, for that question
    alone. Its accuracy holds "family", "color" and "sound", each a share of held-out renders. Training pictures are
    blurred, darkened and made noisy at random, because clips to be judged are less crisp than renders.
    """
    names = tuple(available() if families is None else families)
    generator = torch.Generator().manual_seed(seed)
    first = 1_000_000_007 * (seed + 1)  # far from the seeds of any corpus
    data = _gather(range(first, first + clips), names, names)
    painted = [name for name in names if name in MAIN]
    more = _gather(range(first + clips, first + clips + colored), painted, names) if painted else data
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        eye, hue, ear = Eye(len(names)), Hue(len(names)), Ear(len(names))
        _teach_eye(eye, data, epochs, generator)
        _teach_hue(hue, [data, more], 2 * epochs, generator)
        _teach_ear(ear, data, epochs, generator)
    for part in (eye, hue, ear):
        part.eval().requires_grad_(False)
    del data, more
    last = first + clips + colored
    test = _gather(range(last, last + heldout), names, names)
    return Judge(eye, hue, ear, names, _accuracy(eye, hue, ear, test))


def _gather(seeds: Sequence[int], chosen: Sequence[str], families: Sequence[str]) -> _Set:
    """Renders of scenes of the chosen families in turn, numbered as in `families`."""
    frames = np.empty((len(seeds), FRAMES, HEIGHT, WIDTH, 3), np.uint8)
    waves = torch.empty(len(seeds), round(SECONDS * RATE))
    family, color, heard = [], [], []
    fps = (FRAMES - 1) / (SECONDS - 0.04)  # the last of eight frames is the last of seventy-five
    for index, seed in enumerate(seeds):
        scene = sample(seed, SECONDS, [chosen[index % len(chosen)]])
        frames[index] = render(scene, WIDTH, HEIGHT, fps, FRAMES)
        waves[index] = torch.from_numpy(hear(scene, RATE, waves.shape[1]))
        family.append(families.index(scene.family))
        heard.append(
            families.index(sounds_like(scene.family)) if sounds_like(scene.family) in families else family[-1]
        )
        main = main_color(scene)
        color.append(-1 if main is None else COLORS.index(main))
    mels = torch.cat([spectrogram(part) for part in waves.split(64)])
    return _Set(frames, mels, torch.tensor(family), torch.tensor(color), torch.tensor(heard))


def _teach_eye(eye: Eye, data: _Set, epochs: int, generator: torch.Generator) -> None:
    for chosen in _steps(eye, len(data.family), epochs, generator):
        shown = torch.randperm(FRAMES, generator=generator)[:SHOWN].numpy()
        frames = _spoil(pictures(data.frames[chosen.numpy()][:, shown]), generator)
        turned = (
            torch.rand(len(chosen), 1, 1, 1, 1, generator=generator) < 0.5
        )  # a mirrored scene is as good a scene
        logits = eye(torch.where(turned, frames.flip(-1), frames))
        F.cross_entropy(logits, data.family[chosen]).backward()


def _teach_hue(hue: Hue, sets: Sequence[_Set], epochs: int, generator: torch.Generator) -> None:
    places, family, color = [], [], []
    for data in sets:
        for part in (data.color >= 0).nonzero().squeeze(1).split(64):
            frames = pictures(data.frames[part.numpy()])
            places += [whereabouts(frames), whereabouts(_spoil(frames, generator))]
            family += 2 * [F.one_hot(data.family[part], hue.families).float()]
            color += 2 * [data.color[part]]
    if not places:
        return
    place, known, answer = torch.cat(places), torch.cat(family), torch.cat(color)
    for chosen in _steps(hue, len(answer), epochs, generator):
        cells = rearrange(place[chosen], "b k (m y x) -> b k m y x", y=GRID[0], x=GRID[1])
        turned = (
            torch.rand(len(chosen), 1, 1, 1, 1, generator=generator) < 0.5
        )  # a mirrored scene is as good a scene
        cells = torch.where(turned, cells.flip(-1), cells).flatten(2)
        F.cross_entropy(hue(cells, known[chosen]), answer[chosen]).backward()


def _teach_ear(ear: Ear, data: _Set, epochs: int, generator: torch.Generator) -> None:
    for chosen in _steps(ear, len(data.family), epochs, generator):
        mels = data.mels[chosen]
        mels = mels + 0.3 * torch.randn(mels.shape, generator=generator)
        mels = mels + torch.randn(len(mels), 1, 1, generator=generator)  # louder and quieter
        F.cross_entropy(ear(mels), data.sound[chosen]).backward()


def _steps(module: nn.Module, count: int, epochs: int, generator: torch.Generator) -> Iterator[Tensor]:
    """Batches of indices; between one and the next the module takes a step along the gradients it was given."""
    total = epochs * math.ceil(count / BATCH)
    optimizer = torch.optim.AdamW(module.parameters(), lr=3e-3, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=total, pct_start=0.15)
    for _ in range(epochs):
        for chosen in torch.randperm(count, generator=generator).split(BATCH):
            optimizer.zero_grad()
            yield chosen
            optimizer.step()
            schedule.step()


def _spoil(frames: Tensor, generator: torch.Generator) -> Tensor:
    """Random blur, brightness, contrast and noise, one setting per clip."""

    def draw(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(len(frames), 1, 1, 1, 1, generator=generator)

    soft = F.avg_pool2d(frames.flatten(0, 1), 3, 1, 1, count_include_pad=False).view_as(frames)
    frames = frames + draw(-0.2, 1.0) * (soft - frames)
    frames = frames * draw(0.92, 1.08) + draw(-0.03, 0.03)
    return frames + draw(0.0, 0.04) * torch.randn(frames.shape, generator=generator)


@torch.inference_mode()
def _accuracy(eye: Eye, hue: Hue, ear: Ear, data: _Set) -> dict[str, float]:
    family, color = [], []
    for part in torch.arange(len(data.family)).split(64):
        frames = pictures(data.frames[part.numpy()])
        logits = eye(frames)
        family.append(logits.argmax(1))
        color.append(hue(whereabouts(frames), logits.softmax(1)).argmax(1))
    has = data.color >= 0
    return {
        "family": float((torch.cat(family) == data.family).float().mean()),
        "color": float((torch.cat(color) == data.color)[has].float().mean()),
        "sound": float((ear(data.mels).argmax(1) == data.sound).float().mean()),
    }
