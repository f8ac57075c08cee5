"""The page about speech, `docs/speech.md`, and its pictures: tables by language, and clips to look at."""

from collections.abc import Mapping
from pathlib import Path

from happyhorse.eval.report import LIPS_HEADS, SOURCES, lips_cells, percent, table
from happyhorse.eval.speech import SHOWN, Part, SpeechReport
from happyhorse.eval.spoken import LANGUAGES
from happyhorse.world import speech

INTRO = """# Speech

<!-- Written by `happyhorse eval speech --page`; edit src/happyhorse/eval/speech_page.py instead. -->

Talking faces that say held-out sentences: is the line that was asked for the line that is heard, and do the lips say
it? Each clip is heard by the project's own recogniser of phonemes, which was trained on the voices of espeak-ng and
judges speech of that kind; its own error on held-out voices and sentences stands in the last column. What is measured,
and how, is told in [Measure clips](how-to/measure.md)."""
SAID = """*Phoneme error*: edits between the phonemes asked for and heard, as a share of those asked for. *Language
heard*: clips in which the recogniser hears the language that was asked for. *Line picked out*: share of the
English lines that pocketsphinx, a recogniser made by others, picks out of all English lines of this table."""
LIPS = """Lag in ms between the opening of the mouth, from pixels, and what the phonemes ask for where they are heard;
+ means sound late. *In window*: clips whose lag lies between -45 and +125 ms (ITU-R BT.1359). *Met*: p, b and m at
which the lips touch within one frame. *Rest*: silent frames with closed lips. *Control*: every mouth with the
voice of another clip."""
CLIPS = """Six frames, the spectrogram of the voice, and the mouth: red as it opens in the picture, grey as the phonemes
ask for; shaded where the lips should touch for p, b or m."""


def markdown(reports: Mapping[str, SpeechReport], what: str) -> str:
    """The tables of `reports` by source; `what` says which model with which settings, in a sentence."""
    meanings = "; ".join(f"*{source}*: {SOURCES[source]}" for source in reports)
    rows = [
        (name, source, part)
        for name in ("all", *LANGUAGES)
        for source, report in reports.items()
        if (part := report.total if name == "all" else report.languages.get(name)) is not None
    ]
    report = next(iter(reports.values()))
    lines = [INTRO, "", f"{what} {meanings}. Brackets: 95 % intervals over clips.", ""]
    heads = [
        "",
        "",
        "clips",
        "phonemes",
        "phoneme error",
        "language heard",
        "line picked out",
        "recogniser's own error",
    ]
    body = [[_name(name), source, *_said(part), _own(report, name)] for name, source, part in rows]
    lines += ["## What is said", "", SAID, "", *table(heads, body, 2), ""]
    body = [[_name(name), source, *lips_cells(part)] for name, source, part in rows]
    return "\n".join([*lines, "## What the lips do", "", LIPS, "", *table(["", "", *LIPS_HEADS], body, 2)])


def write(reports: Mapping[str, SpeechReport], what: str, pictures: Path, page: Path) -> Path:
    """Write `page` with the tables and the pictures that lie in the folder `pictures`, which are copied to
    `assets/speech` beside it; returns its path. Raises OSError where it cannot be written.
    """
    assets = page.parent / "assets" / "speech"
    assets.mkdir(parents=True, exist_ok=True)
    for old in assets.glob("*.webp"):
        old.unlink()
    lines = [markdown(reports, what), "", "## Clips", "", CLIPS, ""]
    for language in LANGUAGES:
        for picture in sorted(pictures.glob(f"*-{language}.webp"))[:SHOWN]:
            (assets / picture.name).write_bytes(picture.read_bytes())
            words = (pictures / "clips" / f"{picture.stem}.txt").read_text(encoding="utf-8").strip()
            lines += [
                f"**{_name(language)}**: {words}",
                "",
                f"![{picture.stem}](assets/speech/{picture.name})",
                "",
            ]
    page.write_text("\n".join(lines), encoding="utf-8")
    return page


def _name(language: str) -> str:
    return speech.LANGUAGES.get(language, language)


def _said(part: Part) -> list[str]:
    known = f"{percent(part.known)}" if part.known else ""
    return [str(part.clips), str(part.phonemes), percent(part.error), percent(part.language), known]


def _own(report: SpeechReport, name: str) -> str:
    value = report.recogniser.get("error" if name == "all" else f"error_{name}")
    return "n/a" if value is None else f"{100 * value:.1f} %"
