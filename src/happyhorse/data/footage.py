"""Clips out of files: frames at 25 a second and sound on the same clock, cut to a bucket as they are decoded.

Frame k is what is shown k/25 s after the first picture, as in `media.read`; the difference is that whole pictures are
never kept, so that a long film in 4K needs no more memory than its bucket.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.error import FFmpegError
from jaxtyping import Float32, UInt8
from PIL import Image

from happyhorse import media
from happyhorse.codec.audio import SAMPLES
from happyhorse.codec.mel import FLOOR, RATE
from happyhorse.data.buckets import FPS, Bucket, Crop

VIDEOS = (".mp4", ".m4v", ".mov", ".webm", ".mkv", ".avi", ".gif", ".mpg", ".mpeg", ".ts", ".flv", ".ogv")
STILLS = (".png", ".jpg", ".jpeg", ".webp", ".bmp")
SLACK = 1.0  # s of picture read beyond what is wanted: sound may lie that much later in a file


class UnusableError(ValueError):
    """A file that cannot be a clip: the `cause` in two or three words, and the sentence that says what to do."""

    def __init__(self, cause: str, why: str) -> None:
        super().__init__(why)
        self.cause = cause


@dataclass(frozen=True)
class Probe:
    """What a file holds: size in px as it is shown, frames at 25 a second, and how loud it gets.

    `usable` frames were decoded (no more than asked for), `frames` there are in all; `peak` is the largest sample
    in [0, 1] of the sound beside the usable frames, None where there is no sound track.
    """

    width: int
    height: int
    usable: int
    frames: int
    peak: float | None

    @property
    def has_audio(self) -> bool:
        """Whether there is sound above the codec's floor of -80 dB."""
        return self.peak is not None and self.peak > FLOOR


def probe(path: Path, limit: int) -> Probe:
    """Decode up to `limit` frames of a video, or a still, and say what it holds. Raises UnusableError if that fails."""
    if path.suffix.lower() in STILLS:
        height, width = _still(path).shape[:2]
        return Probe(width, height, 1, 1, None)
    played = _play(path, limit, None)
    peak = float(np.abs(played.audio).max(initial=0.0)) if played.sounds else None
    return Probe(*played.size, played.count, max(played.count, played.frames), peak)


def read(
    path: Path, bucket: Bucket, crop: Crop
) -> tuple[UInt8[np.ndarray, "F H W 3"], Float32[np.ndarray, " N"]]:
    """The `crop` of the first frames of a file, in the size of `bucket`, and mono sound at 16 kHz, N = 640 F.

    Where the file has no sound, or too little, there is silence. Raises UnusableError where it cannot be read or holds
    fewer frames than the bucket.
    """
    if path.suffix.lower() in STILLS:
        picture = _cut(_still(path), bucket, crop, 1.0)
        return picture[None], np.zeros(SAMPLES, np.float32)

    played = _play(path, bucket.frames, lambda frame, wider: _cut(media.rgb(frame), bucket, crop, wider))
    if played.count < bucket.frames:
        raise UnusableError("too short", f"it has {played.count} frames where {bucket.frames} are to be used")
    return np.stack(played.pictures), played.audio


def _cut(rgb: np.ndarray, bucket: Bucket, crop: Crop, wider: float) -> np.ndarray:
    """The crop, in px as shown, of a picture whose pixels are shown `wider` times as wide as they are high."""
    left, top, width, height = crop
    right, bottom = left + width, top + height
    if (
        min(left, top) < 0
        or min(width, height) < 1
        or bottom > rgb.shape[0]
        or right > rgb.shape[1] * wider + 1
    ):
        raise UnusableError("bad crop", f"its crop {crop} lies outside of its picture; import it again")
    box = (left / wider, top, min(right / wider, rgb.shape[1]), bottom)
    size = (bucket.width, bucket.height)
    return np.array(Image.fromarray(rgb).resize(size, Image.Resampling.LANCZOS, box=box))


def _still(path: Path) -> np.ndarray:
    try:
        return media.read_picture(path)
    except ValueError as error:
        raise UnusableError("unreadable", str(error)) from None


class _Played:
    """What came out of a file; `sounds` says whether it has a sound track."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.pictures: list[np.ndarray] = []
        self.count = 0
        self.frames = 0
        self.size: tuple[int, int] = (0, 0)
        self.sounds = False
        self.audio = np.zeros(limit * SAMPLES, np.float32)

    def show(self, until: float, picture: Callable[[], np.ndarray] | None) -> None:
        """Take the picture for every frame before `until` s that is wanted and not taken yet."""
        shown = None
        while self.count < self.limit and self.count / FPS + 1e-6 < until:
            if picture:
                shown = picture() if shown is None else shown
                self.pictures.append(shown)
            self.count += 1

    def hear(self, samples: np.ndarray, begin: float) -> None:
        """Lay sound down that begins `begin` s after the first picture."""
        first = round(begin * RATE)
        samples = samples[max(0, -first) :][: max(0, len(self.audio) - max(0, first))]
        self.audio[max(0, first) : max(0, first) + len(samples)] = samples


def _play(path: Path, limit: int, cut: Callable[[Any, float], np.ndarray] | None) -> _Played:
    """Decode up to `limit` frames at 25 a second, each picture that is needed through `cut(frame, pixel shape)`."""
    try:
        with (
            open(path, "rb") as file,
            av.open(
                file, options={"format_whitelist": media.DEMUXERS}, metadata_errors="replace"
            ) as container,
        ):
            if not container.streams.video:
                raise UnusableError("no picture", "it has no video stream")
            return _decode(container, _Played(limit), cut)
    except FileNotFoundError:
        raise UnusableError("missing", "there is no such file; check the path") from None
    except (FFmpegError, OSError) as error:
        raise UnusableError(
            "unreadable", f"it cannot be decoded ({error.strerror}); convert it to MP4"
        ) from None


def _decode(container: Any, played: _Played, cut: Callable[[Any, float], np.ndarray] | None) -> _Played:
    stream, voices = container.streams.video[0], container.streams.audio[:1]
    stream.thread_type = "AUTO"
    resampler = av.AudioResampler(format="fltp", layout="mono", rate=RATE)
    sounds: list[np.ndarray] = []
    origin = begin = held = None
    end, wider, whole = 0.0, 1.0, True
    for frame in container.decode(stream, *voices):
        if frame.time is None:
            continue
        if isinstance(frame, av.AudioFrame):
            begin = frame.time if begin is None else begin
            sounds += [sound.to_ndarray()[0] for sound in resampler.resample(frame)]
            continue
        if origin is None:
            upright = frame.rotation % 180 == 0
            origin, wider = frame.time, float(stream.sample_aspect_ratio or 1) if upright else 1.0
            across = max(1, round(frame.width * wider))
            played.size = (across, frame.height) if upright else (frame.height, across)
        now = frame.time - origin
        if now > played.limit / FPS + SLACK:
            whole = False
            break
        if held is not None:
            played.show(now, partial(cut, held, wider) if cut else None)
        held = frame
        span = float(frame.duration * frame.time_base) if frame.duration and frame.time_base else 0.0
        end = now + (span or 1 / float(stream.average_rate or FPS))
    if held is None or origin is None:
        raise UnusableError("unreadable", "it holds no whole frame; it may be cut off: copy it again")
    total = max(1, round(end * FPS))
    played.show((total - 0.5) / FPS, partial(cut, held, wider) if cut else None)
    played.count = min(played.count, total)
    del played.pictures[total:]
    played.frames = total if whole else round(float(container.duration or 0) / av.time_base * FPS)
    if begin is not None:
        played.sounds = True
        sounds += [sound.to_ndarray()[0] for sound in resampler.resample(None)]
        played.hear(np.concatenate(sounds), begin - origin)
    return played
