"""The named colours of the procedural world, and the little arithmetic that pictures need.

Colours are RGB triples in 0..1. A colour word in a caption always means exactly the triple of that name
here, before shading and light; the names in COLORS are the ones captions may use for objects, the others are
materials and parts of landscapes.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np

Color = str | Sequence[float] | np.ndarray

COLORS: Mapping[str, tuple[float, float, float]] = {
    "red": (0.86, 0.16, 0.17),
    "orange": (0.95, 0.52, 0.12),
    "yellow": (0.97, 0.82, 0.20),
    "green": (0.22, 0.66, 0.30),
    "blue": (0.17, 0.40, 0.83),
    "purple": (0.53, 0.26, 0.70),
    "pink": (0.96, 0.55, 0.70),
    "white": (0.96, 0.96, 0.94),
    "black": (0.11, 0.11, 0.13),
    "brown": (0.48, 0.29, 0.16),
    "gray": (0.55, 0.56, 0.58),
}

PALETTE: Mapping[str, tuple[float, float, float]] = {
    **COLORS,
    "wood": (0.72, 0.50, 0.30),
    "dark wood": (0.46, 0.29, 0.17),
    "stone": (0.60, 0.59, 0.57),
    "metal": (0.66, 0.70, 0.75),
    "grass": (0.42, 0.66, 0.28),
    "sand": (0.90, 0.78, 0.55),
    "snow": (0.94, 0.96, 0.99),
    "water": (0.25, 0.52, 0.70),
    "earth": (0.50, 0.36, 0.24),
    "leaf": (0.27, 0.52, 0.24),
    "pine": (0.13, 0.34, 0.25),
    "gold": (0.90, 0.70, 0.25),
    "cream": (0.98, 0.94, 0.84),
    "sky": (0.45, 0.70, 0.93),
    "haze": (0.86, 0.93, 0.97),
    "overcast": (0.66, 0.71, 0.77),
    "sunset": (0.98, 0.62, 0.36),
    "dusk": (0.38, 0.26, 0.48),
    "night": (0.07, 0.09, 0.20),
    "moon": (0.97, 0.95, 0.82),
    "sun": (1.00, 0.90, 0.55),
    "cloud": (0.98, 0.98, 1.00),
    "flame": (1.00, 0.60, 0.15),
    "ember": (0.90, 0.25, 0.08),
}


@lru_cache(maxsize=512)
def _named(name: str) -> np.ndarray:
    if name not in PALETTE:
        raise ValueError(
            f"no colour called {name!r}; take one of {', '.join(PALETTE)}, or an RGB triple in 0..1"
        )
    color = np.asarray(PALETTE[name], np.float32)
    color.flags.writeable = False
    return color


def rgb(color: Color) -> np.ndarray:
    """float32 [3] of a name in PALETTE or of a triple; raises ValueError for an unknown name."""
    return _named(color) if isinstance(color, str) else np.asarray(color, np.float32)


def mix(a: Color, b: Color, amount: float) -> np.ndarray:
    """float32 [3]: a at amount 0, b at amount 1, straight between them in RGB."""
    first = rgb(a)
    return first + (rgb(b) - first) * np.float32(amount)


def lighter(color: Color, amount: float = 0.25) -> np.ndarray:
    """float32 [3]: the colour, moved towards white by `amount` in 0..1."""
    return mix(color, (1.0, 1.0, 1.0), amount)


def darker(color: Color, amount: float = 0.25) -> np.ndarray:
    """float32 [3]: the colour, moved by `amount` in 0..1 towards a bluish black, as shadows are."""
    return mix(color, (0.03, 0.03, 0.08), amount)
