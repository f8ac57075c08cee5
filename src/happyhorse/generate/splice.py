"""USE, after decoding: what was made goes into the given clip, to the frame, with a short cross-fade in the sound."""

from collections.abc import Iterable, Iterator

import numpy as np
from jaxtyping import Float32, UInt8

from happyhorse.generate.material import Material

FADE = 0.02  # s over which one sound becomes another, before the first made frame and after the last
PIECE = 16  # frames that are handed on at once


def splice_video(
    material: Material, made: Iterable[UInt8[np.ndarray, "f H W 3"]]
) -> Iterator[UInt8[np.ndarray, "f H W 3"]]:
    """All frames of the whole, in pieces [f, H, W, 3]: those of the given clip untouched, and from `made` the new ones.

    `made` are the frames of the part as they are decoded; no more of them are asked for than there are new ones.
    """
    source, new, at = material.video, material.new, material.begin
    if source is None:
        yield from (crop(piece, material.whole.video.width, material.whole.video.height) for piece in made)
        return
    yield from _pieces(source[: new.start if new else None])
    for piece in made if new else ():
        kept = piece[max(0, new.start - at) : max(0, new.stop - at)]
        at += len(piece)
        if len(kept):
            yield kept
        if at >= new.stop:
            break
    if new:
        yield from _pieces(source[new.stop :])


def crop(
    frames: UInt8[np.ndarray, "f H W 3"], width: int, height: int
) -> UInt8[np.ndarray, "f height width 3"]:
    """The middle `width` x `height` px of frames [f, H, W, 3]."""
    top, left = (frames.shape[1] - height) // 2, (frames.shape[2] - width) // 2
    return frames[:, top : top + height, left : left + width]


def _pieces(frames: UInt8[np.ndarray, "f H W 3"]) -> Iterator[UInt8[np.ndarray, "f H W 3"]]:
    yield from (frames[start : start + PIECE] for start in range(0, len(frames), PIECE))


def splice_audio(material: Material, made: Float32[np.ndarray, "n ..."]) -> Float32[np.ndarray, "N ..."]:
    """The sound of the whole: the given one to the bit, with `made` (the sound [n] of the part) where it is new.

    A given sound that drives the clip stays whole. Around what is new in a given clip the two are cross-faded, inside
    the given frames, where `made` follows the given sound.
    """
    whole, given = material.whole.audio, material.audio
    if given is None:
        return made
    sound = np.zeros(whole.samples, np.float32)
    sound[: len(given)] = given[: whole.samples]
    if material.steps.all():
        return sound
    a_frame, begin = whole.rate // material.whole.fps, material.begin * whole.rate // material.whole.fps
    first, last = material.new.start * a_frame, material.new.stop * a_frame
    fade = round(FADE * whole.rate)
    left, right = max(first - fade, begin), min(last + fade, begin + len(made), whole.samples)
    weight = np.ones(right - left, np.float32)
    if first > left:
        weight[: first - left] = (np.arange(first - left) + 0.5) / (first - left)
    if last < whole.samples:  # where nothing was made for after the last frame, the fade lies inside of it
        weight[-fade:] = 1 - (np.arange(fade) + 0.5) / fade
    sound[left:right] += weight * (made[left - begin : right - begin] - sound[left:right])
    return sound
