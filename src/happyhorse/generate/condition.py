"""USE, first stage: the prompt becomes text tokens, the first frame becomes a clean latent."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from PIL import Image
from torch import Tensor

from happyhorse.codec import text
from happyhorse.generate import speech
from happyhorse.generate.denoiser import pad_tokens
from happyhorse.generate.load import Model
from happyhorse.media import read_picture
from happyhorse.values import ClipShape, Request


@dataclass(frozen=True, eq=False)
class Conditions:
    """What the denoiser is told.

    `ids` [2, n, G] and `times` [2, n]: features and clock times (latent frames) of the text tokens of the
    prompt (row 0) and of no prompt (row 1), as `codec.text.tokenize` gives them, padded; `first` [1, 48, 1,
    Y, X]: the clean latent of the first frame; `notes`: what the person who asked should know, one sentence
    each.
    """

    ids: Int[Tensor, "two n G"]
    times: Float[Tensor, "two n"]
    first: Float[Tensor, "one C one Y X"] | None
    notes: tuple[str, ...]


def condition(request: Request, model: Model, shape: ClipShape) -> Conditions:
    """Read the prompt and the first frame of a request.

    Raises ValueError for a quotation mark that is not closed, for spoken words that do not fit or cannot be
    spoken here, and for a first frame that is no picture.
    """
    caption, lines = text.split_spoken(request.prompt)
    phones = speech.place(lines, caption, shape.seconds)
    settings = model.denoiser.text.config
    prompt = text.tokenize(caption, phones, settings, shape.fps / 4)
    ids, times = pad_tokens([prompt, (prompt[0][:0], prompt[1][:0])], settings.features)
    first = None
    if request.first_frame is not None:
        first = encode_picture(request.first_frame, model, shape)
    return Conditions(ids.to(model.device), times.to(model.device), first, _notes(caption, request, model))


def _notes(caption: str, request: Request, model: Model) -> tuple[str, ...]:
    notes, name = [], Path(model.name).name
    alien = text.unseen(request.prompt, frozenset(model.facts.get("vocabulary", ())))
    if alien and "vocabulary" in model.facts:
        words = ", ".join(repr(word) for word in alien[:8]) + (", ..." if len(alien) > 8 else "")
        notes.append(f"{name} has never seen {words} in its training; it goes by the rest of the prompt")
    if (count := len(text.words(caption))) > text.MAX_WORDS:
        notes.append(f"the prompt has {count} words and marks; only the first {text.MAX_WORDS} are read")
    trained = model.facts.get("world", {})
    if trained and (request.width, request.height) != (trained["width"], trained["height"]):
        notes.append(f"{name} was trained at {trained['width']}x{trained['height']} pixels only")
    if trained and request.seconds > 1.05 * trained["seconds"]:
        notes.append(f"{name} was trained on clips of {trained['seconds']:g} s; longer ones drift")
    return tuple(notes)


def encode_picture(
    picture: Path | UInt8[np.ndarray, "H W 3"], model: Model, shape: ClipShape
) -> Float[Tensor, "one C one Y X"]:
    """A picture (a file, or uint8 [H, W, 3]) as the clean latent [1, 48, 1, Y, X] of a first frame.

    Raises ValueError for a file that is no picture.
    """
    pixels = read_picture(picture) if isinstance(picture, Path) else picture
    fitted = torch.from_numpy(fit(pixels, shape.video.width, shape.video.height)).to(model.device)
    video = fitted.permute(2, 0, 1)[None, :, None].float() / 127.5 - 1  # [1, 3, 1, H, W]
    with torch.inference_mode():
        return model.codec.video.encode(video)


def fit(picture: UInt8[np.ndarray, "h w 3"], width: int, height: int) -> UInt8[np.ndarray, "height width 3"]:
    """Scale a picture until it covers `width` x `height` px, and cut off what stands over, evenly on both
    sides.
    """
    image = Image.fromarray(picture)
    scale = max(width / image.width, height / image.height)
    across, down = width / scale, height / scale  # what is kept, in pixels of the picture
    left, top = (image.width - across) / 2, (image.height - down) / 2
    box = (left, top, left + across, top + down)
    return np.asarray(image.resize((width, height), Image.Resampling.LANCZOS, box=box)).copy()
