"""Weather, water, night and fire: scenes whose sound goes on throughout, and follows what is seen."""

from happyhorse.world.crickets import make_crickets
from happyhorse.world.fire import make_fire
from happyhorse.world.rain import make_rain
from happyhorse.world.sea import make_sea
from happyhorse.world.thunder import make_thunder
from happyhorse.world.wind import make_wind

__all__ = ["make_crickets", "make_fire", "make_rain", "make_sea", "make_thunder", "make_wind"]
