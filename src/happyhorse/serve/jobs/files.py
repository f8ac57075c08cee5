"""A request whose files are blobs: between the door, where they come in, and the worker, which has a folder."""

from collections.abc import Callable, Mapping
from itertools import count
from pathlib import Path, PurePosixPath
from typing import Any

from happyhorse.values import Request

SINGLE = ("first_frame", "last_frame", "audio", "video", "extend", "retake", "edit")
"""Fields of a request that are one file; `references` are several, `key_frames` pairs of a time and a file."""


def renamed(plain: Mapping[str, Any], rename: Callable[[str], Any]) -> dict[str, Any]:
    """The plain form of a request, with what `rename` makes of the name of each of its files in the name's place."""
    single = {field: rename(plain[field]) for field in SINGLE if plain.get(field) is not None}
    references = [rename(name) for name in plain.get("references") or ()]
    frames = [(time, rename(name)) for time, name in plain.get("key_frames") or ()]
    return {**plain, **single, "references": references, "key_frames": frames}


def restore(plain: Mapping[str, Any], read: Callable[[str], bytes], folder: Path) -> Request:
    """The request of which `plain` is the form with names of blobs; their contents (`read`) are put into `folder`.

    Raises ValueError where `Request` does, and FileNotFoundError for a blob that is gone.
    """
    numbers = count()

    def fetch(name: str) -> str:
        path = folder / f"given-{next(numbers)}-{PurePosixPath(name).name}"
        path.write_bytes(read(name))
        return str(path)

    return Request.from_dict(renamed(plain, fetch))
