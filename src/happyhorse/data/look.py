"""Scenes to look at and listen to: one labelled sheet, and each scene as a file that plays."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from happyhorse import media, world
from happyhorse.files import write_atomic
from happyhorse.values import PONY, Clip
from happyhorse.world.preview import contact_sheet


def preview(
    folder: Path,
    seeds: Iterable[int],
    families: Sequence[str] | None = None,
    report: Callable[[str, int, int], None] = lambda stage, done, total: None,
) -> Path:
    """Write `sheet.png` (a row of frames, a spectrogram and the caption of each scene) and SEED-FAMILY.mp4 of each.

    `families`: names to choose scenes from (None: all that can be rendered here); `report(stage, done, total)` counts
    scenes. Returns the path of the sheet. Raises ValueError for an unknown family, OSError where the folder cannot be
    written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    scenes = [world.sample(seed, PONY.seconds, families or None) for seed in seeds]
    for done, scene in enumerate(scenes):
        report("scenes", done, len(scenes))
        clip = Clip(video=world.render(scene, PONY.width, PONY.height), audio=world.hear(scene))
        media.write(clip, folder / f"{scene.seed}-{scene.family}.mp4")
    sheet = folder / "sheet.png"
    picture = Image.fromarray(contact_sheet(scenes, label=_label))
    write_atomic(sheet, lambda hidden: picture.save(hidden, "PNG"))
    report("scenes", len(scenes), len(scenes))
    return sheet


def _label(strip: np.ndarray, caption: str) -> None:
    """Write a caption on a white strip [14, width, 3], in place."""
    image = Image.fromarray(strip)
    ImageDraw.Draw(image).text(
        (3, 1), caption.encode("latin-1", "replace").decode("latin-1"), fill=(30, 30, 30)
    )
    strip[:] = np.asarray(image)
