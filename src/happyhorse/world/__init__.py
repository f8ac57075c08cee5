"""Procedural audiovisual scenes with exact ground truth, in numpy alone."""

from happyhorse.world.scene import (
    FAMILIES,
    FPS,
    RATE,
    Event,
    Line,
    Phoneme,
    Scene,
    available,
    hear,
    render,
    sample,
)

__all__ = [
    "FAMILIES",
    "FPS",
    "RATE",
    "Event",
    "Line",
    "Phoneme",
    "Scene",
    "available",
    "hear",
    "render",
    "sample",
]
