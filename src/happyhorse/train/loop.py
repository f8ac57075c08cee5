"""The training loop, once for all objectives: accumulate, clip, step, average, log, preview, save, resume.

Everything random in a step is drawn from generators keyed by (seed, step), so a run that was stopped and resumed is
bit for bit the run that was not. Under torchrun every rank takes its parts of the same batch; a module that names its
`shard_units` is sharded with FSDP2, a smaller one is whole on every rank.
"""

import contextlib
import json
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor

from happyhorse import checkpoint
from happyhorse.train.optim import OptimConfig, make_optimizers, rate


@dataclass(frozen=True)
class LoopConfig:
    """Steps, clips a step (`batch`), micro-batches a step and rank, and how often to do what (in steps)."""

    steps: int
    batch: int = 32
    micro: int = 1
    seed: int = 0
    ema: float = 0.999
    log_every: int = 10
    eval_every: int = 200
    preview_every: int = 1000
    save_every: int = 200
    autocast: bool = True
    optim: OptimConfig = OptimConfig()


class Objective(Protocol):
    """What is trained: a module, the loss of a part of a step's batch, and how to judge, show and release it."""

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
    rank, ranks = _join()
    module = objective.module
    parts = config.micro * ranks
    if config.batch < parts:
        raise ValueError(f"a batch of {config.batch} does not fill {parts} parts: raise batch or lower micro")
    if ranks > 1 and hasattr(module, "shard_units"):
        for layer in module.shard_units():  # type: ignore[operator]
            fully_shard(layer, reshard_after_forward=False)  # small models: speed before memory
        fully_shard(module, reshard_after_forward=False)
    optimizers = make_optimizers(module, config.optim)
    ema = checkpoint.Ema(module, config.ema)
    folder.mkdir(parents=True, exist_ok=True)
    resume = _bundle(folder, rank, ranks)
    first = _restore(resume, module, optimizers, ema) if resume.exists() else 0
    if len({line["step"] for line in _gathered([{"step": first}], ranks)}) > 1:
        raise ValueError(
            f"the processes in {folder} were killed while saving: remove its resume-*.pt to start anew"
        )
    log = _Log(folder / "log.jsonl", first) if rank == 0 else None
    if rank == 0:
        about = {
            "parameters": sum(p.numel() for p in module.parameters()),
            "ranks": ranks,
            "torch": torch.__version__,
        }
        text = json.dumps(facts | about | {"steps": config.steps})
        checkpoint.write_atomic(folder / "run.json", lambda path: Path(path).write_text(text))
    started = time.monotonic()

    with _Interrupt() as interrupted:
        for step in range(first, config.steps):
            mine = [rank * config.micro + i for i in range(config.micro)]
            values = _step(objective, optimizers, config, step, mine, parts)
            ema.update(module)
            done = step + 1
            stop = _agreed(interrupted.asked, ranks)
            last = done == config.steps or stop
            line: dict[str, float] = {}
            if done % config.log_every == 0 or last:
                seconds = time.monotonic() - started
                speed = (done - first) * config.batch / seconds
                line = _mean(_gathered(values, ranks)) | {"clips_per_second": speed, "seconds": seconds}
            if done % config.eval_every == 0 or done == config.steps:
                with _Averaged(module, ema):
                    line |= objective.evaluate()
            if line and log:
                log.write(done, line)
                if report:
                    report(done, line)
            if done % config.save_every == 0 or last:
                state = {"step": done, "module": _local(module.state_dict()), "ema": _local(ema.state_dict())}
                checkpoint.save_bundle(
                    resume, **state, optimizers=[_local(o.state_dict()) for o in optimizers]
                )
            shown = done % config.preview_every == 0 or done == config.steps
            if shown:
                with _Averaged(module, ema):
                    objective.preview(folder / "preview" if rank == 0 else None, done)
            if page and rank == 0 and (shown or stop):
                page(folder)
            if stop and done < config.steps:
                raise Stopped(f"stopped after step {done}; the same command goes on from there")
    with _Averaged(module, ema):
        weights = {key: _whole(tensor).detach().clone() for key, tensor in module.state_dict().items()}
    if rank == 0:
        objective.release(folder, weights, facts | {"steps": config.steps, "ranks": ranks})
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
    _exchange(objective.module, parts // len(mine))
    norm = nn.utils.clip_grad_norm_(objective.module.parameters(), config.optim.clip)
    norm = _whole(norm)
    if not torch.isfinite(norm):
        raise ValueError(f"the gradient is not finite at step {step}: lower the learning rates in the recipe")
    factor = rate(step, config.steps, config.optim)
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = group["base_lr"] * factor
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    return [values | {"grad_norm": float(norm), "lr_factor": factor} for values in logged]


def _exchange(module: nn.Module, ranks: int) -> None:
    """Average the gradients over the ranks; those of sharded parameters were averaged in the backward pass."""
    for parameter in module.parameters() if ranks > 1 else ():
        if parameter.grad is not None and not isinstance(parameter, DTensor):
            dist.all_reduce(parameter.grad)
            parameter.grad /= ranks


def _mean(parts: list[dict[str, float]]) -> dict[str, float]:
    """The mean of each value over the parts that have it: a quarter of the levels that no clip drew says nothing."""
    names = dict.fromkeys(name for part in parts for name in part)
    found = {name: [part[name] for part in parts if name in part] for name in names}
    return {name: sum(values) / len(values) for name, values in found.items()}


def _gathered(values: list[dict[str, float]], ranks: int) -> list[dict[str, float]]:
    """The values of the parts of all ranks, in order."""
    if ranks == 1:
        return values
    every: list[Any] = [None] * ranks
    dist.all_gather_object(every, values)
    return [part for group in every for part in group]


def _agreed(asked: bool, ranks: int) -> bool:
    """Whether any rank was asked to stop: all have to end after the same step, or the rest wait for ever."""
    if ranks == 1:
        return asked
    flag = torch.tensor(float(asked), device="cuda" if dist.get_backend() == "nccl" else "cpu")
    dist.all_reduce(flag, dist.ReduceOp.MAX)
    return bool(flag)


def _join() -> tuple[int, int]:
    """Rank and number of ranks; joins the process group if torchrun started us."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return 0, 1
    if not dist.is_initialized():
        dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    return dist.get_rank(), dist.get_world_size()


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


def _local(state: Any) -> Any:
    """The state with every sharded tensor replaced by this rank's part."""
    if isinstance(state, DTensor):
        return state.to_local()
    if isinstance(state, dict):
        return {key: _local(value) for key, value in state.items()}
    return [_local(value) for value in state] if isinstance(state, list) else state


def _whole(tensor: Tensor) -> Tensor:
    """The tensor, gathered from all ranks if it is sharded."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def _restore(path: Path, module: nn.Module, optimizers: list, ema: checkpoint.Ema) -> int:
    """Put a bundle back (this rank's parts); returns the step to go on from."""
    bundle = checkpoint.load_bundle(path)
    with torch.no_grad():
        for key, tensor in module.state_dict().items():
            _local(tensor).copy_(bundle["module"][key])
        ema.updates = bundle["ema"]["updates"]
        for key, tensor in ema.average.items():
            _local(tensor).copy_(bundle["ema"]["average"][key])
    for optimizer, state in zip(optimizers, bundle["optimizers"], strict=True):
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        for index, slots in state["state"].items():
            optimizer.state[parameters[index]] = {k: _like(parameters[index], v) for k, v in slots.items()}
    return bundle["step"]


def _like(parameter: Tensor, value: Any) -> Any:
    """A saved local tensor as part of a sharded one, if the parameter is sharded."""
    if isinstance(parameter, DTensor) and isinstance(value, Tensor) and value.dim():
        return DTensor.from_local(value, parameter.device_mesh, parameter.placements)
    return value


class _Averaged:
    """Inside the block the module holds the averaged weights; afterwards its own again."""

    def __init__(self, module: nn.Module, ema: checkpoint.Ema) -> None:
        self.module, self.ema = module, ema

    @torch.no_grad()
    def __enter__(self) -> None:
        state = self.module.state_dict()
        self.own = {key: tensor.detach().clone() for key, tensor in state.items()}
        for key, tensor in state.items():
            tensor.copy_(self.ema.average[key])
        self.module.eval()

    @torch.no_grad()
    def __exit__(self, *_: object) -> None:
        for key, tensor in self.module.state_dict().items():
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
