"""Samplers: from noise to data along the velocity of a denoiser, video and sound stepped together.

Every sampler has the same shape: ``sampler(velocity, x, sigmas, ...) -> x``.

- `x` maps modalities ("video", "audio") to tensors of any shape at their first level, in the order in which
  noise is asked for.
- `sigmas` maps the same modalities to schedules [N+1] of equal length; the levels may differ. A modality held
  at 0 throughout is given and stays as it is.
- ``velocity(x, levels)`` returns the velocities at those levels (floats by modality). Guidance lives in
  there.
- ``project(x)`` puts given tokens (first frame, driving sound) back in place. It runs before every call of
  `velocity` and once at the end, so that what the solver makes of those tokens never matters.
- ``progress(step)`` runs after every step. An exception raised in it ends the sampling: that is how a request
  is cancelled.
- `start` steps are already done: `x` is then the `state` that the last of them reported, and the result is the
  same to the bit as without the pause.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise

from jaxtyping import Float
from torch import Tensor

from happyhorse.flow import path

State = dict[str, Tensor]
Velocity = Callable[[State, dict[str, float]], Mapping[str, Tensor]]
Noise = Callable[[int, str], Tensor]


@dataclass(frozen=True)
class Step:
    """What a sampler reports after a step.

    Its index from 0, how many there are, the levels it started from, its estimate of the clean data
    (tensors of any shape, by modality), and the `state` with which to go on after it: everything that the
    remaining steps need, as tensors of any shape.
    """

    index: int
    total: int
    sigmas: Mapping[str, float]
    clean: Mapping[str, Tensor]
    state: State


Project = Callable[[State], State]
Progress = Callable[[Step], None]


def _levels(x: State, sigmas: Mapping[str, Float[Tensor, " levels"]]) -> dict[str, list[float]]:
    """Schedules as plain floats, checked against the state."""
    if set(x) != set(sigmas):
        raise ValueError(
            f"give one schedule per modality: the state has {sorted(x)}, schedules {sorted(sigmas)}"
        )
    levels = {name: [float(s) for s in sigmas[name]] for name in x}
    lengths = {name: len(values) for name, values in levels.items()}
    if len(set(lengths.values())) != 1 or min(lengths.values()) < 2:
        raise ValueError(f"schedules need one common length of at least 2, got {lengths}")
    for name, values in levels.items():
        if any(after > before for before, after in pairwise(values)):
            raise ValueError(f"the schedule for {name} rises; sigmas fall from noise (1) to data (0)")
    return levels


def _at(levels: dict[str, list[float]], step: int) -> dict[str, float]:
    return {name: values[step] for name, values in levels.items()}


def _keep(x: State) -> State:
    return x


def _clean(x: State, v: Mapping[str, Tensor], sigma: Mapping[str, float]) -> State:
    return {name: path.clean_from(x[name], v[name], sigma[name]) for name in x}


def euler(
    velocity: Velocity,
    x: State,
    sigmas: Mapping[str, Float[Tensor, " levels"]],
    *,
    project: Project = _keep,
    progress: Progress | None = None,
    start: int = 0,
) -> State:
    """First order: ``x <- x + (s_{k+1} - s_k) v``. One call of `velocity` per step."""
    levels = _levels(x, sigmas)
    total = len(next(iter(levels.values()))) - 1
    for k in range(start, total):
        x = project(x)
        now, then = _at(levels, k), _at(levels, k + 1)
        v = velocity(x, now)
        clean = _clean(x, v, now)
        x = {name: x[name] + (then[name] - now[name]) * v[name] for name in x}
        if progress:
            progress(Step(k, total, now, clean, x))
    return project(x)


def heun(
    velocity: Velocity,
    x: State,
    sigmas: Mapping[str, Float[Tensor, " levels"]],
    *,
    project: Project = _keep,
    progress: Progress | None = None,
    start: int = 0,
) -> State:
    """Second order: an Euler step, then again with the mean of the velocities at both ends.

    The second-order sampler of Karras et al. 2022, arXiv 2206.00364. Two calls of `velocity` per step, one in
    the last step, where the far end is clean data and its velocity is not defined by what the denoiser was
    trained on.
    """
    levels = _levels(x, sigmas)
    total = len(next(iter(levels.values()))) - 1
    for k in range(start, total):
        x = project(x)
        now, then = _at(levels, k), _at(levels, k + 1)
        v = velocity(x, now)
        clean = _clean(x, v, now)
        ahead = {name: x[name] + (then[name] - now[name]) * v[name] for name in x}
        if any(then.values()):
            w = velocity(project(ahead), then)
            ahead = {
                name: x[name]
                + (then[name] - now[name]) * (0.5 * (v[name] + w[name]) if then[name] > 0 else v[name])
                for name in x
            }
        x = ahead
        if progress:
            progress(Step(k, total, now, clean, x))
    return project(x)


def renoise(
    velocity: Velocity,
    x: State,
    sigmas: Mapping[str, Float[Tensor, " levels"]],
    *,
    noise: Noise,
    project: Project = _keep,
    progress: Progress | None = None,
    start: int = 0,
) -> State:
    """The distilled sampler: jump to clean data, then back out to the next level with fresh noise (15B spec
    section 4.3).

    ``noise(step, modality)`` returns the fresh Gaussian noise of that step, shaped as the state. It is asked
    for in the order of the state's modalities, and not at a step that ends in clean data.
    """
    levels = _levels(x, sigmas)
    total = len(next(iter(levels.values()))) - 1
    for k in range(start, total):
        x = project(x)
        now, then = _at(levels, k), _at(levels, k + 1)
        clean = _clean(x, velocity(x, now), now)
        x = {
            name: path.interpolate(value, noise(k, name).to(value), then[name]) if then[name] > 0 else value
            for name, value in clean.items()
        }
        if progress:
            progress(Step(k, total, now, clean, x))
    return project(x)


@dataclass(frozen=True)
class _Point:
    """A visited point: level, corrected state, estimate of clean data, order of the step that leaves it."""

    sigma: float
    x: Tensor
    clean: Tensor
    order: int

    @property
    def log_snr(self) -> float:
        return math.log(1 - self.sigma) - math.log(self.sigma)


def _predict(here: _Point, before: _Point | None, sigma: float) -> Tensor:
    """UniP: from `here` to level `sigma`, at order 2 with the estimate from `before`."""
    if sigma == 0:
        return here.clean
    h = math.log(1 - sigma) - math.log(sigma) - here.log_snr
    slope = 0.0
    if here.order == 2:
        assert before is not None
        r = (before.log_snr - here.log_snr) / h
        slope = 0.5 * (before.clean - here.clean) / r
    return sigma / here.sigma * here.x - (1 - sigma) * math.expm1(-h) * (here.clean + slope)


def _correct(start: _Point, before: _Point | None, sigma: float, clean: Tensor) -> Tensor:
    """UniC: redo the step from `start` to level `sigma` now that the estimate `clean` at its end is known."""
    h = math.log(1 - sigma) - math.log(sigma) - start.log_snr
    grow = math.expm1(-h)
    change = clean - start.clean
    if start.order == 1:
        slope = 0.5 * change
    else:
        assert before is not None
        r = (before.log_snr - start.log_snr) / h
        first = (grow / -h - 1) / grow
        second = 2 * ((grow / -h - 1) / -h - 0.5) / grow
        rho = (second - r * first) / (1 - r)
        slope = (first - rho) * (before.clean - start.clean) / r + rho * change
    return sigma / start.sigma * start.x - (1 - sigma) * grow * (start.clean + slope)


def _order(step: int, total: int) -> int:
    """1 in the first and in the last step, else 2."""
    return min(2, total - step, step + 1)


History = tuple[_Point | None, _Point | None]
"""The two points visited last, the last one second."""


def _remembered(history: Mapping[str, History]) -> State:
    """The tensors of all points by name, as a part of the state of a pause."""
    kept = {}
    for name, (before, last) in history.items():
        if last is not None:
            kept |= {f"{name}/last": last.x, f"{name}/last clean": last.clean}
        if before is not None:
            kept |= {f"{name}/before": before.x, f"{name}/before clean": before.clean}
    return kept


def _history(kept: State, name: str, levels: list[float], done: int) -> History:
    """What `_remembered` kept of a modality after `done` steps along `levels`."""

    def point(which: str, step: int) -> _Point | None:
        if f"{name}/{which}" not in kept:
            return None
        x, clean = kept[f"{name}/{which}"], kept[f"{name}/{which} clean"]
        return _Point(levels[step], x, clean, _order(step, len(levels) - 1))

    return point("before", done - 2), point("last", done - 1)


def unipc(
    velocity: Velocity,
    x: State,
    sigmas: Mapping[str, Float[Tensor, " levels"]],
    *,
    project: Project = _keep,
    progress: Progress | None = None,
    start: int = 0,
) -> State:
    """UniPC of order 2 on clean-data estimates, variant B2 (Zhao et al. 2023, arXiv 2302.04867; 15B spec
    section 4.2).

    A multistep predictor with a corrector: one call of `velocity` per step for second-order accuracy. The
    corrector uses the estimate made at the uncorrected point, and that estimate is kept. Order 1 in the first
    and in the last step. Schedules have to begin below 1, where the log signal-to-noise ratio in which the
    solver steps is finite.
    """
    x, kept = {name: value for name, value in x.items() if "/" not in name}, x
    levels = _levels(x, sigmas)
    for name, values in levels.items():
        if values[0] >= 1:
            raise ValueError(
                f"unipc needs a schedule for {name} that begins below 1, such as 0.999; got {values[0]}"
            )
    total = len(next(iter(levels.values()))) - 1
    history = {name: _history(kept, name, levels[name], start) for name in x}
    for k in range(start, total):
        x = dict(project(x))
        now, then = _at(levels, k), _at(levels, k + 1)
        clean = _clean(x, velocity(x, now), now)
        for name in x:
            before, last = history[name]
            if now[name] == 0:  # arrived, or given from the start
                continue
            if last is not None:
                x[name] = _correct(last, before, now[name], clean[name])
            here = _Point(now[name], x[name], clean[name], _order(k, total))
            x[name] = _predict(here, last, then[name])
            history[name] = (last, here)
        if progress:
            progress(Step(k, total, now, clean, x | _remembered(history)))
    return project(x)


SAMPLERS: Mapping[str, Callable[..., State]] = {
    "unipc": unipc,
    "heun": heun,
    "euler": euler,
    "renoise": renoise,
}
"""The samplers by name; only `renoise` needs a `noise`."""
