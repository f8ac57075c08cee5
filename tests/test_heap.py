"""Freed memory stays with the process, and with those it starts."""

import os
import subprocess
import sys

import pytest

GROWTH = """
import resource
import torch
from happyhorse.heap import keep_freed_memory
keep_freed_memory()
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(50):
        torch.empty(4 << 20, dtype=torch.uint8).fill_(1)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
faults()
print(faults())
"""


def faults(**environment: str) -> int:
    """Pages fetched from the system by fifty tensors of 4 MB, one after the other, in a process of its own."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("MALLOC_", "LD_PRELOAD"))}
    done = subprocess.run(
        [sys.executable, "-c", GROWTH], env=clean | environment, check=True, capture_output=True, text=True
    )
    return int(done.stdout)


@pytest.mark.skipif(
    sys.platform != "linux" or not hasattr(os, "confstr") or "CS_GNU_LIBC_VERSION" not in os.confstr_names,
    reason="mallopt is of the GNU C library",
)
def test_freed_memory_is_used_again():
    assert faults() < 2000  # 4 MB are 1,024 pages
    strict = {"MALLOC_MMAP_THRESHOLD_": "131072", "MALLOC_TRIM_THRESHOLD_": "131072"}
    assert faults(**strict) > 20_000, "what the environment says stands"
