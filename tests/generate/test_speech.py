"""Spoken lines on the clock of a clip."""

from itertools import pairwise

import pytest

from happyhorse.generate import speech
from happyhorse.generate.language import Line
from happyhorse.world import espeak

needs_espeak = pytest.mark.skipif(not espeak.available(), reason="espeakng-loader is not installed")
LINES = (Line("hello", "en"), Line("good morning", "en"))


@needs_espeak
def test_lines_follow_each_other_and_are_hurried_only_as_far_as_needed():
    free = speech.place(LINES, 0, 10)
    assert {p.line for p in free} == {0, 1} and [p.line for p in free] == sorted(p.line for p in free)
    gap = next(b.start - a.end for a, b in pairwise(free) if a.line != b.line)
    assert gap == pytest.approx(speech.GAP)
    spoken = free[-1].end - free[0].start - gap
    spare = 10 - speech.LEAD - speech.TAIL - speech.GAP - spoken
    assert free[0].start == pytest.approx(speech.LEAD + speech.EARLY * spare, abs=0.02)
    tight = speech.LEAD + speech.TAIL + speech.GAP + spoken / 1.2
    hurried = speech.place(LINES, 0, tight)
    assert hurried[-1].end == pytest.approx(tight - speech.TAIL, abs=1e-6)
    assert hurried[0].start == pytest.approx(speech.LEAD, abs=0.02)
    with pytest.raises(ValueError, match=r"does not fit.*ask for --seconds") as refusal:
        speech.place(LINES, 0, spoken / 1.5)
    enough = float(str(refusal.value).partition("--seconds ")[2].split()[0])
    assert speech.place(LINES, 0, enough)


@needs_espeak
def test_seconds_for_lines_are_just_enough_at_their_usual_speed():
    needed = speech.seconds_for(LINES)
    usual, exact, tight = (speech.place(LINES, 0, needed + more) for more in (5, 1e-6, -0.2))
    lengths = [phones[-1].end - phones[0].start for phones in (usual, exact, tight)]
    assert lengths[0] == pytest.approx(lengths[1]) and lengths[2] < lengths[1] - 0.15
    assert speech.seconds_for(()) == 0


@needs_espeak
def test_lines_can_begin_later():
    early, late = speech.place(LINES, 0, 3), speech.place(LINES, 2, 5)
    assert all(b.start - a.start == pytest.approx(2) for a, b in zip(early, late, strict=True))


def test_no_lines_no_phonemes():
    assert speech.place((), 0, 0.4) == []
