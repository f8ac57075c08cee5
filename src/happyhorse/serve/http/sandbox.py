"""Where files of strangers are decoded: a process of its own with limits, which writes a clean file and nothing else.

It is forked from a helper that has only loaded decoders, so that it starts in milliseconds and knows no secrets. A
picture comes out as PNG without its metadata, a sound as WAV, a video at the rates and in the format of our clips. What
comes back from the child is a file, an exit code and a sentence: nothing is unpickled from it.
"""

import contextlib
import multiprocessing
import os
import re
import resource
import sys
import threading
import warnings
import wave
from multiprocessing import forkserver
from pathlib import Path
from typing import Literal

import av  # noqa: F401  so that the helper has it loaded
import numpy as np
from PIL import Image, ImageOps

from happyhorse.media import LARGEST_PICTURE, read, read_sound, write

Kind = Literal["picture", "sound", "video"]
SUFFIX: dict[Kind, str] = {"picture": ".png", "sound": ".wav", "video": ".mp4"}
SECONDS = 30.0  # of wall time and of a processor
MEMORY = 3 * 2**30  # bytes beyond what the helper has
WRITTEN = 2**30  # bytes
LONGEST = 61.0  # seconds of a sound or a video that are looked at
WIDEST, HIGHEST = 512, 288  # px that the frames of a video still cover when they are made smaller
RATE = 48_000  # Hz of the sound of a video
REFUSED = 3  # exit code: the sentence is in a file

_at_once = threading.BoundedSemaphore(4)
_waiting = threading.BoundedSemaphore(16)  # the threads of the server are for other requests too
_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload([__name__])
_ORDINARY = re.compile(
    r"PATH|HOME|TMPDIR|LANG|LC_\w+|TZ|VIRTUAL_ENV|PYTHON\w*|LD_LIBRARY_PATH|\w+_NUM_THREADS"
)


class BusyError(Exception):
    """Too many files wait to be decoded."""


def start() -> None:
    """Start the helper without the variables of this process, among which are passwords of stores.

    For the start of a server, before there are threads: variables are away for a moment. Where this was not called the
    helper starts at the first file, with all of them.
    """
    held = {name: os.environ.pop(name) for name in list(os.environ) if not _ORDINARY.fullmatch(name)}
    try:
        forkserver.ensure_running()
    finally:
        os.environ.update(held)


def convert(kind: Kind, source: Path, target: Path) -> None:
    """Decode `source` in a limited process and write what it shows to `target`, with the suffix of its kind.

    Raises ValueError, saying why, for what cannot be decoded within the limits, and BusyError.
    """
    why = target.with_suffix(".why")
    if not _waiting.acquire(blocking=False):
        raise BusyError
    try:
        code = _run(kind, source, target, why)
    finally:
        _waiting.release()
    if code == REFUSED and why.is_file():
        raise ValueError(why.read_text("utf-8", "replace")[:300])
    if code != 0 or not target.is_file():
        raise ValueError(
            f"the {kind} cannot be decoded with reasonable effort; convert it, or make it smaller"
        )


def _run(kind: Kind, source: Path, target: Path, why: Path) -> int | None:
    """Decode in a process; returns its exit code."""
    with _at_once:
        child = _context.Process(target=_child, args=(kind, str(source), str(target), str(why)), daemon=True)
        child.start()
        child.join(SECONDS + 5)
        if child.is_alive():
            child.kill()
            child.join()
        code = child.exitcode
        child.close()
    return code


def _child(kind: Kind, source: str, target: str, why: str) -> None:
    pages = (
        int(Path("/proc/self/statm").read_text().split()[0]) if Path("/proc/self/statm").exists() else 2**18
    )
    limits = {
        resource.RLIMIT_AS: pages * resource.getpagesize() + MEMORY,
        resource.RLIMIT_CPU: round(SECONDS),
        resource.RLIMIT_FSIZE: WRITTEN,
        resource.RLIMIT_CORE: 0,
    }
    for what, most in limits.items():
        resource.setrlimit(what, (most, most))
    try:
        {"picture": _picture, "sound": _sound, "video": _video}[kind](Path(source), Path(target))
    except (
        ValueError,
        OSError,
        SyntaxError,
        EOFError,
        MemoryError,
        Image.DecompressionBombError,
        Warning,
    ) as error:
        sentence = " ".join(str(error).split()) or type(error).__name__
        for path in (source, target):
            sentence = sentence.replace(path, f"the {kind}")
        with contextlib.suppress(OSError):
            Path(why).write_text(sentence, "utf-8")
        sys.exit(REFUSED)


def _picture(source: Path, target: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        with Image.open(source, formats=("PNG", "JPEG", "WEBP")) as image:
            if image.width * image.height > LARGEST_PICTURE:
                raise ValueError(
                    f"the picture has {image.width}x{image.height} pixels; use less than 40 million"
                )
            image.load()
            upright = ImageOps.exif_transpose(image)
    kept = upright.convert("RGBA" if upright.has_transparency_data else "RGB")
    Image.fromarray(np.asarray(kept)).save(target, compress_level=1)  # pixels alone: no text, no profile


def _sound(source: Path, target: Path) -> None:
    samples, rate = read_sound(source, LONGEST)
    if len(samples) > (LONGEST - 1) * rate:
        raise ValueError(f"the sound lasts more than {LONGEST - 1:g} s; cut it first")
    with wave.open(str(target), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes((np.nan_to_num(samples).clip(-1, 1) * 32767).round().astype("<i2").tobytes())


def _video(source: Path, target: Path) -> None:
    clip = read(source, rate=RATE, seconds=LONGEST, fit=_shrink)
    if clip.seconds > LONGEST - 1:
        raise ValueError(f"the video lasts more than {LONGEST - 1:g} s; cut it first")
    write(clip, target)


def _shrink(frame: np.ndarray) -> np.ndarray:
    height, width = frame.shape[:2]
    scale = min(1.0, max(WIDEST / width, HIGHEST / height))
    size = (max(2, round(width * scale / 2) * 2), max(2, round(height * scale / 2) * 2))
    if size == (width, height):
        return frame
    return np.asarray(Image.fromarray(frame).resize(size, Image.Resampling.BICUBIC, reducing_gap=2))
