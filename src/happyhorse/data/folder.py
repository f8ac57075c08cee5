"""A folder of clips with captions: what becomes of each file, and why a file cannot be used."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from happyhorse import checkpoint
from happyhorse.data import captions, manifest
from happyhorse.data.buckets import FPS, Bucket, Buckets, Crop, crop
from happyhorse.data.footage import STILLS, VIDEOS, Probe, UnusableError, probe
from happyhorse.data.manifest import Entry

Report = Callable[[str, int, int], None]
CUT, ENLARGED, UNUSED = 0.25, 1.5, 0.25  # shares and factor from which a person should know


class Refusal(NamedTuple):
    """Why a file cannot be used: the cause in two or three words, and what to know or to do about it."""

    cause: str
    why: str


@dataclass(frozen=True)
class Finding:
    """What becomes of a file: its `entry` in the manifest, or the `refused` reasons; and notes, a phrase each."""

    file: str
    entry: Entry | None = None
    refused: tuple[Refusal, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def why(self) -> str:
        """The reasons of a refusal in one sentence: "too short: ..., no caption: ..."."""
        return "; ".join(f"{cause}: {why}" for cause, why in self.refused)


def examine(
    folder: Path, buckets: Buckets, root: Path | None = None, report: Report | None = None
) -> list[Finding]:
    """Look at every file in `folder` and below it (hidden ones apart), in the order of their names.

    Sources are named relative to `root` (None: `folder`), where the manifest will lie. `report(stage, done, total)`
    counts files. Raises ValueError where there is no such folder or a table of captions cannot be read.
    """
    if not folder.is_dir():
        raise ValueError(f"no folder at {folder}; give one that holds clips with captions")
    rows = captions.tables(folder)
    files = sorted(
        path for path in folder.rglob("*") if path.is_file() and not _is_hidden(path.relative_to(folder))
    )
    own = {path for path in files if path.name.lower() in (*captions.TABLES, manifest.NAME)}
    clips = {path for path in files if path.suffix.lower() in VIDEOS + STILLS}
    own |= {sidecar for clip in clips if (sidecar := captions.beside(clip))}
    names = {path.relative_to(folder).as_posix() for path in files}
    seen: dict[str, str] = {}
    findings = []
    files = [path for path in files if path not in own]
    for done, path in enumerate(files):
        if report:
            report("clips", done, len(files))
        name = path.relative_to(folder).as_posix()
        if path in clips:
            findings.append(
                _examine(path, name, captions.find(path, name, rows), buckets, root or folder, seen)
            )
        else:
            findings.append(Finding(name, refused=(_no_clip(path),)))
    for name in sorted(rows.keys() - names):
        findings.append(Finding(name, refused=(Refusal("missing", "captions name it, but it is not here"),)))
    if report:
        report("clips", len(files), len(files))
    chosen = iter(manifest.hold_out_one(finding.entry for finding in findings if finding.entry))
    return [
        Finding(finding.file, next(chosen), (), finding.notes) if finding.entry else finding
        for finding in findings
    ]


def _examine(
    path: Path, name: str, found: captions.Found, buckets: Buckets, root: Path, seen: dict[str, str]
) -> Finding:
    wordless = () if found.captions else tuple(Refusal("no caption", fault) for fault in found.faults)
    digest = checkpoint.sha256(path)
    if digest in seen:
        return Finding(name, refused=(Refusal("duplicate", f"it is the same file as {seen[digest]}"),))
    try:
        held = probe(path, buckets.lengths[0])
        frames = 1 if path.suffix.lower() in STILLS else _length(held, buckets)
    except UnusableError as error:
        return Finding(name, refused=(Refusal(error.cause, str(error)), *wordless))
    if wordless:
        return Finding(name, refused=wordless)
    seen[digest] = name
    bucket = Bucket(*buckets.size(held.width, held.height), frames)
    kept = crop(held.width, held.height, bucket)
    entry = Entry(
        sha256=digest,
        captions=found.captions,
        bucket=bucket,
        frames=held.frames,
        crop=kept,
        has_audio=held.has_audio,
        split=manifest.split_of(digest),
        source=manifest.relative(path, root),
    )
    return Finding(name, entry, (), (*found.faults, *_notes(held, bucket, kept)))


def _length(held: Probe, buckets: Buckets) -> int:
    try:
        return buckets.length(held.usable)
    except ValueError as error:
        raise UnusableError("too short", str(error)) from None


def _notes(held: Probe, bucket: Bucket, kept: Crop) -> tuple[str, ...]:
    """What a person may not expect: much cut off, enlarged, left unused, silent."""
    cut = 1 - kept[2] * kept[3] / (held.width * held.height)
    larger = bucket.width / kept[2]
    notes = []
    if cut >= CUT:
        notes.append(f"{cut:.0%} of the picture is cut off")
    if larger >= ENLARGED:
        notes.append(f"enlarged {larger:.1f} times")
    if held.frames - bucket.frames >= UNUSED * held.frames and bucket.frames > 1:
        notes.append(f"only the first {bucket.frames / FPS:.1f} s are used")
    if held.peak is not None and not held.has_audio:
        notes.append("its sound is silence: not learnt")
    return tuple(notes)


def _no_clip(path: Path) -> Refusal:
    kind = path.suffix.lower() or "a file without suffix"
    if kind == ".txt":
        return Refusal("no clip", f"no clip called {path.stem} lies beside this caption")
    return Refusal(
        "no clip", f"{kind} is neither video ({VIDEOS[0]}, {VIDEOS[2]}, ...) nor picture ({STILLS[0]}, ...)"
    )


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def examine_manifest(path: Path, report: Report | None = None) -> list[Finding]:
    """Check that every clip of the manifest at `path` is still what it was when the line was written.

    Raises ValueError where the manifest is missing or malformed.
    """
    entries = manifest.load(path)
    findings = []
    for done, entry in enumerate(entries, 1):
        try:
            entry.check(path.parent)
            findings.append(Finding(entry.name, entry))
        except UnusableError as error:
            findings.append(Finding(entry.name, refused=(Refusal(error.cause, str(error)),)))
        if report:
            report("clips", done, len(entries))
    return findings


def usable(findings: Sequence[Finding], where: Path) -> list[Entry]:
    """The entries among the findings. Raises ValueError, with each cause and an example, where there are none."""
    entries = [finding.entry for finding in findings if finding.entry]
    if entries:
        return entries
    if not findings:
        raise ValueError(
            f"{where} holds no clips; put videos ({', '.join(VIDEOS[:4])}) with captions (.txt) there"
        )
    causes = Counter(cause for finding in findings for cause, _ in finding.refused)
    example = {
        cause: f"{finding.file}: {why}" for finding in reversed(findings) for cause, why in finding.refused
    }
    parts = [f"{count} {cause} ({example[cause]})" for cause, count in causes.most_common()]
    raise ValueError(f"no file in {where} can be used: {'; '.join(parts)}")


def lint(entries: Iterable[Entry], vocabulary: Iterable[str] | None = None) -> captions.Lint:
    """What is doubtful in the captions of `entries` from files; see `captions.Lint`."""
    clips = [(entry.captions, entry.has_audio) for entry in entries if entry.source]
    return captions.lint(clips, frozenset(vocabulary) if vocabulary else None)
