"""A small judge: what a picture shows, which main colour it has, what a sound is; learnt from renders of the world.

It looks at eight frames of 112 x 64 pixels and at a coarse log-mel spectrogram; picture and sound are judged apart, so that a
clip whose sound belongs to something else is found out. A judge knows its own accuracy on renders it never saw, and no
figure of it is worth more than that.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float, Float32, UInt8
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from happyhorse.codec.mel import RATE, log_mel
from happyhorse.eval.asks import main_color
from happyhorse.world import palette
from happyhorse.world.scene import Scene, available, hear, render, sample

WIDTH, HEIGHT, FRAMES = 112, 64, 8
SECONDS = 3.0
PALETTE: Mapping[str, Sequence[float]] = {
    **palette.COLORS,
    "palomino": (0.88, 0.67, 0.33),
    "chestnut": (0.70, 0.34, 0.14),
}
COLORS = tuple(PALETTE)


@dataclass(frozen=True)
class Verdict:
    """What the judge takes a clip for: family of the picture, its main colour, family of the sound."""

    family: str
    color: str
    sound: str


class Eye(nn.Module):
    """Pictures [B, frames, 3, 64, 112] in 0..1 -> (logits of the family [B, families], of the colour [B, colors]).

    The colour is read where an attention looks, from how much each cell of 8 x 8 pixels is like each named colour.
    """

    palette: Tensor

    def __init__(self, families: int) -> None:
        super().__init__()
        widths = (24, 48, 96)
        steps: list[nn.Module] = [nn.Conv2d(3, widths[0], 5, 2, 2), nn.GELU()]
        for before, after in zip(widths[:-1], widths[1:], strict=True):
            steps += [nn.Conv2d(before, after, 3, 2, 1), nn.GroupNorm(8, after), nn.GELU()]
        steps += [nn.Conv2d(widths[-1], widths[-1], 3, 1, 1), nn.GELU()]
        self.convs = nn.Sequential(*steps)
        self.mix = nn.Sequential(nn.Linear(4 * widths[-1], 128), nn.GELU())
        self.family = nn.Linear(128, families)
        cell = widths[-1] + 2 * len(PALETTE)
        self.seek = nn.Linear(128, cell)
        self.look = nn.Sequential(nn.Linear(cell, 64), nn.GELU(), nn.Linear(64, cell))
        self.color = nn.Linear(cell, len(PALETTE))
        self.register_buffer("palette", torch.tensor(list(PALETTE.values())))

    def forward(self, pictures: Float[Tensor, "B frames 3 H W"]) -> tuple[Float[Tensor, "B a"], Float[Tensor, "B b"]]:
        """Logits over families and colours."""
        count = pictures.shape[1]
        flat = rearrange(pictures, "b f c h w -> (b f) c h w")
        maps = rearrange(self.convs(4 * flat - 2), "(b f) c y x -> b f (y x) c", f=count)
        per_frame = torch.cat([maps.mean(2), maps.amax(2)], -1)
        hidden = self.mix(torch.cat([per_frame.mean(1), per_frame.amax(1)], -1))
        likeness = self._likeness(flat)
        colors = torch.cat([F.avg_pool2d(likeness, 8), F.max_pool2d(likeness, 8)], 1)
        cells = torch.cat([maps, rearrange(colors, "(b f) c y x -> b f (y x) c", f=count)], -1).flatten(1, 2)
        seek = self.seek(hidden.detach())
        weight = torch.einsum("blc,bc->bl", self.look(cells), seek / cells.shape[-1] ** 0.5).softmax(1)
        return self.family(hidden), self.color(torch.einsum("bl,blc->bc", weight, cells))

    def _likeness(self, flat: Tensor) -> Tensor:
        """[n, colors, H, W] share of each named colour in a pixel [n, 3, H, W], by nearness in RGB."""
        # |p - c|^2 without |p|^2, which the softmax does not see
        kernel = self.palette[:, :, None, None]
        return (F.conv2d(flat, 2 * kernel, -self.palette.square().sum(1)) / 0.02).softmax(1)


class Ear(nn.Module):
    """Log-mel spectrograms [B, frames, 80] at 50 Hz -> logits of the family [B, families]."""

    def __init__(self, families: int) -> None:
        super().__init__()
        self.convs = nn.Sequential(
            nn.Conv1d(80, 64, 5, 2, 2), nn.GELU(), nn.Conv1d(64, 96, 5, 2, 2), nn.GroupNorm(8, 96), nn.GELU()
        )
        self.family = nn.Linear(3 * 96, families)

    def forward(self, mel: Float[Tensor, "B frames bands"]) -> Float[Tensor, "B families"]:
        """Logits over families."""
        maps = self.convs((mel.transpose(1, 2) + 5) / 3)
        return self.family(torch.cat([maps.mean(-1), maps.amax(-1), maps.std(-1)], -1))


@dataclass(frozen=True)
class Judge:
    """A trained judge: its networks, the names behind their logits, and its accuracy on held-out renders by question."""

    eye: Eye
    ear: Ear
    families: tuple[str, ...]
    accuracy: Mapping[str, float]

    @torch.inference_mode()
    def __call__(
        self, video: UInt8[np.ndarray, "F H W 3"], audio: Float32[np.ndarray, " N"], rate: int = RATE
    ) -> Verdict:
        """The verdict on a clip [F, H, W, 3] with sound [N] at `rate` Hz (16,000; resample another one first)."""
        if rate != RATE:
            raise ValueError(f"the judge hears {RATE} Hz; resample the sound from {rate} Hz first")
        family, color = self.eye(_pictures(thumbnails(video)[None]))
        sound = self.ear(spectrogram(torch.from_numpy(audio)[None]))
        return Verdict(
            self.families[int(family.argmax())], COLORS[int(color.argmax())], self.families[int(sound.argmax())]
        )


def thumbnails(video: UInt8[np.ndarray, "F H W 3"]) -> UInt8[np.ndarray, "8 64 112 3"]:
    """Eight frames, evenly spread over a clip [F, H, W, 3], brought to 112 x 64 pixels by taking means over areas."""
    chosen = video[np.linspace(0, len(video) - 1, FRAMES).round().astype(int)]
    if chosen.shape[1:3] == (HEIGHT, WIDTH):
        return chosen
    planes = torch.from_numpy(chosen).permute(0, 3, 1, 2).float()
    small = F.interpolate(planes, (HEIGHT, WIDTH), mode="area")
    return small.round().to(torch.uint8).permute(0, 2, 3, 1).numpy()


def spectrogram(wave: Float[Tensor, "B N"]) -> Float[Tensor, "B frames 80"]:
    """Log-mel at 50 Hz of waves [B, N] at 16 kHz, cut or padded with silence to three seconds."""
    count = round(SECONDS * RATE)
    wave = F.pad(wave[:, :count], (0, max(0, count - wave.shape[1])))
    return rearrange(log_mel(wave), "b (t k) m -> b t k m", k=4).mean(2)


def _pictures(frames: np.ndarray) -> Tensor:
    return rearrange(torch.from_numpy(frames).float() / 255, "b f h w c -> b f c h w")


# Training


@dataclass(frozen=True)
class _Set:
    pictures: np.ndarray  # [n, 8, 64, 112, 3]
    mels: Tensor  # [n, frames, 80]
    family: Tensor  # [n]
    color: Tensor  # [n], -1 where there is no main colour


def _gather(seeds: Sequence[int], families: Sequence[str]) -> _Set:
    """Renders of scenes, every family equally often."""
    scenes: list[Scene] = [sample(seed, SECONDS, [families[i % len(families)]]) for i, seed in enumerate(seeds)]
    pictures = np.stack([render(scene, WIDTH, HEIGHT, (FRAMES - 1) / (SECONDS - 0.04), FRAMES) for scene in scenes])
    waves = np.stack([hear(scene, RATE, round(SECONDS * RATE)) for scene in scenes])
    mels = torch.cat([spectrogram(torch.from_numpy(part)) for part in np.array_split(waves, max(1, len(waves) // 64))])
    colors = [main_color(scene) for scene in scenes]
    return _Set(
        pictures=pictures,
        mels=mels,
        family=torch.tensor([families.index(scene.family) for scene in scenes]),
        color=torch.tensor([COLORS.index(color) if color is not None else -1 for color in colors]),
    )


def train(
    seed: int = 0, clips: int = 3000, heldout: int = 600, epochs: int = 10, families: Sequence[str] | None = None
) -> Judge:
    """Trains a judge on renders and measures it on `heldout` others; about two minutes on two free cores.

    Its accuracy holds "family", "color" and "sound", each a share of held-out renders. Training pictures are blurred, darkened and
    made noisy at random, because clips to be judged are less crisp than renders.
    """
    names = tuple(available() if families is None else families)
    generator = torch.Generator().manual_seed(seed)
    offset = 1_000_000_007 * (seed + 1)
    data = _gather(range(offset, offset + clips), names)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        eye, ear = Eye(len(names)), Ear(len(names))
    batch = 48
    steps = epochs * math.ceil(clips / batch)
    optimizer = torch.optim.AdamW([*eye.parameters(), *ear.parameters()], lr=3e-3, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=steps, pct_start=0.15)
    for chosen in _batches(clips, batch, epochs, generator):
        frames = torch.randperm(FRAMES, generator=generator)[:3].numpy()
        pictures = _spoil(_pictures(data.pictures[chosen.numpy()][:, frames]), generator)
        family, color = eye(pictures)
        mels = data.mels[chosen]
        mels = mels + 0.3 * torch.randn(mels.shape, generator=generator) + torch.randn(len(mels), 1, 1, generator=generator)
        loss = (
            F.cross_entropy(family, data.family[chosen])
            + F.cross_entropy(color, data.color[chosen], ignore_index=-1)
            + F.cross_entropy(ear(mels), data.family[chosen])
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    eye.eval().requires_grad_(False)
    ear.eval().requires_grad_(False)
    del data
    return Judge(eye, ear, names, _accuracy(eye, ear, _gather(range(offset + clips, offset + clips + heldout), names)))


def _batches(count: int, batch: int, epochs: int, generator: torch.Generator) -> Iterator[Tensor]:
    for _ in range(epochs):
        yield from torch.randperm(count, generator=generator).split(batch)


def _spoil(pictures: Tensor, generator: torch.Generator) -> Tensor:
    """Random blur, brightness, contrast and noise, one setting per clip."""
    batch = len(pictures)

    def draw(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(batch, 1, 1, 1, 1, generator=generator)

    soft = F.avg_pool2d(pictures.flatten(0, 1), 3, 1, 1, count_include_pad=False).view_as(pictures)
    pictures = pictures + draw(-0.2, 1.0) * (soft - pictures)
    pictures = pictures * draw(0.9, 1.1) + draw(-0.03, 0.03)
    return pictures + draw(0.0, 0.04) * torch.randn(pictures.shape, generator=generator)


@torch.inference_mode()
def _accuracy(eye: Eye, ear: Ear, data: _Set) -> dict[str, float]:
    parts = torch.arange(len(data.family)).split(64)
    logits = [eye(_pictures(data.pictures[part.numpy()])) for part in parts]
    family, color = (torch.cat([one[i] for one in logits]).argmax(1) for i in (0, 1))
    has = data.color >= 0
    return {
        "family": float((family == data.family).float().mean()),
        "color": float((color == data.color)[has].float().mean()),
        "sound": float((ear(data.mels).argmax(1) == data.family).float().mean()),
    }


def save(judge: Judge, path: str | Path) -> None:
    """Writes a judge as one safetensors file; its names and accuracy go into the header."""
    tensors = {f"eye.{key}": value for key, value in judge.eye.state_dict().items()}
    tensors |= {f"ear.{key}": value for key, value in judge.ear.state_dict().items()}
    about = {"families": json.dumps(judge.families), "accuracy": json.dumps(dict(judge.accuracy))}
    save_file({key: value.contiguous() for key, value in tensors.items()}, str(path), metadata=about)


def load(path: str | Path) -> Judge:
    """Reads a judge from the file that `save` wrote. Raises FileNotFoundError where there is none."""
    with safe_open(str(path), "pt") as file:
        about = file.metadata()
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (a file is no mapping)
    families = tuple(json.loads(about["families"]))
    eye, ear = Eye(len(families)), Ear(len(families))
    for name, module in (("eye.", eye), ("ear.", ear)):
        module.load_state_dict({key.removeprefix(name): value for key, value in tensors.items() if key.startswith(name)})
        module.eval().requires_grad_(False)
    return Judge(eye, ear, families, json.loads(about["accuracy"]))
