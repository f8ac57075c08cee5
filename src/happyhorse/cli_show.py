"""What verbs of the command line share: reading what was typed, and printing results, notes, progress and tables."""

import re
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

from happyhorse import sizes

Report = Callable[[str, int, int], None]


def say(sentence: str, who: str = "happyhorse") -> None:
    """A sentence on standard error."""
    print(f"{who}: {sentence}", file=sys.stderr)


def result(facts: dict[str, Any], text: str, json: bool) -> None:
    """Print a result on standard output, as one line of JSON or for a person."""
    import json as library

    print(library.dumps(facts, ensure_ascii=False) if json else text, flush=True)


@contextmanager
def progress() -> Iterator[Report]:
    """A function `report(stage, done, total)` that draws bars with the time left, where there is a screen for
    them.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description:>16}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    options: dict[str, Any] = {
        "transient": True,
        "disable": not console.is_terminal,
        "redirect_stdout": False,
    }
    with Progress(*columns, console=console, **options) as bars:
        tasks: dict[str, Any] = {}

        def report(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(stage, total=total)
            bars.update(tasks[stage], completed=done, total=total)

        yield report


def training(report: Report) -> Callable[[str, int, int, dict[str, float]], None]:
    """A report of training: the bar, and for each point of the log a line with its values and the time left."""
    begun: dict[str, tuple[float, int]] = {}

    def shown(what: str, done: int, total: int, values: dict[str, float]) -> None:
        report(what, done, total)
        start, first = begun.setdefault(what, (time.monotonic(), done))
        if values:
            line = "  ".join(f"{name} {value:.4g}" for name, value in values.items())
            left = (time.monotonic() - start) / max(1, done - first) * (total - done)
            clock = f"{left // 3600:.0f} h {left % 3600 / 60:.0f} min left" if done > first else ""
            print(f"{what} {done}/{total}  {line}  {clock}".rstrip(), file=sys.stderr)

    return shown


def clip_lines(facts: dict[str, Any]) -> str:
    """What was made, for a person: path, prompt, length and size, settings, timings in seconds."""
    timings, signed = facts["timings"], "signed as machine-made" if facts["signed"] else "not signed"
    stages = ", ".join(f"{stage} {seconds:.1f}" for stage, seconds in timings.items() if seconds >= 0.05)
    return (
        f"{facts['path']}\n  {facts['prompt']}\n"
        f"  {facts['seconds']:g} s with sound, {facts['width']}x{facts['height']}, {facts['fps']} fps, "
        f"{facts['bytes'] / 1000:.0f} kB, {signed}\n"
        f"  seed {facts['seed']}, {facts['steps']} steps, guidance {facts['guidance']:g} and "
        f"{facts['audio_guidance']:g}, model {facts['model']}\n"
        f"  made in {sum(timings.values()):.1f} s: {stages}"
    )


def parse_size(text: str) -> tuple[int, int]:
    """(width, height) in px of "224x128". Raises ValueError for what is no size."""
    match = re.fullmatch(r"(\d{1,5})\s*[x*×:]\s*(\d{1,5})", text.strip().lower())
    if not match:
        raise ValueError(f"{text!r} is no size; give width x height in pixels, for example --size 224x128")
    return int(match[1]), int(match[2])


def choose_size(size: str | None, ratio: str | None) -> tuple[int | None, int | None]:
    """(width, height) in px of "224x128", or of a resolution with a ratio, "540p" and "9:16"; None: not said.

    Raises ValueError for what is no size.
    """
    if size and re.fullmatch(r"\d+p", size.strip().lower()):
        return sizes.named(size.strip().lower(), ratio or "16:9").picture
    if ratio:
        raise ValueError("--ratio goes with a resolution, for example --size 540p --ratio 9:16")
    return parse_size(size) if size else (None, None)


def buckets(size: str | None, seconds: float | None) -> Any:
    """The `data.buckets.Buckets` around a size like "224x128" px, up to a length in seconds; None: as by default."""
    from happyhorse.data.buckets import Buckets

    width, height = parse_size(size) if size else (Buckets.width, Buckets.height)
    return Buckets(width, height, Buckets.seconds if seconds is None else seconds)


def vocabulary(model: str | None) -> Sequence[str] | None:
    """The words of a model; those of the packaged one, if there is one, where none is named; None where unknown."""
    from happyhorse.generate.load import load, packaged

    return load(model or "pony").facts.get("vocabulary") if model or "pony" in packaged() else None


def finding_facts(finding: Any) -> dict[str, Any]:
    """A `data.folder.Finding` as plain facts: frames at 25 a second, sizes in px."""
    entry = finding.entry
    facts: dict[str, Any] = {
        "file": finding.file,
        "refused": finding.why or None,
        "notes": list(finding.notes),
    }
    if entry:
        facts |= {
            "bucket": entry.bucket.name,
            "crop": list(entry.crop),
            "frames": entry.bucket.frames,
            "of": entry.frames,
            "has_audio": entry.has_audio,
            "split": entry.split,
            "captions": len(entry.captions),
        }
    return facts


def findings(found: Sequence[Any], json: bool) -> None:
    """Print a row for each `data.folder.Finding`, or a line of JSON."""
    every = [finding_facts(finding) for finding in found]
    if json:
        for facts in every:
            result(facts, "", True)
        return
    rows: list[tuple[str, ...]] = [("file", "bucket", "crop", "frames", "sound", "split", "captions", "")]
    for facts in every:
        file = facts["file"] if len(facts["file"]) <= 40 else f"...{facts['file'][-37:]}"
        if facts["refused"]:
            rows.append((file, f"refused, {facts['refused']}"))
            continue
        left, top, width, height = facts["crop"]
        crop, frames = f"{width}x{height}+{left}+{top}", f"{facts['frames']} of {facts['of']}"
        sound = "yes" if facts["has_audio"] else "no"
        plain = (file, facts["bucket"], crop, frames, sound, facts["split"], str(facts["captions"]))
        rows.append((*plain, "; ".join(facts["notes"])))
    whole = [row for row in rows if len(row) == len(rows[0])]
    wide = [max(len(row[column]) for row in whole) for column in range(len(rows[0]) - 1)]
    wide[0] = max(len(row[0]) for row in rows)
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, wide, strict=False)]
        print("  ".join([*cells, *row[len(wide) :]]).rstrip(), flush=True)


def summary(found: Sequence[Any], lint: Any, facts: dict[str, Any], text: str, json: bool) -> None:
    """Print how many clips each bucket has in each split, and what is doubtful about their captions.

    `found` are `data.folder.Finding`s, `lint` is a `data.captions.Lint`; `facts` and `text` go before.
    """
    entries = [finding.entry for finding in found if finding.entry]
    counts = Counter((entry.bucket, entry.split) for entry in entries)
    buckets = {
        bucket.name: {split: counts[bucket, split] for split in ("train", "heldout")}
        for bucket in sorted({entry.bucket for entry in entries})
    }
    lines = [text] * bool(text)
    lines += [f"{len(entries)} of {len(found)} files can be used"]
    lines += [
        f"  {name}: {one['train']} to train on, {one['heldout']} held out" for name, one in buckets.items()
    ]
    counted = {"clips": len(entries), "refused": len(found) - len(entries), "buckets": buckets}
    result({**facts, **counted, "lint": asdict(lint)}, "\n".join(lines), json)
    for remark in lint.remarks():
        say(remark, "note")
