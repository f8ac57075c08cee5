"""A training run as one page that needs nothing else: curves, newest clips with their sound, settings and facts.

It is made from what a run leaves in its folder: `log.jsonl` (a line of values a log point), `run.json` (settings and
facts) and `preview/` (sheets and clips by step). It can be made at any time, also while the run goes on.
"""

import base64
import html
import json
import math
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from happyhorse import checkpoint
from happyhorse.train.chart import COLOURS, Curve, chart, number
from happyhorse.train.loop import read_log

# Curves that share a chart, by the pattern of their names; every other curve has a chart of its own.
GROUPS = (
    ("Loss", r"loss|video|audio"),
    ("Held-out error", r"\w+_heldout"),
    ("Video, by quarter of the noise level", r"video_q[1-4]"),
    ("Audio, by quarter of the noise level", r"audio_q[1-4]"),
    ("Held-out reconstruction, PSNR in dB", r"psnr|psnr_worst(_family)?"),
    ("Held-out PSNR by family, in dB", r"psnr_(?!crop)\w+"),
    ("Spectral errors", r"mel|heard|stft"),
)
NAMES = {
    "grad_norm": "Gradient norm",
    "lr_factor": "Learning rate, relative",
    "clips_per_second": "Clips per second",
    "psnr_crop": "PSNR of training crops, in dB",
    "latent_rms": "Root mean square of latents",
}
SHEETS = 2  # newest sheets that are shown


def write(folder: str | Path) -> Path:
    """Write `report.html` of the run in `folder`, and return its path.

    Raises ValueError where there is no log of a run, or none of its lines is whole.
    """
    folder = Path(folder)
    lines = read_log(folder / "log.jsonl")
    if not lines:
        raise ValueError(
            f"no training run in {folder}: it has no log.jsonl with a line; name the folder of a run"
        )
    path = folder / "report.html"
    text = _page(folder, lines)
    checkpoint.write_atomic(path, lambda temporary: Path(temporary).write_text(text, encoding="utf-8"))
    return path


def runs(folder: str | Path) -> list[Path]:
    """The folders of runs in `folder`, itself included, by name. Raises ValueError if there is none."""
    found = sorted(path.parent for path in Path(folder).rglob("log.jsonl"))
    if not found:
        raise ValueError(
            f"no training run in {folder}; name a folder that happyhorse train wrote, such as runs/nano"
        )
    return found


def curves(lines: Iterable[dict[str, Any]]) -> dict[str, tuple[list[int], list[float]]]:
    """Steps and values of everything that was logged, by name; values that are not finite are left out."""
    found: dict[str, tuple[list[int], list[float]]] = {}
    for line in lines:
        for name, value in line.items():
            if name not in ("step", "seconds") and math.isfinite(value):
                steps, values = found.setdefault(name, ([], []))
                steps.append(line["step"])
                values.append(value)
    return found


def seconds_spent(lines: Iterable[dict[str, Any]]) -> float:
    """Seconds of training over all sittings: the clock of the log starts anew when a run is resumed."""
    total = last = 0.0
    for line in lines:
        now = line.get("seconds", last)
        total += now - last if now >= last else now
        last = now
    return total


def _page(folder: Path, lines: list[dict[str, Any]]) -> str:
    place = folder.resolve()
    title = html.escape(f"{place.parent.name} / {place.name}")
    facts = _facts(folder)
    here = Path(__file__).parent
    style, script = ((here / name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}</title><style>{style}</style></head><body>"
        f"<h1>{title}</h1>{_summary(lines, facts)}"
        '<h2>Curves <label><input type="checkbox" id="log-steps"> logarithm of steps</label></h2>'
        f'<div class="cards">{_charts(lines)}</div>'
        f"{_previews(folder / 'preview')}{_settings(facts)}<script>{script}</script></body></html>\n"
    )


def _facts(folder: Path) -> dict[str, Any]:
    """What the run says about itself; nothing for a run that was made by hand."""
    path = folder / "run.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def _summary(lines: list[dict[str, Any]], facts: dict[str, Any]) -> str:
    """The few figures that one looks for first."""
    last, minutes = lines[-1], seconds_spent(lines) / 60
    rows = {"step": f"{last['step']}" + (f" of {facts['steps']}" if "steps" in facts else "")}
    rows["time"] = f"{minutes / 60:.1f} h" if minutes >= 90 else f"{minutes:.1f} min"
    if "parameters" in facts:
        rows["parameters"] = f"{facts['parameters'] / 1e6:.2f} M"
    newest = {name: values[-1] for name, (_, values) in curves(lines).items()}
    wanted = [name for name in newest if name.endswith("_heldout") or name in ("psnr", "psnr_worst_family")]
    for name in ["loss", *wanted, "clips_per_second"]:
        if name in newest:
            rows[name.replace("_", " ")] = number(newest[name])
    items = [
        f"<div><dt>{html.escape(key)}</dt><dd>{html.escape(value)}</dd></div>" for key, value in rows.items()
    ]
    return f"<dl>{''.join(items)}</dl>"


def _charts(lines: list[dict[str, Any]]) -> str:
    """Charts of the groups in their order, then of what belongs to none."""
    left, drawn = curves(lines), []
    for title, pattern in GROUPS:
        names = [name for name in left if re.fullmatch(pattern, name)]
        if names:
            drawn.append(chart(title, _styled(names, left)))
            left = {name: curve for name, curve in left.items() if name not in names}
    drawn += [chart(NAMES.get(name, name.replace("_", " ")), _styled([name], left)) for name in left]
    return "".join(drawn)


def _styled(names: list[str], found: dict[str, tuple[list[int], list[float]]]) -> list[Curve]:
    """Curves with their colours: a modality has its own, noise levels go from pale to strong."""
    drawn = []
    quarters = all(re.search(r"_q[1-4]$", name) for name in names)
    for i, name in enumerate(sorted(names) if quarters else sorted(names, key=lambda name: name != "loss")):
        quarter, modality = re.fullmatch(r"\w+_(q[1-4])", name), re.match(r"video|audio", name)
        style = f"c{i}" if len(names) <= COLOURS else "more"
        if modality:
            style = {"video": "c1", "audio": "c2"}[modality[0]]
        drawn.append(
            Curve(name, tuple(found[name][0]), tuple(found[name][1]), quarter[1] if quarter else style)
        )
    return drawn


def _previews(folder: Path) -> str:
    """The clips of the newest preview, playable, and its sheet; the sheet before it folded away."""
    sheets = sorted(folder.glob("[0-9]*.png"), key=lambda path: int(re.match(r"\d+", path.name)[0]))  # type: ignore[index]
    if not sheets:
        return ""
    newest = sheets[-1].stem
    file = folder / "captions.json"
    captions = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    clips = []
    for path in sorted(folder.glob(f"{newest}-*.mp4")):
        caption = html.escape(captions.get(path.stem.removeprefix(f"{newest}-"), path.stem))
        player = f'<video controls loop playsinline preload="metadata" src="{_embedded(path, "video/mp4")}"></video>'
        clips.append(f"<figure>{player}<figcaption>{caption}</figcaption></figure>")
    parts = [f"<h2>Preview at step {int(newest)}</h2>"]
    parts += [f'<div class="clips">{"".join(clips)}</div>'] if clips else []
    for i, sheet in enumerate(reversed(sheets[-SHEETS:])):
        state = " open" if i == 0 and not clips else ""
        picture = f'<img alt="preview at step {int(sheet.stem)}" src="{_embedded(sheet, "image/png")}">'
        parts.append(f"<details{state}><summary>Sheet of step {int(sheet.stem)}</summary>{picture}</details>")
    return "".join(parts)


def _embedded(path: Path, kind: str) -> str:
    """The file as a data address."""
    return f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"


def _settings(facts: dict[str, Any]) -> str:
    """Every setting and fact, with its dotted name."""
    rows = "".join(
        f"<tr><td>{html.escape(name)}</td><td>{html.escape(text)}</td></tr>" for name, text in _flat(facts)
    )
    return f"<h2>Settings and facts</h2><table>{rows}</table>" if rows else ""


def _flat(values: dict[str, Any], prefix: str = "") -> Iterable[tuple[str, str]]:
    for key, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
