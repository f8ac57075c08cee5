"""What a machine can do: memory, and rates found by a test of about a second."""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch
import torch.nn.functional as F

from happyhorse.errors import did_you_mean

GB = 10**9
UNKNOWN = 10**15  # bytes of memory of a machine that is not this one: a plan says how much it takes
_SECONDS = 0.15  # for each rate
_SOLID, _LONG = 0.7, 0.65  # shares of the peak that large products and long attention reach


@dataclass(frozen=True)
class Device:
    """One device and its host. Memory in bytes: `memory` in all, `free` now, `host` available to this process.

    `processes` of them share a clip, one process each, of which `host` is the part of one.
    Rates: `matrices` and `attention` in bf16 FLOP/s, `moving` bytes/s read and written by other kernels, `copying`
    bytes/s from the host or another device, `call` seconds per kernel. A rate is None where it is not known.
    """

    name: str
    memory: int
    free: int
    host: int
    matrices: float | None = None
    attention: float | None = None
    moving: float | None = None
    copying: float | None = None
    call: float = 1e-5
    processes: int = 1

    @property
    def is_host(self) -> bool:
        """Whether the host itself computes, so that there is one memory and not two."""
        return self.copying is None and self.matrices is not None


# Dense bf16 TFLOP/s with fp32 sums, GB of memory, its GB/s, GB/s from the host: data sheets of the makers.
_KNOWN = {
    "rtx3090": (71, 24, 936, 25),
    "rtx4090": (165, 24, 1008, 25),
    "rtx5090": (210, 32, 1792, 50),
    "l40s": (362, 48, 864, 25),
    "a100-40gb": (312, 40, 1555, 25),
    "a100-80gb": (312, 80, 2039, 25),
    "h100": (989, 80, 3350, 50),
    "h200": (989, 141, 4800, 50),
    "b200": (2250, 180, 8000, 50),
}


def known(name: str, host: int = UNKNOWN) -> Device:
    """A GPU by name, at the share of its data sheet that kernels reach. Raises `ValueError` for one not listed."""
    if name not in _KNOWN:
        raise ValueError(f"no GPU called {name!r} is listed{did_you_mean(name, _KNOWN)}")
    tflops, memory, moving, copying = _KNOWN[name]
    peak, room = tflops * 1e12, memory * GB
    moving, copying = 0.8e9 * moving, 0.8e9 * copying
    return Device(name, room, room - GB // 2, host, _SOLID * peak, _LONG * peak, moving, copying)


def of_memory(gigabytes: float, host: int = UNKNOWN) -> Device:
    """Some GPU of which only the memory is known: plans for it have no seconds."""
    if not 1 <= gigabytes <= 4096:
        raise ValueError(f"a GPU of {gigabytes:g} GB is out of range; give 1 to 4096")
    room = int(gigabytes * GB)
    return Device(f"a GPU of {gigabytes:g} GB", room, room - GB // 2, host)


def this(device: torch.device, processes: int = 1) -> Device:
    """The device of this machine, tested once: about a second, and half a gigabyte of its memory while it lasts.

    Memory that torch holds for this process counts as free: what is in it makes room when it must.
    """
    rates, host = _rates(device), host_memory() // processes
    if device.type != "cuda":
        name = f"this {device.type.upper()} ({torch.get_num_threads()} threads)"
        return Device(name, total_memory(), host, host, *rates, processes)
    torch.cuda.empty_cache()
    free, memory = torch.cuda.mem_get_info(device)
    free += torch.cuda.memory_reserved(device)
    return Device(torch.cuda.get_device_name(device), memory, free, host, *rates, processes)


def these(device: torch.device, count: int = 1) -> Device:
    """`this` device, `count` of which share a clip. Raises `ValueError` where the machine has fewer."""
    there = 0 if device.type == "cpu" else torch.accelerator.device_count()
    if count > max(1, there):
        raise ValueError(
            f"{count} GPUs cannot share a clip here: this machine has {there or 'none'}; say which GPUs to plan for "
            "with --gpu or --gpu-memory"
        )
    return this(device, count)


@cache
def _rates(device: torch.device) -> tuple[float, float, float, float | None, float]:
    """`matrices`, `attention`, `moving`, `copying` and `call` of a `Device`."""
    on_gpu, dtype = device.type == "cuda", torch.bfloat16
    scale = 8 if on_gpu else 1

    def wait() -> None:
        if device.type != "cpu":
            torch.accelerator.synchronize(device)

    def rate(amount: float, run: Callable[[], object]) -> float:
        run()
        wait()
        start, runs = time.perf_counter(), 0
        while runs == 0 or time.perf_counter() - start < _SECONDS:
            run()
            wait()
            runs += 1
        return runs * amount / (time.perf_counter() - start)

    with torch.inference_mode():
        rows, width, out = 512 * scale, 640 * scale, 896 * scale
        a, b = (torch.randn(shape, device=device).to(dtype) for shape in ((rows, width), (out, width)))
        matrices = rate(2 * rows * width * out, lambda: F.linear(a, b))
        tokens, heads = 512 * scale, 5 * scale
        q = torch.randn(1, heads, tokens, 128, device=device).to(dtype)
        attention = rate(4 * heads * tokens**2 * 128, lambda: F.scaled_dot_product_attention(q, q, q))
        x = torch.randn(4_000_000 * scale, device=device)
        moving = rate(2 * x.nbytes, lambda: x + 1)
        one = torch.ones(1, device=device)
        call = 1 / rate(100, lambda: [one.add_(0) for _ in range(100)])
    if not on_gpu:
        return matrices, attention, moving, None, call
    source = torch.empty(256_000_000, dtype=torch.uint8, pin_memory=True)
    target = torch.empty_like(source, device=device)
    copying = rate(source.nbytes, lambda: target.copy_(source, non_blocking=True))
    return matrices, attention, moving, copying, call


def host_memory() -> int:
    """Bytes of host memory that can be had now: what the system has available, or what a container leaves."""
    available = total_memory()
    for line in _lines("/proc/meminfo"):
        if line.startswith("MemAvailable:"):
            available = int(line.split()[1]) * 1024
    limit, used = (_lines(f"/sys/fs/cgroup/memory.{name}") for name in ("max", "current"))
    if limit and used and limit[0].isdigit():
        cached = next(
            (
                int(line.split()[1])
                for line in _lines("/sys/fs/cgroup/memory.stat")
                if line.startswith("inactive_file ")
            ),
            0,
        )
        available = min(available, int(limit[0]) - int(used[0]) + cached)
    return max(available, 0)


def total_memory() -> int:
    """Bytes of memory of the host."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []
