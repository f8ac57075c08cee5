"""Sentences for people: what went wrong and what to do about it."""

import difflib
import errno
from collections.abc import Iterable

_DISK = {
    errno.ENOSPC: "the disk is full; free some space, or write to another disk with --output",
    errno.EDQUOT: "the disk quota is used up; free some space, or write to another disk with --output",
    errno.EFBIG: "the file outgrew what this system allows (ulimit -f); raise it, or write elsewhere with --output",
    errno.EROFS: "the disk is read-only; write somewhere else with --output",
    errno.EACCES: "no permission to write there; choose a folder of your own with --output",
    errno.EPERM: "no permission to write there; choose a folder of your own with --output",
    errno.ENAMETOOLONG: "the file name is too long; give a shorter one with --output",
}


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`; did you mean 'x'?` for the nearest known word, else the list of what is known: the end of a message."""
    known = sorted(known)
    close = difflib.get_close_matches(word, known, n=1)
    return f"; did you mean '{close[0]}'?" if close else f"; known here: {', '.join(known)}"


def explain(error: BaseException) -> str:
    """One sentence for `error`: its own words, or for failures of the disk what to do about them."""
    if isinstance(error, OSError) and error.errno in _DISK:
        where = f"cannot write to {error.filename}: " if error.filename else ""
        return where + _DISK[error.errno]
    if isinstance(error, FileNotFoundError) and error.filename:
        return f"{error.filename} does not exist; check the path"
    return " ".join(str(error).split()) or type(error).__name__
