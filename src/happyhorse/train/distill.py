"""Distillation as functions: a guided teacher of many steps becomes a student of few, without guidance.

All of it speaks clean-data estimates ``x0 = x - s v`` of a velocity v at level s, for video and sound together, and
leaves given tokens (first frame, driving sound) out. Three targets, each the start of the next:

- *guidance*: the teacher's guided velocity at noised data; one pass instead of two.
- *trajectory*: the velocity that takes a state of the teacher's guided solution to the next of few levels in one step.
- *matching*: DMD2 (Yin et al. 2024, arXiv 2405.14867) with backward simulation: clips of the student are moved from
  what they look like to a critic, which knows the student's clips, to what they should look like to the teacher.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from happyhorse.flow import path, samplers, schedules
from happyhorse.flow.guidance import guide
from happyhorse.generate.denoiser import Beside
from happyhorse.model.lowrank import Adapted
from happyhorse.train.parallel import moved

STUDENT, CRITIC = "student", "critic"  # names of adapters; the teacher is the model without one
MODALITIES = ("video", "audio")

State = dict[str, Tensor]
Weights = Mapping[str, float]  # guidance by modality


@dataclass(frozen=True, eq=False)
class Told:
    """What the clips of a batch are told.

    `words` and `nothing` are what the model takes behind the latents, with the prompt and without; `given` masks
    latent frames [B, T] and audio steps [B, S] whose values are those of `clean`, video [B, C, T, Y, X] and audio
    [B, S, Ca]. What stands `beside` the clips, if anything, is shown with the prompt and without it.
    """

    words: tuple[Tensor, ...]
    nothing: tuple[Tensor, ...]
    given: State
    clean: State
    beside: Beside | None = None

    def rows(self, chosen: Bool[Tensor, " B"] | Int[Tensor, " b"]) -> "Told":
        """Of some clips only: a mask over them, or their places, any number of times."""
        words, nothing = (tuple(t[chosen] for t in told) for told in (self.words, self.nothing))
        given, clean = ({n: t[chosen] for n, t in state.items()} for state in (self.given, self.clean))
        return Told(words, nothing, given, clean, self.beside and self.beside.rows(chosen))

    def to(self, device: torch.device) -> "Told":
        """The same on another device."""
        own = moved((self.words, self.nothing, self.given, self.clean), device)
        return Told(*own, self.beside and self.beside.to(device))


def spread(mask: Bool[Tensor, "B n"], modality: str) -> Bool[Tensor, "B ..."]:
    """A mask of latent frames or audio steps, with the axes of its latents: [B, 1, T, 1, 1] or [B, S, 1]."""
    return mask[:, None, :, None, None] if modality == "video" else mask[:, :, None]


def pin(told: Told, x: State) -> State:
    """The state x, video [B, C, T, Y, X] and audio [B, S, Ca], with given values in their places."""
    return {
        name: torch.where(spread(told.given[name], name), told.clean[name].to(value), value)
        for name, value in x.items()
    }


def noised(told: Told, clean: State, noise: State, levels: Mapping[str, Tensor]) -> State:
    """Points of the path at one level [B] a clip and modality, given tokens clean; latents as in `Told`."""
    return pin(told, {name: path.interpolate(clean[name], noise[name], levels[name]) for name in clean})


def velocity(model: Adapted, x: State, told: Told, adapter: str | None) -> State:
    """One pass: velocities, shaped as the latents of `Told`, of the state x under an adapter, None for the teacher."""
    given = [told.given[name] for name in MODALITIES]
    beside = [told.beside] if told.beside is not None else []  # not every model takes it
    out = model(x["video"], x["audio"], *told.words, *given, *beside, adapter=adapter)
    return dict(zip(MODALITIES, out, strict=True))


def guided(model: Adapted, x: State, told: Told, weights: Weights) -> State:
    """The teacher's guided velocities, shaped as the latents of `Told`: two passes, one where all weights are 1."""
    conditional = velocity(model, x, told, None)
    if all(weights[name] == 1 for name in x):
        return conditional
    without = velocity(model, x, replace(told, words=told.nothing), None)
    return {name: guide(conditional[name], (weights[name], without[name])) for name in x}


def error(
    predicted: State, target: State, told: Told, channels: Float[Tensor, " C"] | None = None
) -> dict[str, Float[Tensor, ""]]:
    """Mean squared error a modality over tokens that are not given; 0 where everything is.

    `channels` are weights of the picture's channels, None for all alike.
    """
    mean = {}
    for name in predicted:
        p, t = (x.transpose(1, 2) if name == "video" else x for x in (predicted[name], target[name]))
        if name == "video" and channels is not None:
            root = channels.to(p).sqrt()[:, None, None]
            p, t = p * root, t * root
        left = ~told.given[name]
        mean[name] = path.loss(p, t, left).sum() / left.any(1).sum().clamp_min(1)
    return mean


def step_target(now: State, then: State, sigma: Mapping[str, Tensor], next: Mapping[str, Tensor]) -> State:
    """The velocities of the one Euler step from states `now` at levels `sigma` [B] to states `then` at `next` [B].

    States are latents as in `Told`; levels must differ.
    """
    return {name: _divide(then[name] - now[name], next[name] - sigma[name]) for name in now}


def _divide(difference: Tensor, by: Tensor) -> Tensor:
    return difference / by.reshape(-1, *[1] * (difference.ndim - 1)).to(difference)


def simulate(
    call: Callable[[State], State],
    x: State,
    sigmas: Mapping[str, list[float]],
    stop: int,
    fresh: Callable[[str], Tensor] | None,
    told: Told,
) -> State:
    """The state, latents as in `Told`, that a student which samples along `sigmas` meets before its step `stop`.

    Backward simulation: the student learns on what it makes itself and not on noised data. `fresh(modality)` draws the
    noise of a renoising sampler (see `flow.samplers.renoise`), [B, C, T, Y, X] or [B, S, Ca]; None is for Euler's.
    """
    for k in range(stop):
        x = pin(told, x)
        v = call(x)
        now, then = ({name: sigmas[name][i] for name in x} for i in (k, k + 1))
        if fresh is None:
            x = {name: x[name] + (then[name] - now[name]) * v[name] for name in x}
        else:
            x = {name: path.renoise(x[name], v[name], fresh(name), now[name], then[name]) for name in x}
    return pin(told, x)


def matching_gradient(
    x0: Float[Tensor, " B *shape"],
    fake: Float[Tensor, " B *shape"],
    real: Float[Tensor, " B *shape"],
    given: Bool[Tensor, " B *rest"],
) -> Float[Tensor, " B *shape"]:
    """DMD's direction ``(fake - real) / mean |x0 - real|``, the mean over what is not given of each clip.

    `fake` and `real` are the clean-data estimates of critic and guided teacher of a noised `x0`. Where both agree it is
    exactly 0. `given` broadcasts against the clips and has the direction 0.
    """
    left = (~given).to(x0.dtype).expand_as(x0)
    total = ((x0 - real).abs() * left).flatten(1).sum(1)
    mean = (total / left.flatten(1).sum(1).clamp_min(1)).clamp_min(1e-5)
    return (fake - real) * left / mean.reshape(-1, *[1] * (x0.ndim - 1))


def pull(x0: Float[Tensor, "*shape"], direction: Float[Tensor, "*shape"]) -> Float[Tensor, ""]:
    """The loss ``mean (x0 - (x0 - g))^2 / 2`` with the bracket held fixed: its gradient by x0 is g / N."""
    return 0.5 * (x0 - (x0 - direction).detach()).square().mean()


def sample(
    model: Adapted,
    told: Told,
    noise: State,
    shifts: Mapping[str, float],
    steps: int,
    sampler: str,
    adapter: str | None,
    weights: Weights | None = None,
    fresh: Callable[[int, str], Tensor] | None = None,
    visit: Callable[[State], None] = lambda x: None,
) -> State:
    """Clean latents, as in `Told`, of the opening `noise`: of the student, or with `weights` of the guided teacher.

    `fresh(step, modality)` is the noise that "renoise" takes, of any shape that fits; `visit(x)` sees the state at the
    start of each step.
    """

    def call(x: State, levels: dict[str, float]) -> State:
        visit(dict(x))  # a sampler may put its next state into the mapping it gave
        return velocity(model, x, told, adapter) if weights is None else guided(model, x, told, weights)

    extra = {"noise": fresh} if sampler == "renoise" else {}
    with torch.no_grad():
        return samplers.SAMPLERS[sampler](
            call, noise, schedules.paired(steps, shifts), project=partial(pin, told), **extra
        )
