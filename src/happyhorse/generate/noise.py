"""The noise rule: one seed, one clip, whatever the device, the batch or the number of processes."""

import hashlib

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor


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
