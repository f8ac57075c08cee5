"""Weights of the 15B onto this disk: from the Hugging Face Hub, or from a folder that already has them.

Every file appears whole or not at all, what is there and healthy is not fetched again, and a pull that was stopped in
any way goes on when it is repeated, at the very commits that it began with. fp32 denoisers become bf16 by the rule of
`model.weights`: half the size, and loaded in half the time.
"""

import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from happyhorse.engine import hub
from happyhorse.engine.health import examine
from happyhorse.engine.origins import Original, find, needed
from happyhorse.engine.sources import SOURCES, parts, revisions
from happyhorse.files import hidden_beside, write_atomic
from happyhorse.generate.installed import PARTS
from happyhorse.model import weights
from happyhorse.model.horse import Horse
from happyhorse.model.presets import HorseConfig

RECORD = "pulled.json"
"""Says, in the folder of the model, where each part came from, or is coming from: for downloads the commit."""

Report = Callable[[str, int, int], None]  # what, megabytes done, of how many


@dataclass(frozen=True)
class Piece:
    """A `part` to be fetched: `files` are names in it with their sizes in bytes; they are in the folder `place`, some
    of them maybe in an `original` form, or at `revision` of its repository.
    """

    part: str
    files: tuple[tuple[str, int], ...]
    place: Path | None = None
    revision: str = ""
    original: Original | None = None

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(size for _, size in self.files)

    @property
    def origin(self) -> str:
        """Where it is, for people."""
        return str(self.place or f"{SOURCES[self.part].repository} at {self.revision[:12]}")

    @property
    def facts(self) -> dict[str, str]:
        """What is written down about it."""
        return {"from": self.origin, "revision": self.revision, "licence": SOURCES[self.part].licence}


def pull(
    folder: Path,
    variants: Sequence[str] = ("distill",),
    origin: Path | None = None,
    *,
    revision: Sequence[str] = (),
    convert: bool = True,
    announce: Callable[[Sequence[Piece], int], None] = lambda pieces, room: None,
    report: Report = lambda what, done, total: None,
    endpoint: str | None = None,
) -> list[Piece]:
    """Bring what the denoisers called `variants` need into `folder`; returns what had to be fetched.

    `origin` is a folder that has it: one like `folder`, downloads under the names of their repositories, or a cache
    of the Hub. None fetches from the Hub, or from `endpoint` in its place: the commits that an earlier pull began with,
    else those of `revision` (each a branch, tag or commit, of daVinci-MagiHuman or as "repository=revision"), else the
    newest. With `convert` fp32 denoisers become bf16.
    `announce(pieces, bytes)` is called before anything is fetched, with the room that it takes; an exception in it
    ends the pull. Raises `ValueError` and `OSError`, with the remedy, for what is missing, damaged or closed to the
    caller, and where the disk is too small; what was finished stays.
    """
    wanted, asked = parts(variants), revisions(revision)
    if origin and asked:
        raise ValueError("--revision says what to download; leave it out with --from")
    folder.mkdir(parents=True, exist_ok=True)
    with _alone(folder):
        for part in wanted:
            _settle(folder, part)
        missing = [part for part in wanted if examine(folder, part).state != "complete"]
        _check_commits(folder, wanted, asked, endpoint)
        pieces = _on_disk(origin.resolve(), missing) if origin else _on_hub(folder, missing, asked, endpoint)
        _remove_others(folder, pieces)
        room = _room(folder, pieces, convert)
        announce(pieces, room)
        free = shutil.disk_usage(folder).free
        if room > free:
            raise OSError(
                f"{folder} needs {room / 1e9:.1f} GB and the disk has {free / 1e9:.1f} GB left; free some space, or "
                "set HAPPYHORSE_HOME to a folder on a larger disk"
            )
        for piece in pieces:
            _write_down(folder, piece)  # before it begins, so that it goes on at the same commit
            if piece.place:
                _take(piece, folder, convert, report)
            else:
                _download(piece, folder, convert, report, endpoint)
            health = examine(folder, piece.part)
            if health.state != "complete":
                raise ValueError(f"{piece.origin} does not hold a whole {piece.part}: {health.why}")
    return pieces


def _on_disk(origin: Path, missing: Sequence[str]) -> list[Piece]:
    """Where each part lies in or under `origin`. Raises ValueError where one is not there, or not whole."""
    if not origin.is_dir():
        raise ValueError(
            f"{origin} is no folder; give the one with the weights, or leave --from out to download them"
        )
    found = []
    for part in missing:
        there = find(origin, part)
        names = (*there.files, *(there.original.files if there.original else ()))
        sizes = {name: (there.folder / name).stat().st_size for name in names}
        found.append(Piece(part, tuple(sizes.items()), there.folder, there.revision, there.original))
    return found


def _on_hub(
    folder: Path, missing: Sequence[str], asked: Mapping[str, str], endpoint: str | None
) -> list[Piece]:
    """What the Hub has of each part: at the commit that an earlier pull began with, at the one that is `asked` for by
    repository, or at the newest.
    """
    record = _record(folder).items()
    begun = {SOURCES[part].repository: said["revision"] for part, said in record if said["revision"]}
    listed: dict[str, tuple[str, dict[str, int]]] = {}
    found = []
    for part in missing:
        source = SOURCES[part]
        if source.repository not in listed:
            revision = asked.get(source.repository) or begun.get(source.repository) or source.revision
            listed[source.repository] = hub.listing(source.repository, revision, endpoint)
        commit, files = listed[source.repository]
        inside = f"{source.folder}/" if source.folder else ""
        own = {name.removeprefix(inside): size for name, size in files.items() if name.startswith(inside)}
        named = tuple((name, size) for name, size in sorted(own.items()) if needed(name, part))
        if not named:
            raise ValueError(
                f"{source.repository} has no {source.folder or 'weights'} at {commit[:12]}; give another --revision, "
                "or a copy with --from"
            )
        found.append(Piece(part, named, revision=commit))
    return found


def _check_commits(
    folder: Path, wanted: Sequence[str], asked: Mapping[str, str], endpoint: str | None
) -> None:
    """Raise ValueError where a part is there, whole or in pieces, of another commit than the one `asked` for."""
    record, commits = _record(folder), {}
    for part in wanted:
        repository, place = SOURCES[part].repository, folder / PARTS[part].folder
        if repository not in asked or not any(place.glob("*")):
            continue
        if repository not in commits:
            commits[repository] = hub.listing(repository, asked[repository], endpoint)[0]
        have = record.get(part, {}).get("revision", "")
        if have != commits[repository]:
            raise ValueError(
                f"{place} is {f'of commit {have[:12]}' if have else 'of no known commit'} and not of "
                f"{commits[repository][:12]}; remove that folder to have it anew, or leave --revision out"
            )


def _room(folder: Path, pieces: Sequence[Piece], convert: bool) -> int:
    """Bytes that the pieces, fetched one after the other, take on the disk of `folder` at the worst moment."""
    kept = worst = 0
    for piece in pieces:
        target = folder / PARTS[piece.part].folder
        if piece.original:
            peak = final = piece.size
        elif piece.place and convert and PARTS[piece.part].horse and not _is_cast(piece.place, piece.part):
            peak = final = _bytes(weights.read_config(piece.place, _horse(piece.part)))
        elif piece.place:
            peak = final = 0 if piece.place.stat().st_dev == folder.stat().st_dev else piece.size
        else:
            peak = final = sum(size for name, size in piece.files if _size(target / name) != size)
            cast = _bytes(_horse(piece.part)) if convert and PARTS[piece.part].horse else 0
            if cast and piece.size > 1.5 * cast:  # it is in fp32, and both are there until the cast is whole
                peak, final = peak + cast, peak + cast - piece.size
        worst, kept = max(worst, kept + peak), kept + final
    return worst


def _take(piece: Piece, folder: Path, convert: bool, report: Report) -> None:
    """Copy a piece from another folder of this machine; on the same disk a second name for each file is enough. What is
    there in its original form is rewritten.
    """
    assert piece.place
    target = folder / PARTS[piece.part].folder
    target.mkdir(parents=True, exist_ok=True)
    if convert and PARTS[piece.part].horse and not _is_cast(piece.place, piece.part):
        _cast(piece.place, target, piece.part, report)
        return
    done, rewritten = 0, piece.original.files if piece.original else ()
    for name, size in _index_last([file for file in piece.files if file[0] not in rewritten]):
        if _size(target / name) != size:
            _second_name((piece.place / name).resolve(), target / name)
        done += size
        report(piece.part, done // 10**6, piece.size // 10**6)
    if piece.original:
        piece.original.rewrite(piece.place, target)
        report(piece.part, piece.size // 10**6, piece.size // 10**6)


def _second_name(source: Path, target: Path) -> None:
    """A hard link, or a copy where that cannot be; it appears whole or not at all."""
    hidden = hidden_beside(target)
    try:
        hidden.unlink()
        try:
            os.link(source, hidden)
        except OSError:
            shutil.copyfile(source, hidden)
        os.replace(hidden, target)
    finally:
        hidden.unlink(missing_ok=True)


def _download(piece: Piece, folder: Path, convert: bool, report: Report, endpoint: str | None) -> None:
    """Fetch a piece from the Hub, file by file, and cast it there if it is a denoiser in fp32."""
    source, target = SOURCES[piece.part], folder / PARTS[piece.part].folder
    done = 0
    for name, size in _index_last(piece.files):
        path = target / name
        if _size(path) != size:
            path.unlink(missing_ok=True)
            inside, root = (f"{source.folder}/{name}", target.parent) if source.folder else (name, target)
            hub.download(source.repository, inside, piece.revision, root, endpoint)
        done += size
        report(piece.part, done // 10**6, piece.size // 10**6)
    if convert and PARTS[piece.part].horse and not _is_cast(target, piece.part):
        _cast(target, _beside(target, "cast"), piece.part, report)
        _settle(folder, piece.part)


def _settle(folder: Path, part: str) -> None:
    """Bring a part into order after whatever stopped an earlier pull: a cast that is whole takes the place of what it
    was made of; files that are damaged, and what was put aside, go.
    """
    target = folder / PARTS[part].folder
    cast, old = _beside(target, "cast"), _beside(target, "old")
    if (cast / weights.INDEX).is_file():
        if target.is_dir():
            shutil.rmtree(old, ignore_errors=True)
            os.rename(target, old)
        os.rename(cast, target)
    shutil.rmtree(old, ignore_errors=True)
    while culprit := examine(folder, part).culprit:
        culprit.unlink()


def _beside(target: Path, what: str) -> Path:
    return target.with_name(f".{target.name}.{what}")


def _cast(source: Path, target: Path, part: str, report: Report) -> None:
    settings = weights.read_config(source, _horse(part))
    weights.convert(
        source, target, settings, lambda done, total: report(f"{part} to bf16", done // 10**6, total // 10**6)
    )


def _is_cast(place: Path, part: str) -> bool:
    """Whether a denoiser has the dtypes of the rule already, and no compressed shards."""
    with torch.device("meta"):
        own = Horse(weights.read_config(place, _horse(part))).state_dict()
    return all(
        shard.path.suffix != ".zst"
        and all(dtype == own[key].dtype for key, (dtype, *_) in shard.tensors.items())
        for shard in weights.shards(place)
    )


def _horse(part: str) -> HorseConfig:
    published = PARTS[part].horse
    assert published is not None, part
    return published


def _bytes(config: HorseConfig) -> int:
    """Bytes of a denoiser in the dtypes of the rule."""
    with torch.device("meta"):
        return sum(tensor.nbytes for tensor in Horse(config).state_dict().values())


def _index_last(files: Sequence[tuple[str, int]]) -> list[tuple[str, int]]:
    return sorted(files, key=lambda file: file[0].endswith(".index.json"))


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else -1


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Two pulls into one folder would undo each other."""
    from filelock import FileLock, Timeout

    lock = FileLock(folder / ".pull.lock", timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise ValueError(f"another pull into {folder} is running; wait for it to end") from None
    try:
        _clear(folder)
        yield
        _clear(folder)
    finally:
        lock.release()


def _clear(folder: Path) -> None:
    """Remove what the Hub's own library leaves beside downloads, notes and files that were broken off, and what a pull
    that was killed had not finished.
    """
    for cache in (folder / ".cache", *folder.glob("*/.cache")):
        shutil.rmtree(cache, ignore_errors=True)
    for part in PARTS.values():
        for left in (folder / part.folder).glob(".*.part"):
            left.unlink(missing_ok=True)


def _record(folder: Path) -> dict[str, Any]:
    """Where the parts came from, as far as it was written down."""
    try:
        said = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return {part: facts for part, facts in said.items() if part in PARTS and "revision" in facts}


def _write_down(folder: Path, piece: Piece) -> None:
    text = json.dumps(_record(folder) | {piece.part: piece.facts}, indent=1)
    write_atomic(folder / RECORD, lambda hidden: hidden.write_text(text + "\n", encoding="utf-8"))


def _remove_others(folder: Path, pieces: Sequence[Piece]) -> None:
    """Remove what an earlier pull brought of a piece from elsewhere, or of another commit: the two do not mix."""
    record = _record(folder)
    for piece in pieces:
        if piece.part in record and record[piece.part] != piece.facts:
            shutil.rmtree(folder / PARTS[piece.part].folder, ignore_errors=True)
