"""A report as a person reads it (Markdown), as a machine reads it (JSON), and as a picture (PNG)."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from happyhorse.eval.clips import Part, Report
from happyhorse.eval.intervals import Figure
from happyhorse.eval.sync import ITU, WINDOW

BIN = 20.0  # ms, of the histogram


def write(report: Report, folder: str | Path) -> Path:
    """Writes report.json, report.md and offsets.png into `folder`, which it makes; returns the path of report.md."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.json").write_text(json.dumps(as_dict(report), indent=2) + "\n", encoding="utf-8")
    plot(report).save(folder / "offsets.png")
    page = folder / "report.md"
    page.write_text(markdown(report) + "\n\n![offsets](offsets.png)\n", encoding="utf-8")
    return page


def as_dict(report: Report) -> dict[str, Any]:
    """The report as plain values for JSON; what could not be measured is null."""

    def plain(value: Any) -> Any:
        if isinstance(value, float) and not math.isfinite(value):
            return None
        if isinstance(value, dict):
            return {key: plain(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [plain(item) for item in value]
        return value

    return plain(dataclasses.asdict(report))


def markdown(report: Report) -> str:
    """Tables of sync beside its control, of what the judge finds, and of faults."""
    rows = [("all", report.total), *report.families.items()]
    lines = [f"# {report.total.clips} clips", ""]
    synced = [(name, part) for name, part in rows if part.sync is not None]
    if synced:
        lines += [
            "## Sync",
            "",
            f"Offset = t_audio - t_video in ms, + = sound late; pairs within {1000 * WINDOW:.0f} ms.",
            f"*On time*: seen events that have a sound between {ITU[0]:.0f} and +{ITU[1]:.0f} ms.",
            "*Control*: every picture with the sound of another clip of its family. Brackets: 95 % intervals.",
            "",
            "| | seen | heard | matched | median | mean abs | p95 abs | on time | control mean abs | control on time |",
            "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
            *(_sync_row(name, part) for name, part in synced),
            "",
        ]
    spoken = [(name, part) for name, part in rows[1:] if part.lips is not None]
    if spoken:
        lines += [
            "## Lips",
            "",
            "Lag between the opening of the mouth and the loudness of the voice in ms, + = sound late.",
            "*Near*: clips with at most 80 ms. *Control*: every mouth with the voice of another clip.",
            "",
            "| | clips | median lag | median abs | correlation | near "
            "| control median abs | control correlation | control near |",
            "|---|--:|--:|--:|--:|--:|--:|--:|--:|",
            *(_lips_row(name, part) for name, part in spoken),
            "",
        ]
    if any(part.family is not None for _, part in rows):
        known = ", ".join(f"{name} {100 * value:.1f} %" for name, value in report.judge.items())
        lines += [
            "## What is shown and heard",
            "",
            f"Share of clips in which the judge finds what was asked for. On held-out renders it is right in {known}.",
            "",
            "| | clips | picture | colour | sound |",
            "|---|--:|--:|--:|--:|",
            *(
                f"| {n} | {p.clips} | {_share(p.family)} | {_share(p.color)} | {_share(p.sound)} |"
                for n, p in rows
            ),
            "",
        ]
    names = list(report.total.quality)
    lines += [
        "## Faults",
        "",
        "loudness in dBFS; silence, clipping: shares of time; jitter: trembling of the stillest half of the picture, "
        "motion: mean change, both in 8-bit levels per frame.",
        "",
        "| | clips | " + " | ".join(names) + " |",
        "|---|--:|" + "--:|" * len(names),
        *(
            f"| {n} | {p.clips} | " + " | ".join(f"{p.quality[q].value:.3g}" for q in names) + " |"
            for n, p in rows
        ),
    ]
    return "\n".join(lines)


def plot(report: Report, width: int = 640, row: int = 120) -> Image.Image:
    """Histograms of offsets, one row per family with events: measured in blue, the control as a grey line.

    The shaded span is that of ITU-R BT.1359. Size in pixels: `width` by `row` for each family.
    """
    parts = [
        (n, p) for n, p in [("all", report.total), *report.families.items()] if p.offsets or p.control_offsets
    ]
    image = Image.new("RGB", (width, max(1, len(parts)) * row + 24), "white")
    draw = ImageDraw.Draw(image)
    font = ImageFont.load_default(12)
    span = 1000 * WINDOW
    edges = np.arange(-span, span + BIN / 2, BIN)

    def x(ms: float) -> float:
        return 90 + (width - 110) * (ms + span) / (2 * span)

    for index, (name, part) in enumerate(parts):
        base = (index + 1) * row - 8
        draw.rectangle((x(ITU[0]), base - row + 24, x(ITU[1]), base), fill=(236, 244, 236))
        shares = _histogram(part.offsets, edges)
        control = _histogram(part.control_offsets, edges)
        scale = (row - 36) / max(shares.max(), control.max(), 1e-9)
        for low, value in zip(edges[:-1], shares, strict=True):
            if value > 0:
                draw.rectangle(
                    (x(low) + 1, base - scale * value, x(low + BIN) - 1, base), fill=(70, 120, 200)
                )
        line = [
            (x(edge), base - scale * value)
            for low, value in zip(edges[:-1], control, strict=True)
            for edge in (low, low + BIN)
        ]
        draw.line(line, fill=(120, 120, 120), width=2)
        draw.line((x(-span), base, x(span), base), fill="black")
        draw.text((8, base - row // 2), name, fill="black", font=font)
        draw.text((8, base - row // 2 + 16), f"n = {len(part.offsets)}", fill=(90, 90, 90), font=font)
    for ms in (-200, -100, 0, 100, 200):
        draw.text((x(ms), len(parts) * row + 2), f"{ms:+.0f} ms", fill="black", font=font, anchor="mt")
        draw.line((x(ms), len(parts) * row - 8, x(ms), len(parts) * row - 3), fill="black")
    return image


def _histogram(offsets: tuple[float, ...], edges: np.ndarray) -> np.ndarray:
    counts = np.histogram(offsets, edges)[0]
    return counts / max(counts.sum(), 1)


def _sync_row(name: str, part: Part) -> str:
    measured, control = part.sync, part.control
    assert measured is not None
    cells = [name, str(measured.seen), str(measured.heard), str(measured.matched), measured.median.text()]
    cells += [measured.mae.text(), measured.p95.text(), _share(measured.within)]
    cells += [control.mae.text(), _share(control.within)] if control else ["n/a"] * 2
    return _row(cells)


def _lips_row(name: str, part: Part) -> str:
    own, control = part.lips, part.lips_control
    assert own is not None
    cells = [name, str(own.clips), own.lag.text(), own.distance.text(), own.aligned.text(2), _share(own.near)]
    cells += (
        [control.distance.text(), control.aligned.text(2), _share(control.near)] if control else ["n/a"] * 3
    )
    return _row(cells)


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _share(figure: Figure | None) -> str:
    if figure is None or math.isnan(figure.value):
        return "n/a"
    return f"{100 * figure.value:.0f} % [{100 * figure.low:.0f}, {100 * figure.high:.0f}]"
