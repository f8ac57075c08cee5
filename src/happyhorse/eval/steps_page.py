"""The page about few steps, `docs/distillation.md`: what each rung of the ladder gave, curves of quality against steps,
clips side by side, and what the same training takes for the 15B.
"""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from happyhorse import media
from happyhorse.eval import strip
from happyhorse.eval.report import table
from happyhorse.eval.steps import place_of
from happyhorse.model.presets import HORSE_15B
from happyhorse.train.memory import distillation

Figures = Mapping[str, Mapping[int, Mapping[str, Any]]]  # by variant and steps

COLOURS = ((70, 120, 200), (150, 150, 150), (200, 80, 60))
GRID, TEXT = (225, 225, 225), (60, 60, 60)
PANEL, HIGH, MARGIN = 320, 200, 40  # px
CURVES = (
    ("family", "picture shows what was asked, %"),
    ("color", "colour that was asked, %"),
    ("sound", "sound that was asked, %"),
    ("within", "events on time, %"),
)
SHEETS = (("teacher, guided", 32), ("teacher, guided", 8), ("teacher, no guidance", 8), ("student", 8))
SHOWN = 6  # prompts

INTRO = """# Few steps without guidance

<!-- Written by `happyhorse eval steps --page`; edit src/happyhorse/eval/steps_page.py instead. -->

The base model samples in 32 steps of two passes each, with the prompt and without it. A *student* does it in 8 steps
of one pass: 8 passes instead of 64. It is the base model with a low-rank adapter of a few megabytes, made by

```bash
happyhorse train distill --recipe recipes/pony.toml
```

in up to three rungs, each of which starts from the best one below and is kept only if it beats it:

0. *Guided*: the student's velocity with the prompt is to be the teacher's guided one.
1. *Trajectory*: solutions of the guided teacher are made once and kept; the student learns to go from each of the
   eight levels to the next in one step, also from where its own last step led it.
2. *Matching*: DMD2 (arXiv 2405.14867) for picture and sound together. A critic, which is another adapter of the same
   network, learns what the student's clips look like; the student is moved from there to the teacher's guided estimate.
   Directions are normalised, and guidance weighted, for each modality.

A rung leaves the moving average of its weights at its best evaluation. A run of the last rung ends when its clips
become more saturated than the teacher's, or vary less than they should. Which weights were released, [the log](log.md)
says where it was not the best of the ladder."""
LADDER = """All figures are of latents of held-out prompts. *Joint distance*: Fréchet distance to real clips of the
same prompts, in random features of sound and picture joined with the words of the prompt; rungs are compared by it.
*Gap*: mean squared distance to what the guided teacher makes of the same noise in all its steps, in units of its
variance. *Spread*: standard deviation over the teacher's. *Variety*: distance between clips of one prompt over the
teacher's."""
CURVE = """Held-out prompts, the same seeds everywhere, at the size at which clips are sampled. What is measured is told
in [Measure clips](how-to/measure.md). Brackets and bars: 95 % intervals. *Seconds*: sampling one clip, without
decoding, measured in the same run."""
LARGE = """The same objectives train the layer structure of the 15B (`tests/train/test_rungs_15b.py`); what a batch is
told there are vectors of its text encoder. Teacher, student and critic are one frozen network with two adapters, so
memory is that of one copy. Per device, in gigabytes, counted on tensors without contents (`train/memory.py`), for one
clip of 4 s at 448x256 a device and adapters of rank 64, with FSDP2 and layers computed again in the backward pass:"""


def write(
    figures: Figures, ladder: Mapping[str, Mapping[str, float]], what: str, folder: Path, page: Path
) -> Path:
    """Write `page` with its pictures in `assets/distillation` beside it; returns its path.

    `ladder` are the figures of the rungs, `what` says which model was measured on what, in a sentence, and `folder` has
    the clips. Raises OSError where the page cannot be written.
    """
    assets = page.parent / "assets" / "distillation"
    assets.mkdir(parents=True, exist_ok=True)
    for old in assets.glob("*.webp"):
        old.unlink()
    curves(figures).save(assets / "curves.webp", lossless=True)
    lines = [INTRO, "", "## The rungs", "", LADDER, "", *_rungs(ladder), ""]
    lines += ["## Quality against steps", "", f"{what} {CURVE}", "", *_table(figures), ""]
    lines += ["![curves](assets/distillation/curves.webp)", "", "## Side by side", ""]
    lines += [", ".join(f"{name}, {steps} steps" for name, steps in SHEETS) + ", from above:", ""]
    for name, prompt, picture in sheets(folder):
        picture.save(assets / f"{name}.webp", quality=80)
        lines += [f"{prompt}", "", f"![{name}](assets/distillation/{name}.webp)", ""]
    lines += ["## The 15B", "", LARGE, "", *_memory(), ""]
    page.write_text("\n".join(lines), encoding="utf-8")
    return page


def markdown(figures: Figures, ladder: Mapping[str, Mapping[str, float]]) -> str:
    """Both tables, for a terminal."""
    return "\n".join([*_rungs(ladder), "", *_table(figures)])


def _rungs(ladder: Mapping[str, Mapping[str, float]]) -> list[str]:
    heads = [
        "",
        "joint distance",
        "distance",
        "gap, video",
        "gap, audio",
        "spread, video",
        "spread, audio",
        "variety",
    ]
    keys = ("fjd", "fd", "gap_video", "gap_audio", "std_video", "std_audio", "diversity")
    body = [
        [name, *(f"{row[key]:.3g}" if key in row else "n/a" for key in keys)] for name, row in ladder.items()
    ]
    return table(heads, body)


def _table(figures: Figures) -> list[str]:
    heads = [
        "",
        "steps",
        "picture",
        "colour",
        "sound",
        "median offset, ms",
        "p95, ms",
        "on time",
        "jitter",
        "seconds",
    ]
    body = []
    for name, by_steps in figures.items():
        for steps, part in by_steps.items():
            sync = part["sync"] or {}
            cells = [_share(part[key]) for key in ("family", "color", "sound")]
            cells += [_value(sync.get(key)) for key in ("median", "p95")] + [_share(sync.get("within"))]
            cells += [f"{part['quality']['jitter']['value']:.2f}", f"{part['seconds']:.2f}"]
            body.append([name, str(steps), *cells])
    return table(heads, body)


def _share(figure: Mapping[str, float | None] | None) -> str:
    if figure is None or figure["value"] is None:
        return "n/a"
    value, low, high = (100 * (figure[key] or 0.0) for key in ("value", "low", "high"))
    return f"{value:.0f} % [{low:.0f}, {high:.0f}]"


def _value(figure: Mapping[str, float | None] | None) -> str:
    if figure is None or figure["value"] is None:
        return "n/a"
    return "{:.0f} [{:.0f}, {:.0f}]".format(*(figure[key] or 0.0 for key in ("value", "low", "high")))


def _memory() -> list[str]:
    heads = ["devices", "weights", "adapters", "gathered", "activations", "together"]
    body = []
    for devices in (1, 2, 4, 8):
        need = distillation(HORSE_15B, 64, 2, (2912, 101, 300), devices)
        parts = (need.weights, need.adapters, need.gathered, need.activations, need.total)
        body.append([str(devices), *(f"{part:.1f}" for part in parts)])
    return table(heads, body, 0)


def curves(figures: Figures) -> Image.Image:
    """Shares against the number of steps, on a logarithmic axis: a panel for each, a line for each variant."""
    image = Image.new("RGB", (2 * PANEL, 2 * HIGH + MARGIN), "white")
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(12)
    steps = sorted({count for by_steps in figures.values() for count in by_steps})
    for number, (key, title) in enumerate(CURVES):
        left, top = PANEL * (number % 2) + MARGIN, HIGH * (number // 2) + 24
        right, bottom = left + PANEL - MARGIN - 16, top + HIGH - 48

        def x(count: int, left: int = left, right: int = right) -> float:
            first, last = math.log2(steps[0]), math.log2(max(steps[-1], 2 * steps[0]))
            return left + (right - left) * (math.log2(count) - first) / (last - first)

        def y(share: float, top: int = top, bottom: int = bottom) -> float:
            return bottom - (bottom - top) * share

        draw.text((left, top - 20), title, fill=TEXT, font=font)
        for share in (0.0, 0.5, 1.0):
            draw.line((left, y(share), right, y(share)), fill=GRID)
            draw.text((left - 6, y(share)), f"{100 * share:.0f}", fill=TEXT, font=font, anchor="rm")
        for count in steps:
            draw.text((x(count), bottom + 4), str(count), fill=TEXT, font=font, anchor="mt")
        for (_, by_steps), colour in zip(figures.items(), COLOURS, strict=False):
            points = []
            for count, part in sorted(by_steps.items()):
                figure = (part["sync"] or {}).get("within") if key == "within" else part[key]
                if figure is None or figure["value"] is None:
                    continue
                points.append((x(count), y(figure["value"])))
                draw.line((x(count), y(figure["low"]), x(count), y(figure["high"])), fill=colour)
            if len(points) > 1:
                draw.line(points, fill=colour, width=2)
            for at in points:
                draw.ellipse((at[0] - 3, at[1] - 3, at[0] + 3, at[1] + 3), fill=colour)
    for number, (name, colour) in enumerate(zip(figures, COLOURS, strict=False)):
        at = MARGIN + number * 200, 2 * HIGH + 12
        draw.rectangle((at[0], at[1], at[0] + 12, at[1] + 12), fill=colour)
        draw.text((at[0] + 18, at[1] - 1), name, fill=TEXT, font=font)
    return image


def sheets(folder: Path) -> list[tuple[str, str, Image.Image]]:
    """Name, prompt and picture of clips that all of `SHEETS` made: frames in a row, variants below each other."""
    places = [folder / place_of(name, steps) / "clips" for name, steps in SHEETS]
    names = [path.stem for path in sorted(places[-1].glob("*.mp4"))]
    common = [name for name in names if all((place / f"{name}.mp4").is_file() for place in places)]
    found = []
    for name in common[:: max(1, len(common) // SHOWN)][:SHOWN]:
        rows = [strip.row(media.read(place / f"{name}.mp4").video) for place in places]
        prompt = (places[-1] / f"{name}.txt").read_text(encoding="utf-8").strip()
        found.append((name, prompt, Image.fromarray(np.concatenate(rows))))
    return found
