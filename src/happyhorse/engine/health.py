"""Whether a part of the installed 15B is complete, incomplete (and what it lacks) or broken, from names and headers
alone.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from happyhorse.generate.installed import PARTS, missing_files, models_folder
from happyhorse.generate.parts import check_file, unindexed
from happyhorse.model import weights


@dataclass(frozen=True)
class Health:
    """A `part` as it is on the disk, with its `size` in bytes; `why` says what it lacks (`lacking`, relative to the
    folder of the model), or what is wrong and with which file (`culprit`).
    """

    part: str
    state: Literal["complete", "incomplete", "broken", "absent"]
    size: int = 0
    why: str = ""
    culprit: Path | None = None
    lacking: tuple[str, ...] = ()


def examine(folder: Path, part: str) -> Health:
    """Look at a part of the model in `folder`. Headers are read and lengths compared, weights are not."""
    place = folder / PARTS[part].folder
    files = sorted(path for path in place.glob("*") if path.is_file() and not path.name.startswith("."))
    size = sum(path.stat().st_size for path in files)
    if not files:
        return Health(part, "absent")
    for path in files:
        try:
            check_file(path)
        except ValueError as error:
            return Health(part, "broken", size, str(error), path)
    lacking = [*missing_files(folder, part), *(f"{PARTS[part].folder}/{name}" for name in unindexed(files))]
    if lacking:
        lacking = tuple(dict.fromkeys(lacking))
        return Health(part, "incomplete", size, f"lacks {', '.join(lacking)}", lacking=lacking)
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
