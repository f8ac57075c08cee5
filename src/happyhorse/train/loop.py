"""The training loop, once for all objectives: accumulate, clip, step, average, log, preview, save, resume.

Everything random in a step is drawn from generators keyed by (seed, step), so a run that was stopped and resumed is
bit for bit the run that was not. Under torchrun every rank takes its parts of the same batch; a module that names its
`shard_units` is sharded with FSDP2, a smaller one is whole on every rank.
"""

import contextlib
import json
import math
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from happyhorse import checkpoint
from happyhorse.config import Count, Decay, Number
from happyhorse.train.optim import OptimConfig, make_optimizers, rate
from happyhorse.train.parallel import (
    Device,
    agreed,
    exchange,
    gathered,
    join,
    local,
    moved,
    place,
    shard,
    where,
    whole,
)


@dataclass(frozen=True)
class LoopConfig:
    """Steps, clips a step (`batch`), micro-batches a step and rank, and how often to do what (in steps).

    `keep` names a held-out figure: the averaged weights of the evaluation at which it was lowest are released, and not
    the last ones; after `patience` evaluations without a new lowest (0: never) the run ends early. A figure that is NaN
    is no lowest, and an infinite one ends the run at once. `compile` lets the layers of a denoiser compile themselves:
    steps take a third less time after minutes of waiting, and are no longer the same bit for bit when resumed. `device`
    is where the network computes: on a GPU where there is one, or always on the CPU, or always on a GPU ("cuda").
    """

    steps: Count
    batch: Count = 32
    micro: Count = 1
    seed: Number = 0
    ema: Decay = 0.999
    log_every: Count = 10
    eval_every: Count = 200
    preview_every: Count = 1000
    save_every: Count = 200
    autocast: bool = True
    compile: bool = False
    device: Device = "auto"
    keep: str = ""
    patience: Number = 0
    optim: OptimConfig = OptimConfig()


class Objective(Protocol):
    """What is trained: a module, the loss of a part of a step's batch, and how to judge, show and release it.

    The module is made on the CPU, and the loop moves it to where it computes. What an objective draws and reads it
    draws and reads on the CPU, the same on every machine, and moves to the module (`parallel.where`).
    """

    module: nn.Module

    def loss(self, step: int, part: int, parts: int) -> tuple[Tensor, dict[str, float]]:
        """Mean loss (scalar) and values to log of part `part` of `parts` of the batch of `step`."""
        ...

    def evaluate(self) -> dict[str, float]:
        """Held-out figures of the module as it is (the loop puts the averaged weights in first)."""
        ...

    def preview(self, folder: Path | None, step: int) -> None:
        """Write pictures and sounds of the module as it is, named by `step`, into `folder`.

        Of several ranks only the first has a `folder`; the others (None) do the same work and write nothing, because a
        sharded module needs all of them in each forward pass.
        """
        ...

    def release(self, folder: Path, weights: dict[str, Tensor], facts: dict[str, Any]) -> Path:
        """Write `weights`, the module's averaged ones, as a checkpoint into `folder`; returns its path."""
        ...


class Stopped(KeyboardInterrupt):
    """Training was interrupted and has saved its state."""


def train(
    objective: Objective,
    config: LoopConfig,
    folder: Path,
    facts: dict[str, Any],
    report: Callable[[int, dict[str, float]], None] | None = None,
    page: Callable[[Path], object] | None = None,
) -> None:
    """Run `objective` up to `config.steps` and release it, going on from `folder/resume.pt` if that exists.

    `facts` are plain values, kept in `folder/run.json` and in the released weights. `report(step, values)` sees every
    log line; `page(folder)` is called after every preview, also the last, and when the run is stopped. SIGINT and
    SIGTERM, to any rank, end the current step, save, and raise `Stopped`. Raises ValueError for a batch that has fewer
    clips than parts, for a run that was saved by another number of processes, and when the gradient is not finite.
    """
    rank, ranks = join()
    module = objective.module
    parts = config.micro * ranks
    if config.batch < parts:
        raise ValueError(f"a batch of {config.batch} does not fill {parts} parts: raise batch or lower micro")
    place(module, config.device)
    shard(module)
    optimizers = make_optimizers(module, config.optim)
    ema = checkpoint.Ema(module, config.ema)
    folder.mkdir(parents=True, exist_ok=True)
    resume = _bundle(folder, rank, ranks)
    best = _Best(config)
    first = _restore(resume, module, optimizers, ema, best) if resume.exists() else 0
    if len({line["step"] for line in gathered([{"step": first}], ranks)}) > 1:
        raise ValueError(
            f"the processes in {folder} were killed while saving: remove its resume-*.pt to start anew"
        )
    log = _Log(folder / "log.jsonl", first) if rank == 0 else None
    if rank == 0:
        about = {
            "parameters": sum(p.numel() for p in module.parameters()),
            "ranks": ranks,
            "torch": torch.__version__,
            "device": where(module).type,
        }
        text = json.dumps(facts | about | {"steps": config.steps})
        checkpoint.write_atomic(folder / "run.json", lambda path: Path(path).write_text(text))
    started = time.monotonic()

    with _Interrupt() as interrupted:
        for step in range(first, config.steps):
            if best.over:
                break
            mine = [rank * config.micro + i for i in range(config.micro)]
            values = _step(objective, optimizers, config, step, mine, parts)
            ema.update(module)
            done = step + 1
            stop = agreed(interrupted.asked, ranks)
            last = done == config.steps or stop
            line: dict[str, float] = {}
            if done % config.log_every == 0 or last:
                seconds = time.monotonic() - started
                speed = (done - first) * config.batch / seconds
                line = _mean(gathered(values, ranks)) | {"clips_per_second": speed, "seconds": seconds}
            if done % config.eval_every == 0 or done == config.steps:
                with _Averaged(module, ema), torch.compiler.set_stance("force_eager"):
                    figures = objective.evaluate()
                line |= figures
                best.look(done, figures, ema)
            last = last or best.over
            if line and log:
                log.write(done, line)
                if report:
                    report(done, line)
            if done % config.save_every == 0 or last:
                state = {"module": checkpoint.trained(module), "ema": ema.state_dict(), "best": vars(best)}
                state |= {"optimizers": [optimizer.state_dict() for optimizer in optimizers]}
                checkpoint.save_bundle(resume, step=done, **moved(local(state), "cpu"))
            shown = done % config.preview_every == 0 or done == config.steps or best.over
            if shown:
                with _Averaged(module, ema), torch.compiler.set_stance("force_eager"):
                    objective.preview(folder / "preview" if rank == 0 else None, done)
            if page and rank == 0 and (shown or stop):
                page(folder)
            if stop and done < config.steps and not best.over:
                raise Stopped(f"stopped after step {done}; the same command goes on from there")
    best.recall(ema)
    with _Averaged(module, ema):
        weights = {
            key: whole(t).detach().to("cpu", copy=True) for key, t in checkpoint.trained(module).items()
        }
    if rank == 0:
        kept = {"figures": best.figures} if config.keep else {}
        objective.release(
            folder, weights, facts | {"steps": best.step or config.steps, "ranks": ranks} | kept
        )
    if ranks > 1:
        dist.barrier()


def _step(
    objective: Objective, optimizers: list, config: LoopConfig, step: int, mine: list[int], parts: int
) -> list[dict[str, float]]:
    """One optimiser step over this rank's parts of the batch; returns the values to log of each part."""
    logged = []
    for part in mine:
        loss, values = objective.loss(step, part, parts)
        (loss / len(mine)).backward()
        logged.append(values | {"loss": float(loss.detach())})
    exchange(objective.module, parts // len(mine))
    norm = nn.utils.clip_grad_norm_(objective.module.parameters(), config.optim.clip)
    norm = whole(norm)
    if not torch.isfinite(norm):
        raise ValueError(f"the gradient is not finite at step {step}: lower the learning rates in the recipe")
    factor = rate(step, config.steps, config.optim)
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = group["base_lr"] * factor
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    return [values | {"grad_norm": float(norm), "lr_factor": factor} for values in logged]


def _mean(parts: list[dict[str, float]]) -> dict[str, float]:
    """The mean of each value over the parts that have it: a quarter of the levels that no clip drew says nothing."""
    names = dict.fromkeys(name for part in parts for name in part)
    found = {name: [part[name] for part in parts if name in part] for name in names}
    return {name: sum(values) / len(values) for name, values in found.items()}


class _Best:
    """The lowest kept figure so far, the averaged weights it belongs to, and whether the run should end."""

    def __init__(self, config: LoopConfig) -> None:
        self.keep, self.patience = config.keep, config.patience
        self.step, self.since, self.over = 0, 0, False
        self.figures: dict[str, float] = {}
        self.average: dict[str, Tensor] = {}

    def look(self, step: int, figures: dict[str, float], ema: checkpoint.Ema) -> None:
        """Compare the figures of an evaluation with the best."""
        if not self.keep:
            return
        if self.keep not in figures:
            known = ", ".join(sorted(figures))
            raise ValueError(f"keep = {self.keep!r} is no held-out figure; these are: {known}")
        value, lowest = figures[self.keep], self.figures.get(self.keep, math.inf)
        self.since += 1
        if value < lowest:
            self.step, self.since, self.figures = step, 0, dict(figures)
            self.average = {key: tensor.clone() for key, tensor in ema.average.items()}
        self.over = math.isinf(value) or 0 < self.patience <= self.since

    @torch.no_grad()
    def recall(self, ema: checkpoint.Ema) -> None:
        """Put the best weights, if there are any, where the averaged ones are."""
        for key, tensor in self.average.items():
            local(ema.average[key]).copy_(local(tensor))


def _bundle(folder: Path, rank: int, ranks: int) -> Path:
    """Where this rank keeps its state; ValueError if what lies there is that of another number of ranks."""
    names = ["resume.pt"] if ranks == 1 else [f"resume-{i}.pt" for i in range(ranks)]
    found = sorted(path.name for path in folder.glob("resume*.pt"))
    if found and found != sorted(names):
        raise ValueError(
            f"the run in {folder} was saved by another number of processes ({', '.join(found)}): "
            "go on with as many, or begin in another folder"
        )
    return folder / names[rank]


def _restore(path: Path, module: nn.Module, optimizers: list, ema: checkpoint.Ema, best: "_Best") -> int:
    """Put a bundle back (this rank's parts); returns the step to go on from."""
    bundle = checkpoint.load_bundle(path)
    with torch.no_grad():
        for key, tensor in checkpoint.trained(module).items():
            local(tensor).copy_(bundle["module"][key])
        ema.updates = bundle["ema"]["updates"]
        for key, tensor in ema.average.items():
            local(tensor).copy_(bundle["ema"]["average"][key])
    for name in ("step", "since", "over", "figures", "average"):
        setattr(best, name, bundle.get("best", {}).get(name, getattr(best, name)))
    for optimizer, state in zip(optimizers, bundle["optimizers"], strict=True):
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        for index, slots in state["state"].items():
            optimizer.state[parameters[index]] = {k: _like(parameters[index], v) for k, v in slots.items()}
    return bundle["step"]


def _like(parameter: Tensor, value: Any) -> Any:
    """A saved local tensor where the parameter is, and as part of a sharded one, if that is sharded.

    A count of steps, which is no part of anything, stays on the CPU: that is where optimisers keep it.
    """
    if not isinstance(value, Tensor) or not value.dim():
        return value
    value = value.to(parameter.device)
    if isinstance(parameter, DTensor):
        return DTensor.from_local(value, parameter.device_mesh, parameter.placements)
    return value


class _Averaged:
    """Inside the block the module holds the averaged weights; afterwards its own again."""

    def __init__(self, module: nn.Module, ema: checkpoint.Ema) -> None:
        self.module, self.ema = module, ema

    @torch.no_grad()
    def __enter__(self) -> None:
        state = checkpoint.trained(self.module)
        self.own = {key: tensor.detach().clone() for key, tensor in state.items()}
        for key, tensor in state.items():
            tensor.copy_(self.ema.average[key])
        self.module.eval()

    @torch.no_grad()
    def __exit__(self, *_: object) -> None:
        for key, tensor in checkpoint.trained(self.module).items():
            tensor.copy_(self.own[key])
        self.module.train()


class _Interrupt:
    """Turns SIGINT and SIGTERM into a flag while a step runs; a second SIGINT interrupts at once."""

    asked = False

    def __enter__(self) -> "_Interrupt":
        self.old = {number: signal.signal(number, self._ask) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def _ask(self, number: int, frame: object) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True

    def __exit__(self, *_: object) -> None:
        for number, handler in self.old.items():
            signal.signal(number, handler)


class _Log:
    """Appends one JSON line a log point; on resuming, lines after the saved step are dropped."""

    def __init__(self, path: Path, first: int) -> None:
        self.path = path
        kept = "".join(json.dumps(line) + "\n" for line in read_log(path) if line["step"] <= first)
        checkpoint.write_atomic(path, lambda temporary: Path(temporary).write_text(kept))

    def write(self, step: int, values: dict[str, float]) -> None:
        """Append `values` of `step`, rounded to five significant digits."""
        rounded = {key: float(f"{value:.5g}") for key, value in values.items()}
        with self.path.open("a") as file:
            file.write(json.dumps({"step": step} | rounded) + "\n")


def read_log(path: Path) -> list[dict[str, Any]]:
    """The values of every log point, in order: "step" and what was logged; a line that was cut off is left out."""
    lines = []
    for text in path.read_text().splitlines() if path.exists() else ():
        with contextlib.suppress(json.JSONDecodeError):
            lines.append(json.loads(text))
    return lines
