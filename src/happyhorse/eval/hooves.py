"""When the hooves of a horse come down: a small network reads the phase of the stride off every frame.

A walk or a trot looks the same after half a stride, but for which side is near, and its footfalls are the same too:
there half a stride is the period that is read. Phases of neighbouring frames are joined to one line of time, and the
footfalls are where it passes the phases at which the gait's legs land.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import pi

import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from happyhorse.world.gait import GAITS, LEGS
from happyhorse.world.scene import RATE, Scene

WIDTH, HEIGHT = 112, 64
NAMES = tuple(GAITS)
FOLDS = {"walk": 2, "trot": 2, "gallop": 1}  # how often a stride looks alike
REACH = 5  # frames to either side that a line of phases is fitted to
Attributes = Mapping[str, str | int | float]


class Stride(nn.Module):
    """The phase of the stride in pictures of a horse, as cosine and sine for each gait."""

    def __init__(self) -> None:
        super().__init__()
        self.convs = nn.Sequential(
            nn.Conv2d(4, 32, 5, 2, 2), nn.GELU(),
            nn.Conv2d(32, 48, 3, 2, 1), nn.GroupNorm(8, 48), nn.GELU(),
            nn.Conv2d(48, 64, 3, 2, 1), nn.GroupNorm(8, 64), nn.GELU(),
            nn.Conv2d(64, 64, 3, 1, 1), nn.GroupNorm(8, 64), nn.GELU(),
        )  # fmt: skip
        self.read = nn.Sequential(
            nn.Flatten(),
            nn.Dropout(0.1),
            nn.Linear(64 * 4 * 14, 128),
            nn.GELU(),
            nn.Linear(128, 2 * len(NAMES)),
        )

    def forward(
        self, pictures: Float[Tensor, "B 3 64 112"], left: Float[Tensor, " B"]
    ) -> Float[Tensor, "B gaits 2"]:
        """Cosine and sine of the phase of each gait; `left` is 1 where the horse goes to the left, else 0.

        Pictures are in 0..1; those of horses that go to the left are mirrored first, so all go to the right.
        """
        pictures = torch.where(left[:, None, None, None] > 0, pictures.flip(-1), pictures)
        flag = left[:, None, None, None].expand(-1, 1, HEIGHT, WIDTH)
        maps = self.convs(torch.cat([4 * pictures - 2, flag], 1))
        return self.read(maps[:, :, -4:]).unflatten(1, (len(NAMES), 2))  # legs are in the lower half


def phase(scene: Scene, times: Float[np.ndarray, " F"]) -> Float[np.ndarray, " F"]:
    """Phase [F] in strides of a world horse at times in s; 0, 1, ... where its left hind hoof lands."""
    event = scene.events[0]
    landing = GAITS[str(scene.attributes["gait"])].landings[LEGS.index(str(event.attrs["leg"]))]
    return (times - event.sample / RATE) / float(scene.attributes["stride"]) + landing


@torch.inference_mode()
def footfalls(
    stride: Stride, video: UInt8[np.ndarray, "F H W 3"], attributes: Attributes
) -> Float[np.ndarray, " E"]:
    """Times in frames, in order, at which hooves land in a clip that was asked to show a horse with `attributes`."""
    gait = GAITS[name := str(attributes["gait"])]
    planes = rearrange(torch.from_numpy(video), "f h w c -> f c h w").float() / 255
    small = F.interpolate(planes, (HEIGHT, WIDTH), mode="area")
    left = torch.full((len(small),), float(attributes["direction"] == "left"))
    read = torch.cat([stride(*part) for part in zip(small.split(32), left.split(32), strict=True)])
    vectors = read[:, NAMES.index(name)].numpy().astype(np.float64)
    line = _line(np.arctan2(vectors[:, 1], vectors[:, 0]) / (2 * pi), np.hypot(*vectors.T))
    landings = sorted({round(FOLDS[name] * landing % 1.0, 6) for landing in gait.landings})
    times = []
    for landing in landings:
        for whole in range(int(np.floor(line.min())), int(np.ceil(line.max())) + 1):
            place = _passes(line, whole + landing)
            if place is not None:
                times.append(place)
    return np.array(sorted(times))


def _line(phases: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """[F] phases without jumps, smoothed by a straight line through the neighbours of each frame."""
    whole = np.unwrap(2 * pi * phases) / (2 * pi)
    smooth = np.empty(len(whole))
    for frame in range(len(whole)):
        first, last = max(frame - REACH, 0), min(frame + REACH + 1, len(whole))
        x, w = np.arange(first, last) - frame, weights[first:last] + 1e-6
        smooth[frame] = np.polyfit(x, whole[first:last], 1, w=np.sqrt(w))[1]
    return np.maximum.accumulate(smooth)


def _passes(line: np.ndarray, level: float) -> float | None:
    """Where a rising line passes a level, in frames; None where it does not."""
    after = int(np.searchsorted(line, level))
    if after == 0 or after == len(line) or line[after] == line[after - 1]:
        return None
    return after - 1 + (level - line[after - 1]) / (line[after] - line[after - 1])
