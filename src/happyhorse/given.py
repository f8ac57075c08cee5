"""What a clip can be made from besides its prompt: pictures at times, a sound, a clip; each a file or an array.

Here they are told apart and brought into one form, and contradictions among them are found; no file is opened.
"""

import hashlib
import math
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float32, UInt8

Picture = Path | UInt8[np.ndarray, "H W 3"]
IN_MEMORY = "sha256:"  # how the plain form of an array begins
MOST_REFERENCES = 3
KEEP = ("picture", "sound")


class Sound(NamedTuple):
    """A waveform: `samples` float32 mono [N] in [-1, 1] at `rate` Hz."""

    samples: Float32[np.ndarray, " N"]
    rate: int


def as_picture(value: Any, name: str) -> Picture | None:
    """A path or a picture uint8 [H, W, 3], as it is meant by `value`. Raises ValueError for anything else."""
    if value is None or isinstance(value, str | os.PathLike):
        return None if value is None else Path(value)
    if not isinstance(value, np.ndarray) or value.dtype != np.uint8 or value.shape[2:] != (3,):
        found = (
            f"{value.dtype} {list(value.shape)}" if isinstance(value, np.ndarray) else type(value).__name__
        )
        raise ValueError(
            f"a {name} is uint8 [H, W, 3], not {found}; convert it, or pass the path of a picture"
        )
    if not value.size:
        raise ValueError(f"the {name} has no pixels; pass a picture of at least 1x1")
    return value


def as_key_frames(values: Iterable[tuple[float, Any]]) -> tuple[tuple[float, Picture], ...]:
    """Pairs of a time in seconds and a picture (a path or uint8 [H, W, 3]), in the order of time.

    Raises ValueError for a time that is negative or taken twice, and for what is no picture.
    """
    frames: dict[float, Picture] = {}
    for value in values:
        try:
            time, picture = value
            time = float(time)
        except (TypeError, ValueError):
            raise ValueError("a key frame is a pair: its time in seconds, and a picture") from None
        if not math.isfinite(time) or time < 0:
            raise ValueError(f"a key frame at {time:g} s is outside of the clip; its first moment is 0 s")
        if time in frames:
            raise ValueError(f"there are two key frames at {time:g} s; give one of them another time")
        shown = as_picture(picture, "key frame")
        if shown is None:
            raise ValueError(f"the key frame at {time:g} s has no picture; pass the path of one")
        frames[time] = shown
    return tuple(sorted(frames.items(), key=lambda frame: frame[0]))


def as_references(values: Any) -> tuple[Picture, ...]:
    """1 to 3 pictures of a subject (paths or uint8 [H, W, 3]), or none. Raises ValueError for more, and for others."""
    each: tuple[Any, ...] = () if values is None else (values,)
    if values is not None and not isinstance(values, str | os.PathLike):
        each = (values,) if isinstance(values, np.ndarray) and values.ndim == 3 else tuple(values)
    if len(each) > MOST_REFERENCES:
        raise ValueError(
            f"there are {len(each)} references; give 1 to {MOST_REFERENCES} pictures, all of one subject"
        )
    found = [picture for value in each if (picture := as_picture(value, "reference")) is not None]
    if len(found) < len(each):
        raise ValueError("a reference is missing its picture; pass the path of one")
    return tuple(found)


def as_keep(value: Any) -> str | None:
    """What of a clip to edit is kept: "picture" or "sound", or None. Raises ValueError for anything else."""
    if value not in (None, *KEEP):
        raise ValueError(f"keep is {' or '.join(map(repr, KEEP))} (of the clip to edit), not {value!r}")
    return value


def as_sound(value: Any) -> Path | Sound | None:
    """A path or a `Sound`, as it is meant by `value` (also a pair of samples [N] and a rate in Hz).

    Raises ValueError for what is no mono waveform of finite samples.
    """
    if value is None or isinstance(value, str | os.PathLike):
        return None if value is None else Path(value)
    try:
        samples, rate = value
        samples, rate = np.asarray(samples), int(rate)
    except (TypeError, ValueError):
        raise ValueError(
            "audio is the path of a sound file, or a pair of samples [N] and their rate in Hz"
        ) from None
    if samples.ndim != 1 or not np.issubdtype(samples.dtype, np.floating) or not len(samples):
        raise ValueError(
            f"audio is mono samples [N] in [-1, 1], not {samples.dtype} {list(samples.shape)}; "
            "mix its channels and scale it, or pass the path of a sound file"
        )
    if not 4_000 <= rate <= 384_000:
        raise ValueError(f"a sound at {rate} Hz cannot be used; give it at 4,000 to 384,000 Hz")
    if not np.isfinite(samples).all():
        raise ValueError("the sound has samples that are no numbers (NaN or infinite); replace them by 0")
    return Sound(samples.astype(np.float32), rate)


def as_clip(value: Any, kind: type, name: str) -> Any:
    """A path, or a clip of class `kind`, as it is meant by `value`. Raises ValueError for anything else."""
    if value is None or isinstance(value, kind):
        return value
    if isinstance(value, str | os.PathLike):
        return Path(value)
    raise ValueError(f"{name} is the path of a video file or a Clip, not {type(value).__name__}")


def as_span(value: Any) -> tuple[float, float] | None:
    """Start and end in seconds. Raises ValueError where that is no time that passes."""
    if value is None:
        return None
    try:
        start, end = map(float, value)
    except (TypeError, ValueError):
        raise ValueError("a span is a pair: its start and its end in seconds") from None
    if not (math.isfinite(end) and 0 <= start < end):
        raise ValueError(
            f"a span from {start:g} to {end:g} s is impossible; it starts at 0 s or later and then ends"
        )
    return start, end


def check(asked: Mapping[str, Any]) -> None:
    """Raise ValueError, saying what to leave out, where fields of a request contradict each other."""
    given = {
        name
        for name, value in asked.items()
        if value is not None and not (name in ("key_frames", "references") and not value)
    }
    clips = [name for name in ("video", "extend", "retake", "edit") if name in given]
    if len(clips) > 1:
        raise ValueError(f"{' and '.join(clips)} contradict each other; give one clip, with one of them")
    if ("retake" in given) != ("span" in given):
        raise ValueError(
            "retake and span go together: a clip, and the seconds of it to make anew, such as 1-2.5"
        )
    pictures = [name for name in ("first_frame", "last_frame", "key_frames") if name in given]
    if clips and pictures and (clips != ["extend"] or "first_frame" in given):
        own = "begins with frames of its own" if clips == ["extend"] else "has frames of its own"
        raise ValueError(f"the clip to {_DONE[clips[0]]} {own}; leave out {' and '.join(pictures)}")
    if "keep" in given and clips != ["edit"]:
        raise ValueError(
            "keep says what of the clip to edit stays as it is; give that clip as edit, or leave out keep"
        )
    if "references" in given and clips in (["video"], ["edit"]):
        raise ValueError(f"the clip to {_DONE[clips[0]]} shows what there is to see; leave out references")
    if "audio" in given and clips == ["video"]:
        raise ValueError("with video and audio both given nothing is left to make; leave out one of them")
    if "audio" in given and clips:
        raise ValueError(f"the clip to {_DONE[clips[0]]} has a sound of its own; leave out audio")
    if "first_frame" in given and asked["key_frames"] and asked["key_frames"][0][0] == 0:
        raise ValueError(
            "there are two first frames: first_frame, and a key frame at 0 s; leave out one of them"
        )


_DONE = {"video": "make sound for", "extend": "go on from", "retake": "retake", "edit": "edit"}


def plain(value: Any) -> Any:
    """A value for JSON: a path as text; a picture, a sound or a clip in memory as the SHA-256 of its arrays."""
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, tuple) and not isinstance(value, Sound):
        return [plain(item) for item in value]
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, Sound):
        arrays = (value.samples,)
    else:
        arrays = (value,) if isinstance(value, np.ndarray) else (value.video, value.audio)
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(repr(array.shape).encode() + np.ascontiguousarray(array).tobytes())
    return IN_MEMORY + digest.hexdigest()


def restorable(name: str, value: Any) -> Any:
    """`value` itself; raises ValueError where it is the plain form of an array, which cannot be had again from it."""
    if isinstance(value, str) and value.startswith(IN_MEMORY):
        raise ValueError(f"{name} was in memory and cannot be restored; save it to a file and give its path")
    if isinstance(value, list | tuple):
        return tuple(restorable(name, item) for item in value)
    return value
