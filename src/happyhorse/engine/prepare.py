"""From a model that could make a clip to one that can make it *here*: planned, placed, shared among processes.

Generation knows nothing of machines. This is the seam: between `model.request` and `generate.pipeline.make`, a model
is exchanged for one that lends its parts in the way that the plan of this clip says.
"""

import copy
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch.distributed as dist

from happyhorse.engine import ulysses
from happyhorse.engine.device import this
from happyhorse.engine.lend import lending
from happyhorse.engine.plan import Plan, ask
from happyhorse.engine.quantise import Weights
from happyhorse.generate.installed import NAME, VARIANTS, find_published, installed_path
from happyhorse.generate.load import load_published, parts_of
from happyhorse.generate.model import Model
from happyhorse.generate.pipeline import make
from happyhorse.generate.pony import Pony
from happyhorse.generate.published import Published
from happyhorse.values import Request


@dataclass(frozen=True, eq=False)
class Prepared:
    """A `model` that can make the clip of `request` here, the `plan` for it, if it took one, and the `rank` of this
    process: only rank 0 writes.
    """

    model: Model
    request: Request
    plan: Plan | None
    rank: int = 0


def prepare(model: Model, request: Request, *, weights: Weights = "bf16", compiled: bool = False) -> Prepared:
    """Make `model` ready for `request` on this machine, or on this and others if torchrun started this process.

    The 15B is planned first, with its matrices stored as `weights`; with `compiled` its layers are compiled, which
    takes a minute and makes each step faster. In several processes the request is that of the first one, so that all
    draw the same noise. Raises `ValueError`, before anything is computed, for a clip that would not finish, saying
    what would, and for options that do nothing.
    """
    rank, processes = ulysses.world()
    if processes > 1:
        device = ulysses.join()
        request = _of_the_first(request)
    if isinstance(model, Published):
        if processes == 1:
            device = model.device
        plan = ask(request, model.folder, model.variant, this(device, processes), weights, model.format)
        if plan.refusal is not None:
            raise ValueError(plan.refusal)
        lend = lending(model.folder, device, plan.policy, together=processes > 1, compiled=compiled)
        return Prepared(replace(model, device=device, lend=lend), request, plan, rank)
    if weights != "bf16" or compiled:
        raise ValueError(
            f"{model.name} is small enough as it is; leave --weights and --compile to happyhorse-15b"
        )
    if processes > 1 and isinstance(model, Pony):
        denoiser = copy.deepcopy(model.denoiser)
        ulysses.spread(denoiser.horse)
        model = replace(model, denoiser=denoiser)
    return Prepared(model, request, None, rank)


def work_along(ready: Prepared) -> None:
    """What every process but the first does: its share of the sampling of all takes, and nothing that writes."""
    for index in range(ready.request.takes):
        make(ready.request.take(index), ready.model)


def imagined(name: str, prompt: str, asked: Mapping[str, Any]) -> tuple[Published, Request]:
    """The 15B called `name`, installed or not, and the request for `prompt` to it; nothing is loaded.

    `asked` are fields of `Request`. Raises `ValueError` for another model, and as `Published.request` does.
    """
    path, wanted = Path(name), VARIANTS[0]
    if path.name in VARIANTS:
        path, wanted = path.parent, path.name
    absent = str(path) == NAME and not path.is_dir() and not installed_path().is_dir()
    found = (installed_path(), wanted) if absent else find_published(name)
    if found is None:
        parts_of(name)  # or it is no model at all
        raise ValueError(f"{name} needs no plan: it runs on any machine; plans are for --model {NAME}")
    model = load_published(*found, name=name)
    return model, model.settle(prompt, asked)


def _of_the_first(request: Request) -> Request:
    """The request with seed and prompt of the first process: others may have drawn another seed, or not asked a
    language model for a better prompt.
    """
    said: list[Any] = [request.seed, request.prompt]
    dist.broadcast_object_list(said, 0)
    return replace(request, seed=said[0], prompt=said[1])
