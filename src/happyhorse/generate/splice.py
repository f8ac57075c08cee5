"""USE, after decoding: what was made goes into the given clip, to the frame, and meets it without a seam.

Sounds are cross-faded. Of pictures it is known what the codec loses of the given frames beside the new ones, and as
much is added to these, less and less with their distance. Without it the first new frame would differ from the last
given one by the whole error of the codec, at once.
"""

import math
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice

import numpy as np
from jaxtyping import Float32, UInt8

from happyhorse.generate.material import Material

FADE = 0.02  # s over which one sound becomes another, before the first made frame and after the last
BRIDGE = 6  # new frames, 0.24 s, over which what the codec loses of the frame beside them fades away
PIECE = 16  # frames that are handed on at once


def splice_video(
    material: Material, made: Iterable[UInt8[np.ndarray, "f H W 3"]]
) -> Iterator[UInt8[np.ndarray, "f H W 3"]]:
    """All frames of the whole, in pieces [f, H, W, 3]: those of the given clip untouched, and from `made` the new ones.

    `made` are the frames of the part as they are decoded; no more of them are asked for than up to the first given one
    after the new ones.
    """
    source, new, at = material.video, material.new, material.begin
    if source is None:
        yield from (crop(piece, material.whole.video.width, material.whole.video.height) for piece in made)
        return
    yield from _pieces(source[: new.start if new else None])
    if new:
        part = enumerate((frame for piece in made for frame in piece), at)
        yield from _stacked(_bridged(source, new, part))
        yield from _pieces(source[new.stop :])


def _bridged(
    source: UInt8[np.ndarray, "F H W 3"], new: range, part: Iterator[tuple[int, UInt8[np.ndarray, "H W 3"]]]
) -> Iterator[UInt8[np.ndarray, "H W 3"]]:
    """The `new` frames of `part` (numbered frames, those that were given as the codec has them), joined to `source`.

    As many frames as the bridge is long are held back until the first given one after them is there.
    """
    lost: dict[int, Float32[np.ndarray, "H W 3"]] = {}
    held: deque[tuple[int, UInt8[np.ndarray, "H W 3"]]] = deque()
    for place, frame in part:
        if place in (new.start - 1, new.stop) and place < len(source):
            lost[place] = source[place].astype(np.float32) - frame
        if place in new:
            held.append((place, frame))
        if len(held) > BRIDGE:
            yield _with(lost, *held.popleft())
        if place >= (new.stop if new.stop < len(source) else new.stop - 1):
            break
    for place, frame in held:
        yield _with(lost, place, frame)


def _with(
    lost: Mapping[int, Float32[np.ndarray, "H W 3"]], place: int, frame: UInt8[np.ndarray, "H W 3"]
) -> UInt8[np.ndarray, "H W 3"]:
    """`frame` number `place` with what was lost at other places, by a raised cosine of the distance; at most all."""
    near = {other: error for other, error in lost.items() if abs(place - other) <= BRIDGE}
    if not near:
        return frame
    share = {other: 0.5 + 0.5 * math.cos(math.pi * abs(place - other) / (BRIDGE + 1)) for other in near}
    total = max(1.0, sum(share.values()))
    whole = frame + sum(weight / total * near[other] for other, weight in share.items())
    return np.clip(np.round(whole), 0, 255).astype(np.uint8)


def _stacked(frames: Iterable[UInt8[np.ndarray, "H W 3"]]) -> Iterator[UInt8[np.ndarray, "f H W 3"]]:
    frames = iter(frames)
    while some := list(islice(frames, PIECE)):
        yield np.stack(some)


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
