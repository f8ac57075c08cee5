"""Sentences for people."""

import errno

from happyhorse.errors import did_you_mean, explain


def test_the_nearest_known_word_is_suggested():
    assert did_you_mean("bals", ("horse", "balls")) == "; did you mean 'balls'?"
    assert did_you_mean("qqq", ("horse", "balls")) == "; known here: balls, horse"


def test_failures_of_the_disk_say_what_to_do():
    full = OSError(errno.ENOSPC, "No space left on device", "x.mp4")
    assert explain(full).startswith("cannot write to x.mp4: the disk is full; free some space")
    missing = FileNotFoundError(errno.ENOENT, "No such file", "x.png")
    assert explain(missing) == "x.png does not exist; check the path"


def test_other_errors_speak_for_themselves_in_one_line():
    assert explain(ValueError("give\n  another  seed")) == "give another seed"
    assert explain(KeyError()) == "KeyError"
