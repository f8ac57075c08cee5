"""The instruments of the world, each of which plays a named melody: a xylophone and a piano."""

from happyhorse.world.piano import make_piano
from happyhorse.world.xylophone import make_xylophone

__all__ = ["make_piano", "make_xylophone"]
