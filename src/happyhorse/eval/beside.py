"""Pictures of a subject, and edits: what a model is asked for with a held-out scene, and whether it was done.

An edit is compared with the render of what was asked for, which is right to the pixel. Scenes are those of
`eval.conditions`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from happyhorse.data import edits, references
from happyhorse.data.edits import Edit, Kind
from happyhorse.eval import run
from happyhorse.eval.asks import MAIN, main_color, sounds_like
from happyhorse.eval.clips import PERFECT
from happyhorse.eval.quality import psnr
from happyhorse.world.scene import RATE, render

if TYPE_CHECKING:
    from happyhorse.eval.conditions import Given, Made, Video

KINDS: tuple[Kind, ...] = get_args(Kind)
SHOWN = 2  # pictures of a subject
CHANGED = 8  # levels of 255 by which a pixel of an edited render differs, where it is one that changes
SILENT = 1e-3  # of full scale: root mean square of a sound that is none


def referred(given: Given) -> dict[str, Any] | None:
    """Pictures of the subject elsewhere, and a prompt that does not say its colour."""
    told, key = references.spoken_of(given.scene), MAIN.get(given.scene.family)
    if key not in told or not re.search(rf"\b{told[key]}\b", given.prompt):
        return None
    height, width = given.video.shape[1:3]
    seen = (references.elsewhere(given.scene, number) for number in range(SHOWN))
    pictures = tuple(references.still(scene, width, height, time) for scene, time in seen)
    return {"prompt": references.bare(given.prompt, told), "references": pictures}


def recognised(given: Given, made: Made) -> dict[str, float]:
    """Whether the judge finds the colour that only the pictures told, and the family of the prompt."""
    verdict = run.judge()(made.video, made.audio, RATE)
    right = verdict.color == main_color(given.scene) and verdict.family == given.scene.family
    return {"followed": float(right)}


def _edit(given: Given, kind: Kind) -> Edit | None:
    return edits.edit(given.scene.family, given.scene.seed, given.scene.seconds, kind)


def edited(given: Given, kind: Kind) -> dict[str, Any] | None:
    """The scene's render and an instruction in a wording that no training had; None where nothing can be changed."""
    found = _edit(given, kind)
    return None if found is None else {"prompt": found.heldout[0], "edit": given.clip}


def done(given: Given, made: Made, kind: Kind) -> dict[str, float]:
    """Whether what should change is nearer to the render of what was asked for than to that of before (or, of a sound,
    whether the judge hears it); and PSNR in dB of what should not, of the clip and of what the codec alone makes of it.
    """
    if kind == "sound":
        return _heard(given, made)
    found = _edit(given, kind)
    assert found is not None
    count, height, width = given.video.shape[:3]
    truth = render(found.result, width, height, 25, count)
    moved = np.asarray((np.abs(truth.astype(np.int16) - given.video) >= CHANGED).any(-1))
    near, far = (
        np.abs(made.video[moved].astype(np.int16) - other[moved]).mean() if moved.any() else 0.0
        for other in (truth, given.video)
    )
    return {"followed": float(near < far), **_unmoved(given, made, truth, ~moved)}


def _heard(given: Given, made: Made) -> dict[str, float]:
    """Whether the judge hears what was asked for, or nothing where that was silence; and PSNR of the picture."""
    found = _edit(given, "sound")
    assert found is not None
    loud = float(np.sqrt(np.square(made.audio).mean()))
    if found.to == edits.SILENCE:
        right = loud < SILENT
    else:
        right = run.judge()(made.video, made.audio, RATE).sound == sounds_like(found.to)
    return {
        "followed": float(right),
        **_unmoved(given, made, given.video, np.ones(given.video.shape[:3], bool)),
    }


def _unmoved(given: Given, made: Made, truth: Video, pixels: np.ndarray) -> dict[str, float]:
    """PSNR in dB of the chosen `pixels` [F, H, W] against the render of what was asked for, and of the codec's against
    what it coded.
    """
    pairs = {"kept": (made.video, truth), "codec": (given.coded, given.video)}
    return {
        name: min(psnr(one[pixels], two[pixels]), PERFECT)
        for name, (one, two) in pairs.items()
        if pixels.any()
    }
