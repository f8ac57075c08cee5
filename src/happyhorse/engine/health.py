"""Whether a part of the installed 15B is complete, incomplete (and what it lacks) or broken, from names and headers
alone.
"""

import json
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from safetensors import SafetensorError, safe_open

from happyhorse.generate.installed import PARTS, missing_files, models_folder
from happyhorse.model import weights


@dataclass(frozen=True)
class Health:
    """A `part` as it is on the disk, with its `size` in bytes; `why` says what it lacks, or what is wrong and with
    which file (`culprit`).
    """

    part: str
    state: Literal["complete", "incomplete", "broken", "absent"]
    size: int = 0
    why: str = ""
    culprit: Path | None = None


def examine(folder: Path, part: str) -> Health:
    """Look at a part of the model in `folder`. Headers are read and lengths compared, weights are not."""
    place = folder / PARTS[part].folder
    files = sorted(path for path in place.glob("*") if path.is_file() and not path.name.startswith("."))
    size = sum(path.stat().st_size for path in files)
    if not files:
        return Health(part, "absent")
    for path in files:
        try:
            _check(path)
        except ValueError as error:
            return Health(part, "broken", size, str(error), path)
    lacking = [*missing_files(folder, part), *(f"{PARTS[part].folder}/{name}" for name in _unindexed(files))]
    if lacking:
        return Health(part, "incomplete", size, f"lacks {', '.join(dict.fromkeys(lacking))}")
    if PARTS[part].horse:
        try:
            weights.shards(place)
        except ValueError as error:
            return Health(part, "broken", size, str(error), place / weights.INDEX)
    return Health(part, "complete", size)


def installed() -> dict[str, list[Health]]:
    """All parts of every model in the folder of installed models, by the name of the model."""
    found = {}
    for folder in sorted(path for path in models_folder().glob("*") if path.is_dir()):
        parts = [examine(folder, part) for part in PARTS]
        if any(part.state != "absent" for part in parts):
            found[folder.name] = parts
    return found


def _unindexed(files: list[Path]) -> Iterator[str]:
    """Shards that an index names and that are not there."""
    names = {path.name.removesuffix(".zst") for path in files}
    for path in files:
        if path.name.endswith(".safetensors.index.json"):
            yield from sorted(
                set(json.loads(path.read_text(encoding="utf-8"))["weight_map"].values()) - names
            )


def _check(path: Path) -> None:
    """Raise ValueError where a file is cut off or not what its name says."""
    try:
        if path.suffix == ".safetensors":
            with safe_open(path, framework="np"):
                pass
        elif path.suffix == ".json":
            said = json.loads(path.read_text(encoding="utf-8"))
            if path.name.endswith(".index.json") and not isinstance(said.get("weight_map"), dict):
                raise ValueError("it names no weights")
        elif path.suffix == ".ckpt" and not zipfile.is_zipfile(path):
            raise ValueError("it is cut off, or no checkpoint")
    except (ValueError, AttributeError, SafetensorError) as error:
        raise ValueError(f"{path} is damaged ({error}); {weights.AGAIN}") from None
