"""happyhorse: a prompt goes in, a video with sound that belongs to it comes out.

    import happyhorse
    clip = happyhorse.generate("a red ball bounces on a wooden floor")
    clip.save("ball.mp4")

Importing this module costs no torch; `load` and `generate` bring it when they are first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from happyhorse.generate.load import load as load
    from happyhorse.generate.pipeline import generate as generate
    from happyhorse.values import Clip as Clip
    from happyhorse.values import Request as Request

__version__ = "0.1.0"
__all__ = ["Clip", "Request", "__version__", "generate", "load"]

_HOMES = {"Clip": "happyhorse.values", "Request": "happyhorse.values", "load": "happyhorse.generate.load"}


def __getattr__(name: str) -> Any:
    if name == "generate":  # a package that can be called: see there
        return import_module("happyhorse.generate")
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'happyhorse' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
