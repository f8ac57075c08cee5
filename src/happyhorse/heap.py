"""Memory that tensors leave is kept by the process instead of being given back and fetched again."""

import ctypes
import os
import sys

KEPT = {"MALLOC_MMAP_THRESHOLD_": 32 << 20, "MALLOC_TRIM_THRESHOLD_": 1 << 30}
"""Of the GNU C library, in bytes: blocks up to the first, the largest it takes, come from a heap that shrinks only
where more than the second lies free at its end."""
_NUMBERS = {"MALLOC_MMAP_THRESHOLD_": -3, "MALLOC_TRIM_THRESHOLD_": -1}  # of mallopt(3)


def keep_freed_memory() -> None:
    """Set `KEPT` for this process and those it starts, unless their environment says otherwise; no-op elsewhere.

    By default every tensor of more than 128 KB is fetched from the system page by page when it is made, which takes
    a quarter to a third of the time of a small network on a CPU (see docs/log.md).
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    for name, value in KEPT.items():
        if mallopt is not None and name not in os.environ:
            os.environ[name] = str(value)
            mallopt(_NUMBERS[name], value)
