"""Painting a speaker frame by frame: a head that moves, eyes that blink, lips that follow the phonemes."""

from functools import cached_property
from math import ceil

import numpy as np

from happyhorse.world import visemes
from happyhorse.world.draw import Camera, Canvas
from happyhorse.world.lips import outlines, paint_mouth
from happyhorse.world.pen import Place
from happyhorse.world.portrait import paint_bust, paint_lids
from happyhorse.world.speaker import Speaker

_STEPS = 1000  # mouth shapes a second that are prepared
_FINE_HEIGHT = 320  # from this picture height on, moving by whole pixels is smooth enough
_REACH = 0.03  # the farthest a head moves, in picture units


class Puppet:
    """Paints one speaker at any time, over any picture.

    The head is painted once for each fraction of a pixel it comes to stand at (halves in small pictures) and laid
    over the picture; only lids and mouth are painted anew for every frame.
    """

    def __init__(self, speaker: Speaker, seconds: float) -> None:
        self.speaker, self.seconds = speaker, seconds
        self.heads: dict[tuple[int, int, Camera, int, int], tuple[np.ndarray, int, int]] = {}

    @cached_property
    def shapes(self) -> np.ndarray:
        """[tracks, steps]: visemes.TRACKS of the mouth on a fine grid of times."""
        times = np.arange(round(self.seconds * _STEPS) + 1) / _STEPS
        mouth = visemes.mouth(self.speaker.phonemes, self.speaker.releases, times)
        return np.stack([mouth[name] for name in visemes.TRACKS])

    def paint(self, canvas: Canvas, time: float) -> None:
        """Paints the speaker at `time` seconds."""
        speaker, look = self.speaker, self.speaker.look
        fine = 2 if canvas.height < _FINE_HEIGHT else 1
        column, row = (round(float(move) * canvas.unit * fine) for move in speaker.moved(np.array(time)))
        self._lay_head(canvas, column, row, fine)
        place = self._place(canvas, column, row, fine)
        closed = float(speaker.closed(np.array(time)))
        if closed > 0:
            paint_lids(canvas, look, place, closed)
        shape = self.shapes[:, min(round(time * _STEPS), self.shapes.shape[1] - 1)]
        values = {name: float(value) for name, value in zip(visemes.TRACKS, shape, strict=True)}
        paint_mouth(canvas, look, place, outlines(look, values))

    def _place(self, canvas: Canvas, column: int, row: int, fine: int) -> Place:
        place, pixel = self.speaker.place, 1 / (canvas.unit * fine)
        return Place(place.x + column * pixel, place.y + row * pixel, place.scale, place.tilt)

    def _lay_head(self, canvas: Canvas, column: int, row: int, fine: int) -> None:
        """Lays the head, moved by (column, row) / fine pixels, over the picture."""
        (right, phase_x), (down, phase_y) = divmod(column, fine), divmod(row, fine)
        margin = ceil(_REACH * canvas.unit) + 2
        key = (canvas.width, canvas.height, canvas.camera, phase_x, phase_y)
        if key not in self.heads:
            layer = Canvas(canvas.width, canvas.height, canvas.camera, layer=True)
            paint_bust(layer, self.speaker.look, self._place(canvas, phase_x, phase_y, fine))
            covered = np.flatnonzero(layer.planes[3].any(axis=0))
            first, last = max(int(covered[0]) - margin, 0), min(int(covered[-1]) + margin + 1, canvas.width)
            # what the picture's edge cuts off goes on beyond it
            padded = np.pad(layer.planes, ((0, 0), (margin, margin), (margin, margin)), mode="edge")
            self.heads[key] = padded[:, :, first : last + 2 * margin], first, last
        padded, first, last = self.heads[key]
        top, left = margin - down, margin - right
        head = padded[:, top : top + canvas.height, left : left + last - first]
        view = canvas.planes[:, :, first:last]
        view *= 1 - head[3]
        view += head[:3]
