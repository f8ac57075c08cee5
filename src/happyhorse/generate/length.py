"""How long and how large a clip is when it was not said: what it is made from decides."""

import math
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

from happyhorse.data.footage import probe
from happyhorse.generate.language import read_lines
from happyhorse.generate.speech import seconds_for
from happyhorse.given import Sound
from happyhorse.media import read_sound
from happyhorse.values import Clip, Format, Request, decoded_frames, latent_frames


def settle(request: Request, format: Format, asked: Collection[str], speaks: bool = True) -> Request:
    """`request` with the length in s and the size in px that follow from what is given, where `asked` names them not.

    A retake or an edit is as long as its clip, a clip with a given sound as long as that, one with a given picture as
    long as that; any other has its own length, or (of a model that `speaks` by the clock) the one that its spoken lines
    take at their usual speed, or that its last key frame needs, if that is more. The size is that of a given clip where
    it can be made. Raises ValueError where none of the lengths that can be made is enough.
    """
    clip = request.retake or request.extend or request.video or request.edit
    size, frames = _measure(clip, format) if clip is not None else (None, 0)
    changes: dict[str, Any] = {}
    if size and not {"width", "height"} & set(asked) and format.allows(*size):
        changes |= {"width": size[0], "height": size[1]}
    if request.retake is not None and "seconds" in asked:
        raise ValueError(
            "a retake is as long as its clip; leave out seconds, and say with span what to make anew"
        )
    if request.edit is not None and "seconds" in asked:
        raise ValueError("an edit is as long as its clip; leave out seconds, or cut the clip first")
    if "seconds" not in asked:
        changes["seconds"] = _seconds(request, format, frames, speaks)
    return replace(request, **changes)


def _seconds(request: Request, format: Format, frames: int, speaks: bool) -> float:
    shortest, longest = format.lengths
    if any(clip is not None for clip in (request.retake, request.video, request.edit)):
        return frames / format.fps
    if request.audio is not None:
        heard = (
            request.audio
            if isinstance(request.audio, Sound)
            else Sound(*read_sound(request.audio, longest + 1))
        )
        seconds = len(heard.samples) / heard.rate
        if seconds > longest + 1 / format.fps:
            raise ValueError(
                f"the sound lasts more than the {longest:g} s that {format.name} makes; cut it, or ask for its first "
                f"--seconds {longest:g}"
            )
        if format.extra_frame:  # whole latent frames are made, so that none of the sound is left over
            frames = max(1, math.ceil(round(seconds * format.fps, 3)))
            seconds = decoded_frames(latent_frames(frames)) / format.fps
        return min(max(seconds, shortest), longest)
    spoken = seconds_for(read_lines(request.prompt, request.language)[1]) if speaks else 0.0
    if spoken > longest:
        raise ValueError(
            f"the spoken words take {spoken:.1f} s and {format.name} makes up to {longest:g} s; say less, or make "
            f"several clips (each goes on from the one before with --extend)"
        )
    last = max((time for time, _ in request.key_frames), default=0.0)
    needed = max(spoken, last + 4 / format.fps if last else 0.0)
    if needed <= request.seconds:
        return request.seconds
    frames = decoded_frames(latent_frames(math.ceil(needed * format.fps)))  # the last latent frame is filled
    return min(frames / format.fps, longest)


def _measure(clip: Path | Clip, format: Format) -> tuple[tuple[int, int], int]:
    """Size in px, and frames on the clock of `format`, of a clip; a file is decoded to count them."""
    if isinstance(clip, Clip):
        return (clip.width, clip.height), max(1, round(clip.seconds * format.fps))
    try:
        found = probe(clip, round(format.lengths[1] * format.fps) + 1)
    except ValueError as error:
        raise ValueError(f"{clip} cannot be used: {error}") from None
    return (found.width, found.height), found.usable
