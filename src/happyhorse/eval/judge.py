"""A small judge: what a picture shows, which main colour it has, what a sound is, when a horse's hooves come down.

It looks at eight frames of 112 x 64 pixels and at a coarse log-mel spectrogram; picture and sound are judged
apart, so that a clip whose sound belongs to something else is found out. A judge carries its own accuracy on
renders it never saw, and no figure of it is worth more than that. `train_judge` makes one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange, repeat
from jaxtyping import Float, Float32, UInt8
from torch import Tensor, nn

from happyhorse import checkpoint
from happyhorse.codec.mel import BANDS, RATE, log_mel
from happyhorse.eval.hooves import Stride
from happyhorse.world import palette

WIDTH, HEIGHT, FRAMES = 112, 64, 8
SECONDS = 3.0
PALETTE: Mapping[str, Sequence[float]] = {
    **palette.COLORS,
    "palomino": (0.88, 0.67, 0.33),
    "chestnut": (0.70, 0.34, 0.14),
}
COLORS = tuple(PALETTE)
GRID = (8, 14)  # cells in which colours are counted
KIND = "judge"
MAPS = 2  # of cells for each colour: where it is, where it moves


@dataclass(frozen=True)
class Verdict:
    """What the judge takes a clip for: family of the picture, its main colour, family of the sound."""

    family: str
    color: str
    sound: str


class Eye(nn.Module):
    """Which family pictures show."""

    def __init__(self, families: int) -> None:
        super().__init__()
        self.convs = nn.Sequential(
            nn.Conv2d(3, 32, 7, 4, 3), nn.GELU(),
            nn.Conv2d(32, 64, 3, 2, 1), nn.GroupNorm(8, 64), nn.GELU(),
            nn.Conv2d(64, 96, 3, 2, 1), nn.GroupNorm(8, 96), nn.GELU(),
        )  # fmt: skip
        self.family = nn.Sequential(nn.Linear(4 * 96, 96), nn.GELU(), nn.Linear(96, families))

    def forward(self, pictures: Float[Tensor, "B frames 3 H W"]) -> Float[Tensor, "B families"]:
        """Logits of pictures in 0..1, any number of frames of any size."""
        maps = self.convs(4 * rearrange(pictures, "b f c h w -> (b f) c h w") - 2)
        per_frame = torch.cat([maps.mean((2, 3)), maps.amax((2, 3))], 1)
        per_frame = rearrange(per_frame, "(b f) c -> b f c", b=len(pictures))
        return self.family(torch.cat([per_frame.mean(1), per_frame.amax(1)], 1))


class Hue(nn.Module):
    """Which is the main colour, from where each named colour is and where it moves, and from the family.

    Every colour is scored by the same network, so what is learnt about where to look serves all of them.
    """

    def __init__(self, families: int) -> None:
        super().__init__()
        self.families = families
        inputs = MAPS * GRID[0] * GRID[1] + families + len(COLORS)
        self.first = nn.Sequential(
            nn.Linear(inputs, 128), nn.GELU(), nn.Dropout(0.2), nn.Linear(128, 128), nn.GELU()
        )
        self.second = nn.Sequential(nn.Linear(2 * 128, 96), nn.GELU(), nn.Dropout(0.2), nn.Linear(96, 1))

    def forward(
        self, places: Float[Tensor, "B colors cells"], family: Float[Tensor, "B families"]
    ) -> Float[Tensor, "B colors"]:
        """Logits, given `whereabouts` of the colours and the probabilities of the families."""
        count, names = places.shape[:2]
        own = repeat(torch.eye(names, device=places.device), "c d -> b c d", b=count)
        known = repeat(family, "b f -> b c f", c=names)
        hidden = self.first(torch.cat([places, known, own], -1))
        rivals = repeat(hidden.mean(1), "b d -> b c d", c=names)
        return self.second(torch.cat([hidden, rivals], -1)).squeeze(-1)


class Ear(nn.Module):
    """Which family a sound belongs to."""

    def __init__(self, families: int) -> None:
        super().__init__()
        self.convs = nn.Sequential(
            nn.Conv1d(BANDS, 64, 5, 2, 2),
            nn.GELU(),
            nn.Conv1d(64, 96, 5, 2, 2),
            nn.GroupNorm(8, 96),
            nn.GELU(),
        )
        self.family = nn.Linear(3 * 96, families)

    def forward(self, mel: Float[Tensor, "B frames bands"]) -> Float[Tensor, "B families"]:
        """Logits of log-mel spectrograms at 50 Hz."""
        maps = self.convs((mel.transpose(1, 2) + 5) / 3)
        return self.family(torch.cat([maps.mean(-1), maps.amax(-1), maps.std(-1)], -1))


@dataclass(frozen=True)
class Judge:
    """A trained judge: its networks, the names of their answers, and its accuracy on held-out renders by question."""

    eye: Eye
    hue: Hue
    ear: Ear
    stride: Stride
    families: tuple[str, ...]
    accuracy: Mapping[str, float]

    @property
    def parts(self) -> dict[str, nn.Module]:
        """The networks by name."""
        return {"eye": self.eye, "hue": self.hue, "ear": self.ear, "stride": self.stride}

    @torch.inference_mode()
    def __call__(
        self, video: UInt8[np.ndarray, "F H W 3"], audio: Float32[np.ndarray, " N"], rate: int = RATE
    ) -> Verdict:
        """The verdict on a clip [F, H, W, 3] with sound [N]; raises ValueError unless its `rate` is 16,000 Hz."""
        if rate != RATE:
            raise ValueError(f"the judge hears {RATE} Hz; resample the sound from {rate} Hz first")
        frames = pictures(thumbnails(video)[None])
        family = self.eye(frames)
        color = self.hue(whereabouts(frames), family.softmax(1))
        sound = self.ear(spectrogram(torch.from_numpy(audio)[None]))
        return Verdict(
            self.families[int(family.argmax())],
            COLORS[int(color.argmax())],
            self.families[int(sound.argmax())],
        )


def thumbnails(video: UInt8[np.ndarray, "F H W 3"]) -> UInt8[np.ndarray, "8 64 112 3"]:
    """Eight frames, evenly spread over a clip [F, H, W, 3], brought to 112 x 64 pixels by taking means over areas."""
    chosen = video[np.linspace(0, len(video) - 1, FRAMES).round().astype(int)]
    if chosen.shape[1:3] == (HEIGHT, WIDTH):
        return chosen
    planes = rearrange(torch.from_numpy(chosen), "f h w c -> f c h w").float()
    small = F.interpolate(planes, (HEIGHT, WIDTH), mode="area").round().to(torch.uint8)
    return rearrange(small, "f c h w -> f h w c").numpy()


def pictures(frames: UInt8[np.ndarray, "B frames H W 3"]) -> Float[Tensor, "B frames 3 H W"]:
    """8-bit frames as tensors in 0..1."""
    return rearrange(torch.from_numpy(frames).float() / 255, "b f h w c -> b f c h w")


def whereabouts(frames: Float[Tensor, "B frames 3 H W"]) -> Float[Tensor, "B colors cells"]:
    """For every named colour: how much of each cell of the picture has it, and how much it changes there over time.

    What is there is looked up in every third frame, pixel by pixel, because a small thing may be a few pixels between
    stripes of another colour; what changes, in all frames at half their size.
    """
    batch = len(frames)
    still = rearrange(frames[:, ::3], "b f c h w -> (b f) c h w")
    small = F.avg_pool2d(rearrange(frames, "b f c h w -> (b f) c h w"), 2)
    there, over_time = (
        rearrange(_likeness(x), "(b f) k y x -> b f k (y x)", b=batch) for x in (still, small)
    )
    return torch.cat([there.mean(1), 2 * over_time.diff(dim=1).abs().mean(1)], -1).sqrt()


def _likeness(pictures: Float[Tensor, "n 3 H W"]) -> Float[Tensor, "n colors y x"]:
    """The share of each cell that is nearest to each named colour."""
    colors = torch.tensor(list(PALETTE.values()), device=pictures.device)
    # nearness in RGB: |p - c|^2 without |p|^2, which the softmax does not see
    score = F.conv2d(pictures, 2 * colors[:, :, None, None], -colors.square().sum(1))
    return F.adaptive_avg_pool2d((score / 0.015).softmax(1), GRID)


def spectrogram(wave: Float[Tensor, "B N"]) -> Float[Tensor, "B frames bands"]:
    """Log-mel at 50 Hz of waves [B, N] at 16 kHz, cut or padded with silence to three seconds."""
    count = round(SECONDS * RATE)
    wave = F.pad(wave[:, :count], (0, max(0, count - wave.shape[1])))
    return rearrange(log_mel(wave), "b (t k) m -> b t k m", k=4).mean(2)


def save(judge: Judge, path: str | Path) -> Path:
    """Write a judge, its names and its accuracy as one file, in bfloat16, and return the file."""
    weights = {
        f"{name}.{key}": value
        for name, part in judge.parts.items()
        for key, value in part.state_dict().items()
    }
    part = checkpoint.Checkpoint(
        KIND, {"families": list(judge.families)}, weights, {"accuracy": dict(judge.accuracy)}
    )
    return checkpoint.save(path, part, torch.bfloat16)[0]


def load(path: str | Path) -> Judge:
    """Read a judge. Raises ValueError where there is none, it is damaged, or it is something else."""
    part = checkpoint.load(path, KIND)
    judge = build(part.config["families"], part.facts["accuracy"])
    for name, module in judge.parts.items():
        checkpoint.load_into(module, checkpoint.within(part.weights, name), str(path))
        module.eval().requires_grad_(False)
    return judge


def build(families: Sequence[str], accuracy: Mapping[str, float]) -> Judge:
    """A judge of these families with random weights, said to have this accuracy."""
    count = len(families)
    return Judge(Eye(count), Hue(count), Ear(count), Stride(), tuple(families), accuracy)
