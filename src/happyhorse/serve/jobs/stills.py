"""Small pictures of a clip, collected while its frames pass by: thumbnail, sprite sheet, last frame."""

import io
from collections.abc import Iterable, Iterator
from functools import cache

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFont

LABEL = "AI-generated"
COLUMNS = 5  # of the sprite sheet, which has as many rows
ACROSS = 160  # px, of a picture in the sheet
WIDEST = 640  # px, of a thumbnail


class Stills:
    """Looks at the `frames` frames of a clip as they pass through `over`, and keeps few of them."""

    def __init__(self, frames: int) -> None:
        count = min(COLUMNS**2, frames)
        self._shown = {round((n + 0.5) * frames / count - 0.5) for n in range(count)}
        self._middle = frames // 2
        self._small: list[Image.Image] = []
        self._thumbnail: Image.Image | None = None
        self._last: Image.Image | None = None
        self._passed = 0

    def over(self, chunks: Iterable[UInt8[np.ndarray, "f H W 3"]]) -> Iterator[UInt8[np.ndarray, "f H W 3"]]:
        """Pass chunks of frames, uint8 [f, H, W, 3], on as they are."""
        for chunk in chunks:
            for frame in chunk:
                if self._passed in self._shown:
                    self._small.append(_fit(frame, ACROSS))
                if self._passed == self._middle:
                    self._thumbnail = _fit(frame, WIDEST)
                self._passed += 1
            self._last = Image.fromarray(chunk[-1])
            yield chunk

    def files(self) -> dict[str, tuple[str, bytes]]:
        """File names and contents of the pictures by what they are, once all frames have passed."""
        assert self._thumbnail is not None and self._last is not None and self._small
        width, height = self._small[0].size
        columns = min(COLUMNS, len(self._small))
        sheet = Image.new("RGB", (columns * width, -(-len(self._small) // columns) * height))
        for number, picture in enumerate(self._small):
            sheet.paste(picture, (number % columns * width, number // columns * height))
        return {
            "thumbnail": ("thumbnail.webp", encode(self._thumbnail, "WEBP")),
            "spritesheet": ("spritesheet.jpg", encode(sheet, "JPEG")),
            "last_frame": ("last-frame.png", encode(self._last, "PNG")),
        }


def encode(picture: Image.Image, kind: str) -> bytes:
    """A picture as a file of a kind that Pillow writes."""
    file = io.BytesIO()
    picture.save(file, kind, quality=80)
    return file.getvalue()


def label(chunks: Iterable[UInt8[np.ndarray, "f H W 3"]]) -> Iterator[UInt8[np.ndarray, "f H W 3"]]:
    """Chunks of frames, uint8 [f, H, W, 3], with a visible label in the lower right corner."""
    for chunk in chunks:
        mark, share = _mark(chunk.shape[2], chunk.shape[1])
        corner = chunk[:, -mark.shape[0] :, -mark.shape[1] :]
        blended = corner * (1 - share) + mark * share
        marked = chunk.copy()
        marked[:, -mark.shape[0] :, -mark.shape[1] :] = blended.round().astype(np.uint8)
        yield marked


@cache
def _mark(width: int, height: int) -> tuple[np.ndarray, np.ndarray]:
    """The label for a size, and how much of it covers each pixel, [h, w, 1]."""
    font = ImageFont.load_default(max(8, height // 18))
    box = font.getbbox(LABEL)
    size = (min(width, round(box[2]) + 8), min(height, round(box[3]) + 6))
    shape = Image.new("L", size, 0)
    ImageDraw.Draw(shape).text((4, 2), LABEL, 255, font)
    letters = np.asarray(shape)[..., None] / 255.0
    return 255.0 * letters, np.maximum(letters, 0.35)


def _fit(frame: UInt8[np.ndarray, "H W 3"], widest: int) -> Image.Image:
    picture = Image.fromarray(frame)
    picture.thumbnail((widest, widest))
    return picture
