"""Things at work: a clock that ticks, a hammer that drives a nail, a drum that is beaten, a tap that drips."""

from happyhorse.world.clock import make_clock
from happyhorse.world.drum import make_drum
from happyhorse.world.hammer import make_hammer
from happyhorse.world.tap import make_tap

__all__ = ["make_clock", "make_drum", "make_hammer", "make_tap"]
