"""A request whose files are blobs: between the door, where they come in, and the worker, which has a folder."""

from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from happyhorse.values import Request

SINGLE = ("first_frame", "last_frame", "audio", "video", "extend", "retake")
"""Fields of a request that are one file; `key_frames` are pairs of a time and a file."""


def restore(plain: Mapping[str, Any], read: Callable[[str], bytes], folder: Path) -> Request:
    """The request of which `plain` is the form with names of blobs; their contents (`read`) are put into `folder`.

    Raises ValueError where `Request` does, and FileNotFoundError for a blob that is gone.
    """

    def fetch(name: str, number: int = 0) -> str:
        path = folder / f"given-{number}-{PurePosixPath(name).name}"
        path.write_bytes(read(name))
        return str(path)

    values = dict(plain)
    for number, field in enumerate(SINGLE):
        if values.get(field) is not None:
            values[field] = fetch(values[field], number)
    frames: list[tuple[float, str]] = list(plain.get("key_frames") or [])
    values["key_frames"] = [
        (time, fetch(name, len(SINGLE) + number)) for number, (time, name) in enumerate(frames)
    ]
    return Request.from_dict(values)


def names(plain: Mapping[str, Any]) -> list[str]:
    """The blobs that the plain form of a request names."""
    found = [plain[field] for field in SINGLE if plain.get(field) is not None]
    return found + [name for _, name in plain.get("key_frames") or ()]
