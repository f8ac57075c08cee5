"""Pictures of a report: histograms of offsets, and shares with their intervals."""

from collections.abc import Mapping

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from happyhorse.eval.clips import Part, Report
from happyhorse.eval.intervals import Figure
from happyhorse.eval.sync import ITU, WINDOW

BIN = 20.0  # ms, of the histogram
BLUE, GRAY, LIGHT = (70, 120, 200), (120, 120, 120), (90, 90, 90)
WINDOW_COLOR = (236, 244, 236)
LEFT = 90  # px, of the names


def offsets(report: Report, width: int = 640, row: int = 120) -> Image.Image:
    """Histograms of offsets, one row per family with events: measured in blue, the control as a grey line.

    The shaded span is that of ITU-R BT.1359. Size in pixels: `width` by `row` for each family.
    """
    parts = [(n, p) for n, p in _rows(report) if p.offsets or p.control_offsets]
    image, draw, font = _canvas(width, max(1, len(parts)) * row + 24)
    span = 1000 * WINDOW
    edges = np.arange(-span, span + BIN / 2, BIN)

    def x(ms: float) -> float:
        return LEFT + (width - LEFT - 20) * (ms + span) / (2 * span)

    for index, (name, part) in enumerate(parts):
        base = (index + 1) * row - 8
        draw.rectangle((x(ITU[0]), base - row + 24, x(ITU[1]), base), fill=WINDOW_COLOR)
        shares, control = _histogram(part.offsets, edges), _histogram(part.control_offsets, edges)
        scale = (row - 36) / max(shares.max(), control.max(), 1e-9)
        for low, value in zip(edges[:-1], shares, strict=True):
            if value > 0:
                draw.rectangle((x(low) + 1, base - scale * value, x(low + BIN) - 1, base), fill=BLUE)
        line = [
            (x(edge), base - scale * value)
            for low, value in zip(edges[:-1], control, strict=True)
            for edge in (low, low + BIN)
        ]
        draw.line(line, fill=GRAY, width=2)
        draw.line((x(-span), base, x(span), base), fill="black")
        draw.text((8, base - row // 2), name, fill="black", font=font)
        draw.text((8, base - row // 2 + 16), f"n = {len(part.offsets)}", fill=LIGHT, font=font)
    for ms in (-200, -100, 0, 100, 200):
        draw.text((x(ms), len(parts) * row + 2), f"{ms:+.0f} ms", fill="black", font=font, anchor="mt")
        draw.line((x(ms), len(parts) * row - 8, x(ms), len(parts) * row - 3), fill="black")
    return image


def shares(reports: Mapping[str, Report], width: int = 640, row: int = 18) -> Image.Image:
    """What the judge finds, by family and source: a dot for each share and a line for its 95 % interval.

    Picture, main colour and sound stand side by side. Size in pixels: `width` by `row` for each line.
    """
    lines = [
        (f"{name}, {source}", part)
        for name in _names(reports)
        for source, report in reports.items()
        if (part := dict(_rows(report)).get(name)) and part.judged
    ]
    image, draw, font = _canvas(width, (len(lines) + 2) * row)
    left, columns = 2 * LEFT, ("family", "color", "sound")
    wide = (width - left) / len(columns)
    for column, title in enumerate(("picture", "colour", "sound")):
        draw.text((left + (column + 0.5) * wide, 2), title, fill="black", font=font, anchor="mt")

        def x(share: float, start: float = left + column * wide) -> float:
            return start + 10 + (wide - 20) * share

        for share in (0.0, 0.5, 1.0):
            draw.line((x(share), row, x(share), (len(lines) + 1) * row), fill=(220, 220, 220))
            draw.text(
                (x(share), (len(lines) + 1) * row), f"{100 * share:.0f} %", fill=LIGHT, font=font, anchor="mt"
            )
        for index, (_, part) in enumerate(lines):
            figure: Figure | None = getattr(part, columns[column])
            if figure is not None:
                y = (index + 1.5) * row
                draw.line((x(figure.low), y, x(figure.high), y), fill=GRAY, width=2)
                draw.ellipse((x(figure.value) - 3, y - 3, x(figure.value) + 3, y + 3), fill=BLUE)
    for index, (name, _) in enumerate(lines):
        draw.text((8, (index + 1.5) * row), name, fill="black", font=font, anchor="lm")
    return image


def _rows(report: Report) -> list[tuple[str, Part]]:
    return [("all", report.total), *report.families.items()]


def _names(reports: Mapping[str, Report]) -> list[str]:
    return list(dict.fromkeys(name for report in reports.values() for name, _ in _rows(report)))


def _canvas(width: int, height: int) -> tuple[Image.Image, ImageDraw.ImageDraw, ImageFont.FreeTypeFont]:
    image = Image.new("RGB", (width, height), "white")
    return image, ImageDraw.Draw(image), ImageFont.load_default(12)  # type: ignore[return-value]


def _histogram(offsets: tuple[float, ...], edges: np.ndarray) -> np.ndarray:
    counts = np.histogram(offsets, edges)[0]
    return counts / max(counts.sum(), 1)
