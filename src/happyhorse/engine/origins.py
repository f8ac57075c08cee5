"""Weights that are on this machine already: where each part lies under a folder, in which of the layouts about.

A part may be as it is installed, as it was downloaded under the name of its repository, in a cache of the Hub, or as
its maker first published it, in a file that is rewritten (`codec.originals`).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from types import MappingProxyType

from happyhorse.codec.originals import convert_stable_audio, convert_tokenizer, convert_wan
from happyhorse.engine.health import examine
from happyhorse.engine.sources import SOURCES
from happyhorse.generate.installed import PARTS
from happyhorse.model.weights import AGAIN


@dataclass(frozen=True)
class Original:
    """Files of a part as its maker has them: their names, the repository, and what writes them, from the folder that
    they are in, as a part is installed.
    """

    files: tuple[str, ...]
    repository: str
    rewrite: Callable[[Path, Path], None]


ORIGINALS: Mapping[str, Original] = MappingProxyType(
    {
        "video": Original(
            ("Wan2.2_VAE.pth",),
            "Wan-AI/Wan2.2-TI2V-5B",
            lambda place, target: convert_wan(place / "Wan2.2_VAE.pth", target),
        ),
        "audio": Original(
            ("model.safetensors", "model_config.json"),
            "stabilityai/stable-audio-open-1.0",
            convert_stable_audio,
        ),
        "text": Original(
            ("tokenizer.model",),
            "google/t5gemma-9b-9b-ul2",
            lambda place, target: convert_tokenizer(place / "tokenizer.model", target),
        ),
    }
)
"""By part. Of the text encoder only the tokeniser: the rest of it is where that is."""

_TOKENISER = {f"{PARTS['text'].folder}/{name}" for name in ("tokenizer.json", "tokenizer_config.json")}


@dataclass(frozen=True)
class Place:
    """The `folder` of a part, the names of the `files` in it that are needed, the `original` where some of them have to
    be rewritten, and the commit that it is, if that is known.
    """

    folder: Path
    files: tuple[str, ...]
    original: Original | None = None
    revision: str = ""


def find(origin: Path, part: str) -> Place:
    """Where a part lies in or under the folder `origin`. Raises ValueError where it does not, or is not whole."""
    own, source = PARTS[part].folder, SOURCES[part]
    bases = (origin, *sorted(path for path in origin.glob("*") if path.is_dir()))
    for base in bases:
        if (base / own).is_dir():
            return _whole(base, part)
    for snapshot in _snapshots(origin, source.repository):
        if files := _needed(snapshot / source.folder, part):
            return Place(snapshot / source.folder, files, revision=snapshot.name)
    original = ORIGINALS.get(part)
    if original and part != "text":
        for base in (*bases, *_snapshots(origin, original.repository)):
            if all((base / name).is_file() for name in original.files):
                return Place(base, original.files, original)
    also = f" and no {original.files[0]}" if original and part != "text" else ""
    raise ValueError(
        f"{origin} has no folder {own}{also}, which {PARTS[part].does}; give a folder that has it, or leave --from "
        "out to download it"
    )


def needed(name: str, part: str) -> bool:
    """Whether a file called `name` belongs to a part as it is published."""
    return "/" not in name and any(fnmatch(name, pattern) for pattern in SOURCES[part].files)


def _whole(base: Path, part: str) -> Place:
    """The part in `base`, a folder like the installed one."""
    place, health, original = base / PARTS[part].folder, examine(base, part), ORIGINALS.get(part)
    if health.state == "complete":
        return Place(place, _needed(place, part))
    rewritable = health.state == "incomplete" and set(health.lacking) <= _TOKENISER
    if original and rewritable and all((place / name).is_file() for name in original.files):
        return Place(place, _needed(place, part), original)
    why = health.why if health.state == "broken" else f"it {health.why or 'is empty'}; {AGAIN}"
    raise ValueError(f"the {part} weights in {place} cannot be used: {why}")


def _needed(place: Path, part: str) -> tuple[str, ...]:
    """Names of the files of a part that are in a folder."""
    return tuple(sorted(path.name for path in place.glob("*") if path.is_file() and needed(path.name, part)))


def _snapshots(origin: Path, repository: str) -> list[Path]:
    """The commits of a repository in a cache of the Hub, that of its main branch first."""
    cache = origin / f"models--{repository.replace('/', '--')}"
    main = cache / "refs" / "main"
    head = main.read_text(encoding="utf-8").strip() if main.is_file() else ""
    return sorted(cache.glob("snapshots/*"), key=lambda path: (path.name != head, path.name))
