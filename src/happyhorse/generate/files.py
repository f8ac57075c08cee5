"""Where a clip goes: names made from the prompt, and whether they can be written."""

import os
import unicodedata
from collections.abc import Iterator
from pathlib import Path

from happyhorse.files import hidden_beside
from happyhorse.media import KINDS
from happyhorse.values import Request

LONGEST_NAME = 60  # characters of the prompt in a file name


def check_writable(output: str | Path | None) -> None:
    """Fail now and not after the work: ValueError for a wrong suffix or a missing folder, OSError for a place
    that cannot be written. `output` is a file, a folder, or None for the current folder."""
    path = Path(output or ".")
    if path.is_dir():
        path = path / "clip.mp4"
    elif path.suffix.lower() not in KINDS:
        raise ValueError(f"cannot write {path.name!r}: name it *.mp4 or *.webm, or name a folder that exists")
    elif not path.parent.is_dir():
        raise ValueError(f"the folder {path.parent} does not exist; make it first (mkdir -p {path.parent})")
    hidden_beside(path).unlink()


def paths(output: str | Path | None, request: Request, force: bool = False) -> Iterator[Path]:
    """One path for each take of a request.

    A file named in `output` is replaced (with several takes: name-1.mp4, name-2.mp4, ...). A name made from
    the prompt is given a number where it is already taken, unless `force`.
    """
    target = Path(output or ".")
    for index in range(request.takes):
        if not target.is_dir():
            yield target if request.takes == 1 else target.with_stem(f"{target.stem}-{index + 1}")
            continue
        stem = f"{slug(request.prompt)}-{request.take(index).seed}"
        yield target / f"{stem}.mp4" if force else _free(target, stem)


def slug(prompt: str) -> str:
    """The prompt as a file name: letters and digits of any script, in lower case, joined by hyphens.

    At most LONGEST_NAME characters, cut between words where there are any, and few enough bytes for every
    disk.
    """
    kept = "".join(c if c.isalnum() or unicodedata.category(c)[0] == "M" else " " for c in prompt.lower())
    name = "-".join(kept.split())
    while len(name) > LONGEST_NAME or len(os.fsencode(name)) > 3 * LONGEST_NAME:
        shorter = name.rpartition("-")[0]
        name = shorter if shorter else name[:-1]
    return name or "clip"


def _free(folder: Path, stem: str) -> Path:
    number, path = 1, folder / f"{stem}.mp4"
    while path.exists():
        number += 1
        path = folder / f"{stem}-{number}.mp4"
    return path
