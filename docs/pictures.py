"""Make the picture and the figures that README.md shows, from a folder that `happyhorse eval` wrote.

    happyhorse eval --clips 128 -o runs/eval/pony && python docs/pictures.py runs/eval/pony
    python docs/generate.py

Of each family the first clip is shown, whatever it looks like. Writes `docs/assets/pony.png` (one row a clip: six
frames and the spectrogram) and `docs/assets/pony.json` (the report, and the prompts of the rows).
"""

import json
import sys
import unicodedata
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from happyhorse.media import read
from happyhorse.world.preview import spectrogram

ASSETS = Path(__file__).resolve().parent / "assets"
COLUMNS, WIDTH, LABEL = 6, 160, 18


def main(folder: Path) -> None:
    """Read `folder/clips` and `folder/report.json`; write the two files."""
    first: dict[str, tuple[Path, str]] = {}
    # NUMBER-FAMILY.mp4, with the prompt in a text of that name
    for path in sorted((folder / "clips").glob("*.mp4")):
        prompt = path.with_suffix(".txt").read_text(encoding="utf-8").strip()
        first.setdefault(path.stem.split("-", 1)[1], (path, prompt))
    rows = [row(path, prompt) for _, (path, prompt) in sorted(first.items())]
    ASSETS.mkdir(exist_ok=True)
    sheet = Image.fromarray(np.concatenate(rows))
    sheet.quantize(256, dither=Image.Dither.FLOYDSTEINBERG).save(ASSETS / "pony.png", optimize=True)
    report = json.loads((folder / "report.json").read_text(encoding="utf-8"))["model"]
    for part in (report["total"], *report["families"].values()):  # every single offset: the plot has them
        part.pop("offsets", None), part.pop("control_offsets", None)
    report["prompts"] = {family: prompt for family, (_, prompt) in sorted(first.items())}
    text = json.dumps(report, indent=1, ensure_ascii=False) + "\n"
    (ASSETS / "pony.json").write_text(text, encoding="utf-8")


def row(path: Path, prompt: str) -> np.ndarray:
    """A clip as a strip with its prompt, frames and spectrogram: uint8 [LABEL + height, (COLUMNS + 1.5) WIDTH, 3]."""
    clip = read(path)
    height = round(WIDTH * clip.height / clip.width)
    picks = np.linspace(0, len(clip.video) - 1, COLUMNS + 2)[1:-1].round().astype(int)
    frames = [np.asarray(Image.fromarray(frame).resize((WIDTH, height))) for frame in clip.video[picks]]
    heard = spectrogram(clip.audio, WIDTH * 3 // 2, height, clip.rate)
    strip = Image.new("RGB", (WIDTH * COLUMNS + WIDTH * 3 // 2, LABEL), "white")
    # the built-in font has the letters of ASCII only: accents are left out, other letters are dots
    plain = (c for c in unicodedata.normalize("NFKD", prompt) if not unicodedata.combining(c))
    latin = "".join(c if c.isascii() else "·" for c in plain)
    ImageDraw.Draw(strip).text((4, 2), latin, fill="black", font=ImageFont.load_default(12))
    return np.concatenate([np.asarray(strip), np.concatenate([*frames, heard], axis=1)])


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
