"""How long a clip will take, stage by stage: as the last ones of its model took, in proportion; or as the engine plans.

Where neither is known the figures of two cores of a laptop are used, and the answer says so.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from statistics import median
from typing import Any

import torch

from happyhorse.engine.device import Device, this
from happyhorse.engine.plan import ask
from happyhorse.generate.model import Model
from happyhorse.generate.published import Published
from happyhorse.serve.jobs.records import Job
from happyhorse.serve.jobs.store import JobStore
from happyhorse.values import Request

# Seconds for a token of the picture in a step of the sampler, and for a pixel of a frame; two costs are fixed.
GUESS = {
    "condition": 0.1,
    "denoise": 3.3e-4,
    "upscale": 3.3e-4,
    "decode": 4.5e-7,
    "mux": 1.5e-7,
    "provenance": 0.02,
}
RECENT = 10  # jobs that are looked at
FRESH = 20.0  # seconds for which rates are not looked up again


@dataclass(frozen=True)
class Outlook:
    """What is to come: `seconds` by stage; whether they are `measured` here; `memory` as the engine plans it, if it
    plans the model at all.
    """

    seconds: Mapping[str, float]
    measured: bool
    memory: Mapping[str, Any] | None = None

    @property
    def total(self) -> float:
        """Seconds of all stages."""
        return sum(self.seconds.values())


def amounts(request: Request, model: Model) -> dict[str, float]:
    """How much each stage of a clip has to do, in the units of its rate."""
    format, driven = model.format, request.audio is not None
    shape = format.shape(request.seconds, request.width, request.height, driven=driven)
    base = format.base(request.width, request.height)
    small = format.shape(request.seconds, *base, driven=driven).video
    beside = small.tokens if request.edit is not None else 0  # of clean tokens that the denoiser sees as well
    beside += len(request.references) * small.tokens // small.latent[0]
    pixels = float(shape.video.frames * request.width * request.height)
    enlarged = base != (request.width, request.height)
    return {
        "condition": 1.0,
        "denoise": float((small.tokens + beside) * request.steps),
        **({"upscale": float(shape.video.tokens * request.upscale_steps)} if enlarged else {}),
        "decode": pixels,
        "mux": pixels,
        "provenance": 1.0,
    }


class Forecast:
    """Rates of each model, learned from the jobs that it finished."""

    def __init__(self, store: JobStore) -> None:
        self._store = store
        self._rates: dict[str, tuple[float, dict[str, float]]] = {}

    def of(self, request: Request, path: str, model: Model) -> Outlook:
        """The outlook of a request to the model that is loaded from `path`."""
        measured, planned, memory = self._measured(path, model), {}, None
        if isinstance(model, Published):
            planned, memory = _planned(request, model)
        work = amounts(request, model)
        seconds = {
            stage: round(
                amount * measured[stage] if stage in measured else planned.get(stage, amount * GUESS[stage]),
                4,
            )
            for stage, amount in work.items()
        }
        return Outlook(seconds, bool(measured), memory)

    def _measured(self, path: str, model: Model) -> dict[str, float]:
        known = self._rates.get(path)
        if known is None or time.monotonic() - known[0] > FRESH:
            done = self._store.page(status=("completed",), limit=5 * RECENT)
            same = [job for job in done if job.request["model"] == path and not job.extra.get("draft")]
            self._rates[path] = known = (time.monotonic(), rates(same[:RECENT], model))
        return known[1]


def rates(jobs: Sequence[Job], model: Model) -> dict[str, float]:
    """Seconds for a unit of each stage, the median over finished jobs; {} where there are none."""
    found: dict[str, list[float]] = {}
    for job in jobs:
        work = amounts(Request.from_dict(job.request), model)
        for stage, amount in work.items():
            if job.facts.get("timings", {}).get(stage):
                found.setdefault(stage, []).append(job.facts["timings"][stage] / amount)
    return {stage: median(values) for stage, values in found.items()}


_STAGES = {"denoise": "denoise", "upscale": "upscale", "encode the file": "mux", "decode": "decode"}


def _planned(request: Request, model: Published) -> tuple[dict[str, float], dict[str, Any]]:
    """Seconds by stage where the engine knows them, and what it says of memory, on the machine of this process."""
    made = ask(request, model.folder, model.variant, _device(model.device), "bf16", model.format)
    seconds: dict[str, float] = {}
    for stage in made.stages:
        name = next((ours for theirs, ours in _STAGES.items() if stage.name.startswith(theirs)), "condition")
        if stage.seconds is not None:
            seconds[name] = seconds.get(name, 0.0) + stage.seconds
    return seconds, made.facts()


@cache
def _device(device: torch.device) -> Device:
    return this(device)
