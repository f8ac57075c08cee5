"""What a scene asks for that a measurement relies on, and prompts that say it."""

from __future__ import annotations

import re
from collections.abc import Mapping

from happyhorse.world.scene import Scene

MAIN: Mapping[str, str] = {
    "balls": "color",
    "horse": "color",
    "piano": "color",
    "clock": "color",
    "drum": "color",
    "tap": "color",
    "hammer": "handle",
    "face": "background",
    "xylophone": "background",
}
"""The attribute that holds the main colour of a family's scenes."""

SOUGHT: Mapping[str, tuple[str, ...]] = {
    "balls": ("color", "color2"),
    "piano": ("light",),
    "clock": ("hand",),
}
"""Colours by which `motion` finds the events of a family, so a prompt has to name them."""


def sounds_like(family: str) -> str:
    """The family whose name stands for the sound of this one: one voice or two are both speech."""
    return "face" if family == "dialogue" else family


def main_color(scene: Scene) -> str | None:
    """The colour word a judge can look for; None for scenes that have no main colour, or two of them."""
    if "color2" in scene.attributes:
        return None
    color = scene.attributes.get(MAIN.get(scene.family, ""))
    return None if color is None else str(color)


def prompt(scene: Scene, heldout: bool = False) -> str | None:
    """A caption of the scene that names every colour the measurements rely on, None where no caption does.

    Captions used in training unless `heldout`, whose wordings are kept out of training.
    """
    wanted = {str(scene.attributes[key]) for key in SOUGHT.get(scene.family, ()) if key in scene.attributes}
    color = main_color(scene)
    if color is not None:
        wanted.add(color)
    for line in scene.heldout if heldout else scene.captions:
        if wanted <= set(re.findall(r"\w+", line.lower())):
            return line
    return None
