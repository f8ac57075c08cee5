"""The life of a clip: material -> condition -> tokens -> denoise -> upscale -> decode -> splice -> mux -> provenance.

Read `make` from top to bottom; each line is a stage, and each stage is the file of that name beside this one.
(The tokens between condition and denoise live inside `denoiser`: everything here speaks latents.)
"""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32, UInt8

from happyhorse.generate.clock import Clock, Report, silent
from happyhorse.generate.condition import condition
from happyhorse.generate.decode import decode_audio, decode_video
from happyhorse.generate.denoise import denoise
from happyhorse.generate.load import load
from happyhorse.generate.material import gather
from happyhorse.generate.model import Model
from happyhorse.generate.mux import mux
from happyhorse.generate.noise import Draw, of_seed
from happyhorse.generate.provenance import can_sign, signer
from happyhorse.generate.splice import splice_audio, splice_video
from happyhorse.generate.upscale import upscale
from happyhorse.generate.windows import longest
from happyhorse.values import Clip, ClipShape, Request


@dataclass(frozen=True, eq=False)
class Making:
    """A clip whose frames are still being decoded.

    `audio` float32 [N] or [N, 2] in [-1, 1]; `frames` yields uint8 [f, H, W, 3], once; `notes` for the person who
    asked; `spoken` seconds in which lines are said; `clock` has the seconds by stage.
    """

    request: Request
    shape: ClipShape
    audio: Float32[np.ndarray, "N ..."]
    frames: Iterator[UInt8[np.ndarray, "f H W 3"]]
    notes: tuple[str, ...]
    spoken: float
    clock: Clock

    def facts(self, path: Path) -> dict[str, Any]:
        """What there is to say about the finished file at `path`, as plain values."""
        asked = self.request.as_dict()
        del asked["takes"]
        made: dict[str, Any] = {
            "fps": self.shape.fps,
            "rate": self.shape.audio.rate,
            "seconds": self.shape.seconds,
        }
        made["spoken"] = round(self.spoken, 2)
        rest = {"bytes": path.stat().st_size, "signed": can_sign(path), "notes": list(self.notes)}
        return {"path": str(path), **asked, **made, **rest}


def make(request: Request, model: Model, report: Report = silent, draw: Draw | None = None) -> Making:
    """Everything up to the pixels, which come as they are decoded.

    `report(stage, done, total)` follows the work; an exception raised in it cancels. `draw` is where noise comes
    from (None: the seed; see `noise.given`). Raises ValueError, with a remedy, for what cannot be made.
    """
    clock, draw = Clock(report), draw or of_seed(request.seed)
    width, height = model.format.base(request.width, request.height)
    small = replace(request, width=width, height=height)  # the size at which it is sampled
    with clock("condition"):
        material = gather(small, model.format, longest(model, model.format.fps))
        conditions = condition(small, model, material, draw)
    with clock("denoise") as progress:
        latents = denoise(small, model, material.part, conditions, progress, draw)
    if (width, height) != (request.width, request.height):
        material = gather(request, model.format, longest(model, model.format.fps))
        if material.new:  # else the whole picture is given, and is large
            with clock("upscale") as progress:
                latents = upscale(request, model, material, conditions.words, latents, progress, draw)
    with clock("decode"):
        audio = splice_audio(material, decode_audio(latents, model, material.part))
    frames = splice_video(material, decode_video(latents, model, material.part))
    counted = clock.over("decode", frames, len, material.whole.video.frames)
    return Making(request, material.whole, audio, counted, conditions.notes, conditions.spoken, clock)


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
    seconds (s), width and height (px), steps, guidance, audio_guidance, sampler, language, and what is given
    besides the prompt, such as first_frame (a path or uint8 [H, W, 3]). What is left out is the model's default,
    and the seed a fresh one. Raises ValueError, with a remedy, for what cannot be made; warns about words that the
    model has never seen.
    """
    model = load(model) if isinstance(model, str | Path) else model
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
