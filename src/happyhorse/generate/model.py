"""What the stages ask of a model: the seam between the small model (`pony`) and the published 15B (`published`).

Stages speak latents, seconds and pixels; how words become tokens, which weights are loaded when, and what guidance
means for them is the model's business.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, Float32, UInt8
from torch import Tensor

from happyhorse.flow.samplers import Velocity
from happyhorse.generate.noise import Draw
from happyhorse.values import Format, Request

if TYPE_CHECKING:
    from happyhorse.generate.condition import Known
    from happyhorse.generate.material import Material

Refine = Callable[[Tensor, Tensor], Tensor]
"""Velocity of a video [1, C, T, Y, X] in super-resolution, from that video and the audio [1, S, Ca] beside it."""


@dataclass(frozen=True, eq=False)
class Reading:
    """A prompt as one model has read it: `words` in a form of its own, `notes` for the person who asked, one sentence
    each, and the seconds in which lines are `spoken`, where it knows.
    """

    words: Any
    notes: tuple[str, ...] = ()
    spoken: float = 0.0


@dataclass(frozen=True, eq=False)
class Start:
    """Where super-resolution begins: small latents `enlarged` [1, C, T, Y, X], the share `keep` that corruption leaves
    of them, and the `levels` [steps + 1] from there to clean latents.
    """

    enlarged: Float[Tensor, "one C T Y X"]
    keep: float
    levels: Float[Tensor, " levels"]


class Model(Protocol):
    """Everything that makes clips."""

    @property
    def name(self) -> str:
        """The name by which clips remember the model."""
        ...

    @property
    def format(self) -> Format:
        """What its clips look like."""
        ...

    @property
    def facts(self) -> Mapping[str, Any]:
        """What the weights know about themselves."""
        ...

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        ...

    @property
    def hears(self) -> int:
        """Rate in Hz of the sound that `encode_audio` takes."""
        ...

    def request(self, prompt: str, **asked: Any) -> Request:
        """A complete request: what was asked (fields of `Request`, None is open), its own defaults for the rest, a
        fresh seed. Raises ValueError for what it cannot make.
        """
        ...

    def read(self, request: Request, material: "Material") -> Reading:
        """The prompt, read. Raises ValueError for one that it cannot read."""
        ...

    def schedules(self, request: Request) -> Mapping[str, Float[Tensor, " levels"]]:
        """Noise levels of "video" and "audio", [steps + 1] each."""
        ...

    def sampling(self, request: Request, words: Any, known: "Known") -> AbstractContextManager[Velocity]:
        """The guided velocity, as samplers take it, of a clip of which latents are `known`, with weights in place."""
        ...

    def encode_video(self, frames: UInt8[np.ndarray, "F H W 3"]) -> Float[Tensor, "one C T Y X"]:
        """Frames, 4(T-1)+1 of them, as clean latents [1, C, T, Y, X]."""
        ...

    def encode_audio(
        self, wave: Float32[np.ndarray, " n"], steps: int, draw: Draw
    ) -> Float[Tensor, "one S Ca"]:
        """A waveform at `hears` Hz as clean latents [1, steps, Ca]; what it is too short for is silence."""
        ...

    def decode_video(self, latents: Float[Tensor, "C T Y X"]) -> Iterator[UInt8[np.ndarray, "f H W 3"]]:
        """Frames, 4(T-1)+1 of them, uint8 RGB [f, H, W, 3], as they are decoded."""
        ...

    def decode_audio(self, latents: Float[Tensor, "S Ca"]) -> Float32[np.ndarray, "n ..."]:
        """The waveform at `format.rate` Hz, [n] or [n, 2]."""
        ...


@runtime_checkable
class Upscales(Protocol):
    """A model with super-resolution: some sizes are sampled at another size (see `Format.base`), and enlarged."""

    def start(self, request: Request, small: Float[Tensor, "one C T y x"], size: tuple[int, ...]) -> Start:
        """Latents of `size` (T, Y, X) from small ones, and how to go on from there."""
        ...

    def refining(
        self, request: Request, words: Any, known: "Known | None" = None, start: Start | None = None
    ) -> AbstractContextManager[Refine]:
        """The velocity of super-resolution to the size of `request` from its `start`, of which latents are `known`,
        with weights in place.
        """
        ...
