"""Spoken lines of a prompt, placed on the clock of the clip as phonemes."""

from collections.abc import Sequence
from functools import lru_cache

from happyhorse.codec.text import Phone
from happyhorse.generate.language import Line
from happyhorse.world import speech
from happyhorse.world.scene import Phoneme

LEAD = 0.16  # s before the first line, at the least
GAP = 0.2  # s between lines
TAIL = 0.2  # s after the last line, at the least
EARLY = 0.35  # share of the time to spare that goes before the first line
FASTEST = 1.35  # how much faster than usual lines may be spoken to fit


def seconds_for(lines: Sequence[Line]) -> float:
    """Seconds that `lines` take at their usual speed, with the silence around them; 0 for no lines.

    Raises ValueError when espeak-ng is not installed, or for a line without sound.
    """
    return sum(map(_length, lines)) + _silence(lines)


def place(lines: Sequence[Line], begin: float, end: float, ask: str = "--seconds {:.1f}") -> list[Phone]:
    """Phonemes of `lines`, one after the other, with start and end in s, all between `begin` and `end` s.

    They have the rhythm in which espeak-ng speaks them, as in training, or a faster one (down to their length over
    FASTEST) where the clip needs it. Raises ValueError when the lines do not fit (with the seconds that would do, in
    the words of `ask`), when espeak-ng is not installed, or for a line without sound.
    """
    lengths = [_length(line) for line in lines]
    room, needed = end - begin - _silence(lines), sum(lengths)
    if needed > FASTEST * room:
        enough = ask.format(needed / FASTEST + _silence(lines) + 0.05)
        raise ValueError(
            f"the spoken words last {needed:.1f} s, and {needed / FASTEST:.1f} s at the fastest, which does not fit "
            f"into {end - begin:.3g} s; ask for {enough} or say less"
        )
    speed = max(1.0, needed / room) if lines else 1.0
    phones, start = [], begin + LEAD + EARLY * max(0.0, room - needed)
    for number, (line, length) in enumerate(zip(lines, lengths, strict=True)):
        for sound in _sounds(line):
            edges = [start + sample / speech.RATE / speed for sample in (sound.start, sound.end)]
            phones.append(Phone(sound.symbol, edges[0], edges[1], number))
        start += length / speed + GAP
    return phones


def _silence(lines: Sequence[Line]) -> float:
    return LEAD + TAIL + GAP * (len(lines) - 1) if lines else 0.0


def _length(line: Line) -> float:
    return _sounds(line)[-1].end / speech.RATE


@lru_cache(maxsize=256)
def _sounds(line: Line) -> tuple[Phoneme, ...]:
    return speech.synthesise(line.text, line.language).phonemes
