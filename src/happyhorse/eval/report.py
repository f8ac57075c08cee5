"""A report as a person reads it (Markdown), as a machine reads it (JSON), and as pictures (PNG).

Reports of several sources stand side by side: the clips of a model, and its floors, renders through the codec and
renders.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from happyhorse.eval import plots
from happyhorse.eval.clips import Part, Report
from happyhorse.eval.intervals import Figure
from happyhorse.eval.sync import ITU, WINDOW

SOURCES = {
    "model": "clips of the model",
    "codec": "renders of the same scenes, through the codec",
    "world": "renders of the same scenes",
}
Row = tuple[str, str, Part]  # family, source, figures


def write(reports: Mapping[str, Report], folder: str | Path, title: str = "Clips") -> Path:
    """Writes report.json, report.md, offsets.png and shares.png into `folder`, which it makes; returns the path of
    report.md. `reports` by source; the offsets shown are those of the first.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.json").write_text(json.dumps(as_dict(reports), indent=2) + "\n", encoding="utf-8")
    plots.offsets(next(iter(reports.values()))).save(folder / "offsets.png")
    plots.shares(reports).save(folder / "shares.png")
    page = folder / "report.md"
    pictures = "\n\n![offsets](offsets.png)\n\n![shares](shares.png)\n"
    page.write_text(markdown(reports, title) + pictures, encoding="utf-8")
    return page


def as_dict(reports: Mapping[str, Any]) -> dict[str, Any]:
    """Reports as plain values for JSON; what could not be measured is null."""
    return {source: _plain(dataclasses.asdict(report)) for source, report in reports.items()}


def markdown(reports: Mapping[str, Report], title: str = "Clips") -> str:
    """Tables of sync and lips beside their controls, of what the judge finds, of first frames, and of faults."""
    rows = [
        (name, source, part)
        for name in dict.fromkeys(["all", *(name for r in reports.values() for name in sorted(r.families))])
        for source, report in reports.items()
        if (part := report.total if name == "all" else report.families.get(name)) is not None
    ]
    meanings = [f"*{source}*: {SOURCES[source]}" for source in reports if source in SOURCES]
    lines = [f"# {title}", "", f"{'; '.join(meanings)}. Brackets: 95 % intervals.", ""]
    for section in (_sync, _lips, _shown, _first, _faults):
        lines += section(rows, next(iter(reports.values())))
    return "\n".join(lines).rstrip()


def _sync(rows: list[Row], report: Report) -> list[str]:
    found = [row for row in rows if row[2].sync is not None]
    text = [
        f"Offset = t_audio - t_video in ms, + = sound late; pairs within {1000 * WINDOW:.0f} ms.",
        f"*On time*: seen events that have a sound between {ITU[0]:.0f} and +{ITU[1]:.0f} ms.",
        "*Control*: every picture with the sound of another clip of its family.",
    ]
    heads = [
        "clips",
        "seen",
        "heard",
        "matched",
        "median",
        "mean abs",
        "p95 abs",
        "on time",
        "control median",
    ]
    return _section("Sync", text, [*heads, "control mean abs", "control on time"], found, _sync_cells)


def _sync_cells(part: Part) -> list[str]:
    own, control = part.sync, part.control
    assert own is not None
    cells = [str(own.clips), str(own.seen), str(own.heard), str(own.matched), own.median.text()]
    cells += [own.mae.text(), own.p95.text(), percent(own.within)]
    return cells + (
        [control.median.text(), control.mae.text(), percent(control.within)] if control else ["n/a"] * 3
    )


LIPS_HEADS = [
    "clips",
    "median lag",
    "mean abs",
    "p95 abs",
    "in window",
    "p b m",
    "met",
    "silent frames",
    "rest",
    "control mean abs",
    "control in window",
    "control met",
]
"""What `lips_cells` gives, in a word or two."""


def _lips(rows: list[Row], report: Report) -> list[str]:
    found = [row for row in rows if row[2].lips is not None and row[0] != "all"]
    text = [
        "Lag in ms between the opening of the mouth and what the phonemes of the voice ask for, + = sound late.",
        "*In window*: clips whose lag lies in the ITU window. *Met*: p, b, m at which the lips touch within a frame.",
        "*Rest*: silent frames with closed lips. *Control*: every mouth with the voice of another clip.",
    ]
    return _section("Lips", text, LIPS_HEADS, found, lips_cells)


def lips_cells(part: Any) -> list[str]:
    """The figures of anything with `lips` and `lips_control`, as cells of a table."""
    own, control = part.lips, part.lips_control
    cells = [str(own.clips), own.lag.text(0), own.mae.text(0), own.p95.text(0), percent(own.within)]
    cells += [str(own.closures), percent(own.met), str(own.silent), percent(own.rest)]
    return cells + (
        [control.mae.text(0), percent(control.within), percent(control.met)] if control else ["n/a"] * 3
    )


def _shown(rows: list[Row], report: Report) -> list[str]:
    known = ", ".join(f"{name} {100 * value:.1f} %" for name, value in report.judge.items())
    text = [
        f"Share of clips in which the judge finds what was asked for. It is right on held-out renders in {known}."
    ]
    heads = ["clips", "picture", "with a main colour", "colour", "sound"]
    found = [row for row in rows if row[2].judged]
    return _section("What is shown and heard", text, heads, found, _shown_cells)


def _shown_cells(part: Part) -> list[str]:
    return [
        str(part.judged),
        percent(part.family),
        str(part.colored),
        percent(part.color),
        percent(part.sound),
    ]


def _first(rows: list[Row], report: Report) -> list[str]:
    text = [
        "PSNR in dB of the first frame of clips that were given one; under *codec* what the codec keeps of it."
    ]
    found = [row for row in rows if row[2].first is not None and row[1] != "world"]
    return _section("A given first frame", text, ["clips", "PSNR"], found, _first_cells)


def _first_cells(part: Part) -> list[str]:
    return [str(part.given), part.first.text() if part.first else "n/a"]


def _faults(rows: list[Row], report: Report) -> list[str]:
    names = list(report.total.quality)
    text = [
        "loudness in dBFS; silence, clipping: shares of time; jitter: trembling of the stillest half of the picture, "
        "motion: mean change, both in 8-bit levels per frame."
    ]
    return _section(
        "Faults",
        text,
        ["clips", *names],
        rows,
        lambda part: [str(part.clips), *(f"{part.quality[name].value:.3g}" for name in names)],
    )


def _section(
    title: str, text: list[str], heads: list[str], rows: list[Row], cells: Callable[[Part], list[str]]
) -> list[str]:
    if not rows:
        return []
    body = [[name, source, *cells(part)] for name, source, part in rows]
    return [f"## {title}", "", *text, "", *table(["", "", *heads], body, 2), ""]


def table(heads: list[str], body: list[list[str]], words: int = 1) -> list[str]:
    """The lines of a Markdown table; its first `words` columns are words, the others numbers."""
    rule = ["---"] * words + ["--:"] * (len(heads) - words)
    return [f"| {' | '.join(row)} |" for row in (heads, rule, *body)]


def percent(figure: Figure | None) -> str:
    """A share in per cent with its interval, as in "97 % [94, 99]", or "n/a"."""
    if figure is None or math.isnan(figure.value):
        return "n/a"
    return f"{100 * figure.value:.0f} % [{100 * figure.low:.0f}, {100 * figure.high:.0f}]"


def _plain(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value
