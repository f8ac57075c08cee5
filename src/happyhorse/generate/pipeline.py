"""The life of a clip: condition -> tokens -> denoise -> decode -> mux -> provenance.

Read `make` from top to bottom; each line is a stage, and each stage is the file of that name beside this one.
(The tokens between condition and denoise live inside `denoiser`: everything here speaks latents.)
"""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32, UInt8

from happyhorse.generate.clock import Clock, Report, silent
from happyhorse.generate.condition import condition
from happyhorse.generate.decode import decode_audio, decode_video
from happyhorse.generate.denoise import denoise
from happyhorse.generate.load import Model, load
from happyhorse.generate.mux import mux
from happyhorse.generate.provenance import can_sign, signer
from happyhorse.values import Clip, ClipShape, Request


@dataclass(frozen=True, eq=False)
class Making:
    """A clip whose frames are still being decoded.

    `audio` float32 mono [N] in [-1, 1]; `frames` yields uint8 [f, H, W, 3], once; `notes` for the person who
    asked; `clock` has the seconds by stage.
    """

    request: Request
    shape: ClipShape
    audio: Float32[np.ndarray, " N"]
    frames: Iterator[UInt8[np.ndarray, "f H W 3"]]
    notes: tuple[str, ...]
    clock: Clock

    def facts(self, path: Path) -> dict[str, Any]:
        """What there is to say about the finished file at `path`, as plain values."""
        asked = self.request.as_dict()
        del asked["takes"]
        made = {"fps": self.shape.fps, "rate": self.shape.audio.rate, "seconds": self.shape.seconds}
        rest = {"bytes": path.stat().st_size, "signed": can_sign(path), "notes": list(self.notes)}
        return {"path": str(path), **asked, **made, **rest}


def make(request: Request, model: Model, report: Report = silent) -> Making:
    """Everything up to the pixels, which come as they are decoded.

    `report(stage, done, total)` follows the work; an exception raised in it cancels. Raises ValueError, with
    a remedy, for what cannot be made.
    """
    clock = Clock(report)
    shape = model.format.shape(request.seconds, request.width, request.height)
    with clock("condition"):
        conditions = condition(request, model, shape)
    with clock("denoise") as progress:
        latents = denoise(request, model, shape, conditions, progress)
    with clock("decode"):
        audio = decode_audio(latents, model, shape)
    frames = clock.over("decode", decode_video(latents, model, shape), len, shape.video.frames)
    return Making(request, shape, audio, frames, conditions.notes, clock)


def make_file(request: Request, model: Model, path: Path, report: Report = silent) -> Making:
    """Make a clip and write it to `path` (.mp4 or .webm), signed, encoding while frames are still being
    decoded.

    The file appears whole or not at all. Raises ValueError for what cannot be made and OSError when the place
    cannot be written.
    """
    making = make(request, model, report)
    with making.clock("mux"):
        mux(path, making.shape, making.audio, making.frames, signer(request, path, making.clock))
    return making


def generate(
    prompt: str, *, model: str | Path | Model = "pony", report: Report = silent, **asked: Any
) -> Clip:
    """A clip for `prompt`: `happyhorse.generate("a red ball bounces on a wooden floor").save("ball.mp4")`.

    `model` is a name, a folder with weights, or what `load` returned. `asked` are fields of `Request`: seed,
    seconds (s), width and height (px), steps, guidance, audio_guidance, first_frame (a path or uint8 [H, W,
    3]), sampler; what is left out is the model's default, and the seed a fresh one. Raises ValueError, with a
    remedy, for what cannot be made; warns about words that the model has never seen.
    """
    model = model if isinstance(model, Model) else load(model)
    request = model.request(prompt, **asked)
    if request.takes != 1:
        raise ValueError(
            "generate returns one clip; for more takes call it again with seed + 1, seed + 2, ..."
        )
    making = make(request, model, report)
    video = np.concatenate(list(making.frames))
    for note in making.notes:
        warnings.warn(note, stacklevel=3)  # the caller of `happyhorse.generate`, which passes it on
    shape, timings = making.shape, dict(making.clock.timings)
    return Clip(
        video=video,
        audio=making.audio,
        fps=shape.fps,
        rate=shape.audio.rate,
        request=request,
        timings=timings,
    )
