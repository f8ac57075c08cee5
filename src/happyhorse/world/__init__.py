"""Procedural audiovisual scenes with exact ground truth, in numpy alone."""

from happyhorse.world.scene import (
    FAMILIES,
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
