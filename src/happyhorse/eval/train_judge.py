"""Training a judge on renders of the world, in a few minutes on one core."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from happyhorse.codec.mel import RATE
from happyhorse.eval import hooves
from happyhorse.eval.asks import MAIN, main_color, sounds_like
from happyhorse.eval.hooves import FOLDS, NAMES, Stride
from happyhorse.eval.judge import (
    COLORS,
    FRAMES,
    GRID,
    HEIGHT,
    MAPS,
    SECONDS,
    WIDTH,
    Ear,
    Eye,
    Hue,
    Judge,
    build,
    pictures,
    spectrogram,
    whereabouts,
)
from happyhorse.train.parallel import Device, device, where
from happyhorse.world.scene import Scene, available, hear, render, sample

BATCH = 32
SHOWN = 3  # frames that the eye is shown in a step of training; it judges by all of them
APART = 100_000_000  # between the seeds of a judge's training and of its held-out renders
TIMED = 16  # held-out horses of which every footfall is looked for
NEAR = 0.04  # s, one frame: so near a footfall counts as found


@dataclass(frozen=True)
class _Set:
    frames: np.ndarray  # [n, 8, 64, 112, 3]
    family: Tensor  # [n]
    color: Tensor  # [n], -1 where there is no main colour
    sound: Tensor  # [n]
    mels: Tensor  # [n or 0, frames, bands]
    horses: tuple[tuple[int, Scene], ...]  # numbers of the horses, and their scenes


def train(
    seed: int = 0,
    clips: int = 1800,
    colored: int = 2700,
    heldout: int = 600,
    epochs: int = 6,
    families: Sequence[str] | None = None,
    on: Device = "auto",
) -> Judge:
    """Trains a judge on renders and measures it on `heldout` others, every family equally often.

    It sees `clips` with their sound, and `colored` more, of families that have a main colour, without. Its accuracy
    holds "family", "color" and "sound", each a share of held-out renders, and "hooves", the share of footfalls that
    are found within a frame. Training pictures are blurred, darkened and made noisy at random, because clips to be
    judged are less crisp than renders. It learns `on` a GPU where there is one ("cpu": never), and judges on the CPU.
    """
    names = tuple(available() if families is None else families)
    generator = torch.Generator().manual_seed(seed)
    first = 1_000_000_007 * (seed + 1)  # far from the seeds of any corpus
    data = _gather(range(first, first + clips), names, names)
    painted = [name for name in names if name in MAIN]
    sets = [data]
    if painted and colored:
        sets.append(_gather(range(first + clips, first + clips + colored), painted, names, heard=False))
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        judge = build(names, {})
        for part in judge.parts.values():
            part.to(device(on))
        _teach_eye(judge.eye, data, epochs, generator)
        _teach_hue(judge.hue, sets, 4 * epochs, generator)
        _teach_ear(judge.ear, data, epochs, generator)
        _teach_stride(judge.stride, sets, epochs, generator)
    for part in judge.parts.values():  # rounded before it is measured, because it will be saved so
        part.cpu().to(torch.bfloat16).float().eval().requires_grad_(False)
    del data, sets
    test = _gather(range(first + APART, first + APART + heldout), names, names)
    return replace(judge, accuracy=_accuracy(judge, test))


def _gather(seeds: Sequence[int], chosen: Sequence[str], families: Sequence[str], heard: bool = True) -> _Set:
    """Renders of scenes of the chosen families in turn, numbered as in `families`; with their sound if `heard`."""
    frames = np.empty((len(seeds), FRAMES, HEIGHT, WIDTH, 3), np.uint8)
    waves = torch.empty(len(seeds) if heard else 0, round(SECONDS * RATE))
    family, color, sound, horses = [], [], [], []
    for index, seed in enumerate(seeds):
        scene = sample(seed, SECONDS, [chosen[index % len(chosen)]])
        frames[index] = render(scene, WIDTH, HEIGHT, _fps(), FRAMES)
        if heard:
            waves[index] = torch.from_numpy(hear(scene, RATE, waves.shape[1]))
        family.append(families.index(scene.family))
        alike = sounds_like(scene.family)
        sound.append(families.index(alike) if alike in families else family[-1])
        main = main_color(scene)
        color.append(-1 if main is None else COLORS.index(main))
        if scene.family == "horse":
            horses.append((index, scene))
    mels = torch.cat([spectrogram(part) for part in waves.split(64)]) if heard else waves
    return _Set(frames, torch.tensor(family), torch.tensor(color), torch.tensor(sound), mels, tuple(horses))


def _fps() -> float:
    """Frames a second of pictures of which the last of eight is the last of a clip."""
    return (FRAMES - 1) / (SECONDS - 0.04)


def _teach_eye(eye: Eye, data: _Set, epochs: int, generator: torch.Generator) -> None:
    here = where(eye)
    for chosen in _steps(eye, len(data.family), epochs, generator):
        shown = torch.randperm(FRAMES, generator=generator)[:SHOWN].numpy()
        frames = _spoil(pictures(data.frames[chosen.numpy()][:, shown]).to(here), generator)
        turned = torch.rand(len(chosen), 1, 1, 1, 1, generator=generator) < 0.5  # mirrored, it is as good
        logits = eye(torch.where(turned.to(here), frames.flip(-1), frames))
        F.cross_entropy(logits, data.family[chosen].to(here)).backward()


def _teach_hue(hue: Hue, sets: Sequence[_Set], epochs: int, generator: torch.Generator) -> None:
    places, family, color, here = [], [], [], where(hue)
    for data in sets:
        for part in (data.color >= 0).nonzero().squeeze(1).split(64):
            frames = pictures(data.frames[part.numpy()]).to(here)
            places += [whereabouts(frames), whereabouts(_spoil(frames, generator))]
            family += 2 * [F.one_hot(data.family[part], hue.families).float()]
            color += 2 * [data.color[part]]
    if not places:
        return
    place, known, answer = (torch.cat(pieces).to(here) for pieces in (places, family, color))
    for chosen in _steps(hue, len(answer), epochs, generator):
        turned = (torch.rand(len(chosen), 1, 1, 1, 1, generator=generator) < 0.5).to(here)
        chosen = chosen.to(here)
        cells = rearrange(place[chosen], "b k (m y x) -> b k m y x", m=MAPS, y=GRID[0])
        logits = hue(torch.where(turned, cells.flip(-1), cells).flatten(2), known[chosen])
        F.cross_entropy(logits, answer[chosen]).backward()


def _teach_ear(ear: Ear, data: _Set, epochs: int, generator: torch.Generator) -> None:
    here = where(ear)
    for chosen in _steps(ear, len(data.family), epochs, generator):
        mels = data.mels[chosen]
        mels = mels + 0.3 * torch.randn(mels.shape, generator=generator)
        mels = mels + torch.randn(len(mels), 1, 1, generator=generator)  # louder and quieter
        F.cross_entropy(ear(mels.to(here)), data.sound[chosen].to(here)).backward()


def _teach_stride(stride: Stride, sets: Sequence[_Set], epochs: int, generator: torch.Generator) -> None:
    scenes = [scene for data in sets for _, scene in data.horses]
    if not scenes:
        return
    frames = np.concatenate([data.frames[[i for i, _ in data.horses]] for data in sets if data.horses])
    times = np.arange(FRAMES) / _fps()
    gait = torch.tensor([NAMES.index(str(scene.attributes["gait"])) for scene in scenes])
    left = torch.tensor([scene.attributes["direction"] == "left" for scene in scenes]).float()
    folds = np.array([FOLDS[str(scene.attributes["gait"])] for scene in scenes])
    phases = np.stack([hooves.phase(scene, times) for scene in scenes])
    angle = torch.from_numpy(2 * math.pi * folds[:, None] * phases)
    aim = torch.stack([angle.cos(), angle.sin()], -1).flatten(0, 1).float()
    shown, here = frames.reshape(-1, 1, *frames.shape[2:]), where(stride)
    gait, left, aim = gait.to(here), left.to(here), aim.to(here)
    for chosen in _steps(stride, len(shown), epochs, generator, 2e-3):
        picture = _spoil(pictures(shown[chosen.numpy()]).to(here), generator)[:, 0]
        picture = torch.roll(picture, torch.randint(-2, 3, (2,), generator=generator).tolist(), (2, 3))
        chosen = chosen.to(here)
        own = chosen // FRAMES
        read = stride(picture, left[own])[torch.arange(len(own), device=here), gait[own]]
        F.mse_loss(read, aim[chosen]).backward()


def _steps(
    module: nn.Module, count: int, epochs: int, generator: torch.Generator, lr: float = 3e-3
) -> Iterator[Tensor]:
    """Batches of indices; between one and the next the module takes a step along the gradients it was given."""
    total = epochs * math.ceil(count / BATCH)
    optimizer = torch.optim.AdamW(module.parameters(), lr=lr, weight_decay=0.03)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, lr, total_steps=total, pct_start=0.15)
    for _ in range(epochs):
        for chosen in torch.randperm(count, generator=generator).split(BATCH):
            optimizer.zero_grad()
            yield chosen
            optimizer.step()
            schedule.step()


def _spoil(frames: Tensor, generator: torch.Generator) -> Tensor:
    """Random blur, brightness, contrast and noise, one setting per clip; drawn on the CPU, as all else."""

    def draw(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(len(frames), 1, 1, 1, 1, generator=generator).to(frames.device)

    soft = F.avg_pool2d(frames.flatten(0, 1), 3, 1, 1, count_include_pad=False).view_as(frames)
    frames = frames + draw(-0.2, 1.0) * (soft - frames)
    frames = frames * draw(0.92, 1.08) + draw(-0.03, 0.03)
    return frames + draw(0.0, 0.04) * torch.randn(frames.shape, generator=generator).to(frames.device)


@torch.inference_mode()
def _accuracy(judge: Judge, data: _Set) -> dict[str, float]:
    family, color = [], []
    for part in torch.arange(len(data.family)).split(64):
        frames = pictures(data.frames[part.numpy()])
        logits = judge.eye(frames)
        family.append(logits.argmax(1))
        color.append(judge.hue(whereabouts(frames), logits.softmax(1)).argmax(1))
    has = data.color >= 0
    found = {
        "family": float((torch.cat(family) == data.family).float().mean()),
        "color": float((torch.cat(color) == data.color)[has].float().mean()),
        "sound": float((judge.ear(data.mels).argmax(1) == data.sound).float().mean()),
    }
    return found | ({"hooves": _timed(judge.stride, data)} if data.horses else {})


def _timed(stride: Stride, data: _Set) -> float:
    """The share of footfalls, of some horses at 25 frames a second, that are found within NEAR of their time."""
    hits = []
    for _, scene in data.horses[:TIMED]:
        seen = hooves.footfalls(stride, render(scene, WIDTH, HEIGHT), scene.attributes) / 25
        true = np.array([event.sample / RATE for event in scene.events])
        true = true[(true > 0.1) & (true < SECONDS - 0.1)]
        hits += (np.abs(np.subtract.outer(true, seen)).min(1, initial=np.inf) <= NEAR).tolist()
    return float(np.mean(hits))
