"""The noise rule: one seed, one clip, whatever the device, the batch or the number of processes."""

import hashlib
from collections.abc import Mapping
from functools import partial
from typing import Protocol

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor


class Draw(Protocol):
    """Where the noise of one clip comes from."""

    def __call__(
        self, shape: tuple[int, ...], *, stage: str, step: int, modality: str
    ) -> Float[Tensor, "*shape"]:
        """Standard normal float32 noise of `shape`, without a batch axis, for what the keys of `draw` say."""
        ...


def of_seed(seed: int) -> Draw:
    """The noise of the clips of a seed."""
    return partial(draw, seed=seed)


def given(tensors: Mapping[tuple[str, int, str], Float[Tensor, "..."]]) -> Draw:
    """Noise from elsewhere, by (stage, step, modality): to make the very clip that another program made.

    Raises ValueError where a tensor that is asked for is not there, or has another shape.
    """

    def draw(shape: tuple[int, ...], *, stage: str, step: int, modality: str) -> Float[Tensor, "*shape"]:
        found = tensors.get((stage, step, modality))
        if found is None or tuple(found.shape) != shape:
            what = "is missing" if found is None else f"is {list(found.shape)}"
            raise ValueError(f"the noise {(stage, step, modality)} {what}; give a tensor of {list(shape)}")
        return found.detach().float().cpu()

    return draw


def draw(
    shape: tuple[int, ...], *, seed: int, stage: str, step: int, modality: str
) -> Float[Tensor, "*shape"]:
    """Standard normal float32 noise of one clip (no batch axis), on the CPU.

    It depends on its four keys and the shape alone: the SHA-256 of "seed/stage/step/modality" keys a
    counter-based generator (Philox 4x64-10: Salmon et al., "Parallel random numbers: as easy as 1, 2, 3",
    2011), and normals come from it by the ziggurat method in float64, which uses no vector instructions whose
    last bit could depend on the processor. `stage` names what the noise is for ("base", "upscale"), `step`
    counts from 0 (the opening noise of a stage is step -1), `modality` is "video" or "audio".
    """
    digest = hashlib.sha256(f"{seed}/{stage}/{step}/{modality}".encode()).digest()
    generator = np.random.Generator(np.random.Philox(key=np.frombuffer(digest[:16], "<u8")))
    return torch.from_numpy(generator.standard_normal(shape).astype(np.float32))
