"""Given pictures and clips, brought into the size and onto the clock of the clip."""

from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from happyhorse.given import Picture
from happyhorse.media import read, read_picture
from happyhorse.values import Clip, Format
from happyhorse.world.speech import resample

CUT = 0.02  # share of a picture that may be cut off without a word


def fit(picture: UInt8[np.ndarray, "h w 3"], width: int, height: int) -> UInt8[np.ndarray, "height width 3"]:
    """Scale a picture until it covers `width` x `height` px, and cut off what stands over, evenly on both
    sides.
    """
    if picture.shape[:2] == (height, width):
        return picture
    image = Image.fromarray(picture)
    scale = max(width / image.width, height / image.height)
    across, down = width / scale, height / scale  # what is kept, in pixels of the picture
    left, top = (image.width - across) / 2, (image.height - down) / 2
    box = (left, top, left + across, top + down)
    return np.asarray(image.resize((width, height), Image.Resampling.LANCZOS, box=box)).copy()


def fit_picture(
    picture: Picture, name: str, width: int, height: int
) -> tuple[UInt8[np.ndarray, "height width 3"], list[str]]:
    """A picture (a file, or uint8 [H, W, 3]), fitted, and notes that call it `name`.

    Raises ValueError for a file that is no picture.
    """
    pixels = read_picture(picture) if isinstance(picture, Path) else picture
    notes = [f"{name} is transparent in places; white is laid behind it"] if _transparent(picture) else []
    return fit(pixels, width, height), notes + _cut_off(name, pixels.shape[:2], width, height)


def fit_clip(clip: Path | Clip, name: str, format: Format, width: int, height: int) -> tuple[Clip, list[str]]:
    """A clip (a file, or in memory), its frames fitted, at the rates of `format`, and notes that call it `name`.

    Raises ValueError for a file that is no video, and for a clip that is longer than any that can be made.
    """
    shown: list[tuple[int, ...]] = []

    def shrink(picture: np.ndarray) -> np.ndarray:
        shown.append(picture.shape)
        return fit(picture, width, height)

    longest = format.lengths[1]
    if isinstance(clip, Path):
        fitted = read(clip, fps=format.fps, rate=format.rate, seconds=longest + 1, fit=shrink)
    else:
        fitted = _on_clock(clip, format)
        frames = [shrink(picture) for picture in fitted.video[: round((longest + 1) * format.fps)]]
        fitted = Clip(video=np.stack(frames), audio=fitted.audio, fps=format.fps, rate=format.rate)
    if fitted.seconds > longest:
        raise ValueError(f"{name} lasts more than the {longest:g} s that {format.name} makes; cut it first")
    return fitted, _cut_off(name, shown[0][:2], width, height)


def _on_clock(clip: Clip, format: Format) -> Clip:
    """Frames repeated or dropped, sound resampled and cut or padded to their length."""
    count = max(1, round(clip.seconds * format.fps))
    shown = np.minimum(np.arange(count) * clip.fps // format.fps, len(clip.video) - 1)
    mono = clip.audio if clip.audio.ndim == 1 else clip.audio.mean(1)
    heard = resample(mono, clip.rate, format.rate)[: count * format.rate // format.fps]
    audio = np.zeros(count * format.rate // format.fps, np.float32)
    audio[: len(heard)] = heard
    return Clip(video=clip.video[shown], audio=audio, fps=format.fps, rate=format.rate)


def _cut_off(name: str, size: tuple[int, ...], width: int, height: int) -> list[str]:
    wider = size[1] / size[0] / (width / height)
    share = 1 - min(wider, 1 / wider)
    if share <= CUT:
        return []
    where = "on the left and right" if wider > 1 else "at the top and bottom"
    return [
        # without the size of the clip: it may be fitted at the one at which a larger clip is sampled
        f"{name} ({size[1]}x{size[0]}) has another shape than the clip; {share:.0%} of it is cut off {where}"
    ]


def _transparent(picture: Picture) -> bool:
    """Whether a file (known to be a picture) has pixels that are not opaque."""
    if not isinstance(picture, Path):
        return False
    with Image.open(picture) as image:
        if not image.has_transparency_data:
            return False
        return int(np.asarray(image.convert("RGBA"))[..., 3].min()) < 255
