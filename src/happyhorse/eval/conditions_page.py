"""The page about conditions, `docs/conditioning.md`: what is kept of what was given, with an example of each."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from happyhorse import media
from happyhorse.eval import strip
from happyhorse.eval.conditions import Given, place_of
from happyhorse.eval.intervals import Figure
from happyhorse.eval.report import percent, table
from happyhorse.eval.run import Plan

INTRO = """# What is given is kept

<!-- Written by `happyhorse eval conditions --page`; edit src/happyhorse/eval/conditions_page.py instead. -->

A clip can be made from pictures, a sound or another clip ([how to](how-to/condition.md)). Here each of these
ways is tried on held-out scenes: the pictures, sounds and clips are the world's own renders, the prompt is the
scene's, and what comes out is measured."""
MEANINGS = """- *Kept*: PSNR in dB of the frames that were given, against the pictures; *codec*: what the codec
  alone makes of them, which is the most there can be.
- *Untouched*: share of the given frames, or samples, that come out equal to the bit (before the file is
  compressed).
- *Seam*: change of the picture where made and given parts meet (the larger, where there are two), over the largest of
  the changes within two latent frames of it; up to 1 it does not stand out. *Click*: largest step of the sound
  there, over the largest within a tenth of a second; below 1 it does not stand out.
- *Offset*: between events seen and heard, in ms, + is sound late; *in time*: share of the events seen that have a
  sound within the window of ITU-R BT.1359.
- *Word followed*: one colour word of the prompt is exchanged, with the same seed; the judge finds the new colour,
  and still the same family.
- *Followed*: pictures of the subject show its colour, which the prompt leaves out, and the judge finds it; an
  edit, worded as none of the training: what should change is nearer to the render of what was asked for than to what it
  was, or the judge hears the sound that was asked for. What an edit should not change is measured under *kept*.
  Both only where a model has learnt them."""
COLUMNS = {
    "kept": 1,
    "codec": 1,
    "untouched": 0,
    "seam": 2,
    "click": 2,
    "offset": 0,
    "in time": 0,
    "word followed": 0,
    "followed": 0,
}
"""What is measured, and the digits to show; shares, of which there are some, are shown in per cent."""
SHARES = ("untouched", "in time", "word followed", "followed")


def markdown(figures: Mapping[str, Mapping[str, Figure]], what: str) -> str:
    """The table of `figures` by condition and name; `what` says which model with which settings, in a sentence."""
    body = [
        [name, f"{found['clips'].value:.0f}", *(_cell(key, found.get(key)) for key in COLUMNS)]
        for name, found in figures.items()
    ]
    return "\n".join(
        [
            INTRO,
            "",
            f"{what} Brackets: 95 % intervals over clips.",
            "",
            *table(["", "clips", *COLUMNS], body),
            "",
            MEANINGS,
        ]
    )


def write(
    figures: Mapping[str, Mapping[str, Figure]],
    what: str,
    plan: Plan,
    examples: Mapping[str, Given],
    page: Path,
) -> Path:
    """Write `page` with an example of each condition in `assets/conditioning` beside it; returns its path.

    `examples` are the scenes of clips by the name of their files. Raises OSError where the page cannot be written.
    """
    assets = page.parent / "assets" / "conditioning"
    assets.mkdir(parents=True, exist_ok=True)
    for old in assets.glob("*.webp"):
        old.unlink()
    lines = [
        markdown(figures, what),
        "",
        "## An example of each",
        "",
        "Above the render, below what was made.",
        "",
    ]
    for name in figures:
        folder = place_of(plan, name)
        stem = next((stem for stem in examples if (folder / f"{stem}.mp4").is_file()), None)
        if stem is None:
            continue
        prompt = (folder / f"{stem}.txt").read_text(encoding="utf-8").strip()
        rows = [
            strip.row(video) for video in (examples[stem].video, media.read(folder / f"{stem}.mp4").video)
        ]
        Image.fromarray(np.concatenate(rows)).save(assets / f"{folder.name}.webp", quality=80)
        lines += [f"**{name}**: {prompt}", "", f"![{name}](assets/conditioning/{folder.name}.webp)", ""]
    page.write_text("\n".join(lines), encoding="utf-8")
    return page


def _cell(key: str, figure: Figure | None) -> str:
    if figure is None:
        return ""
    return percent(figure) if key in SHARES else figure.text(COLUMNS[key])
