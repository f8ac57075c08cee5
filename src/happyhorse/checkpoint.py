"""Weights on disk: safetensors with the configuration inside, hashes, EMA, and the bundle that resumes a run.

A released part is one or more `NAME.safetensors` shards of at most 15 MB. Shard 0 carries JSON metadata: the kind
of part ("codec", "flow", ...), its configuration, free-form facts (vocabulary, recipe, metrics) and the names and
SHA-256 of the other shards, so that a truncated or foreign file is noticed before anything runs.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from happyhorse.files import write_atomic

SHARD_BYTES = 15_000_000


@dataclass(frozen=True)
class Checkpoint:
    """One part: its `kind`, plain `config`, tensors by key, and `facts` (anything JSON: recipe, metrics, words)."""

    kind: str
    config: dict[str, Any]
    weights: dict[str, Tensor]
    facts: dict[str, Any] = field(default_factory=dict)


def save(path: str | Path, part: Checkpoint, dtype: torch.dtype | None = None) -> list[Path]:
    """Write `part` to `path` (and `path` with -1, -2 ... before the suffix for further shards), each atomically.

    `dtype` casts floating tensors of two or more dimensions (vectors stay float32: norms and statistics are
    small and sensitive). Returns the files written, shard 0 first.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    shards: list[dict[str, Tensor]] = [{}]
    size = 0
    for key, tensor in part.weights.items():
        tensor = tensor.detach().cpu().contiguous()
        if dtype is not None and tensor.is_floating_point() and tensor.dim() >= 2:
            tensor = tensor.to(dtype)
        nbytes = tensor.numel() * tensor.element_size()
        if size and size + nbytes > SHARD_BYTES:
            shards.append({})
            size = 0
        shards[-1][key] = tensor
        size += nbytes
    names = [path] + [path.with_name(f"{path.stem}-{i}{path.suffix}") for i in range(1, len(shards))]
    others = {}
    for name, shard in list(zip(names, shards, strict=True))[1:]:
        write_atomic(name, lambda temporary, shard=shard: save_file(shard, temporary))
        others[name.name] = sha256(name)
    metadata = {
        "kind": part.kind,
        "config": json.dumps(part.config),
        "facts": json.dumps(part.facts),
        "shards": json.dumps(others),
    }
    write_atomic(path, lambda temporary: save_file(shards[0], temporary, metadata=metadata))
    return names


def load(path: str | Path, kind: str | None = None) -> Checkpoint:
    """Read what `save` wrote; floating tensors come back as float32.

    Raises ValueError, naming the file and the remedy, if it is missing, truncated, foreign, or of another `kind`.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(
            f"no weights at {path}: train them (happyhorse train --help) or reinstall happyhorse"
        )
    weights, metadata = _read(path)
    if "kind" not in metadata:
        raise ValueError(f"{path} was not written by happyhorse: it carries no configuration")
    if kind is not None and metadata["kind"] != kind:
        raise ValueError(f"{path} holds a '{metadata['kind']}' part where a '{kind}' part is needed")
    for name, digest in json.loads(metadata["shards"]).items():
        shard = path.with_name(name)
        if not shard.is_file() or sha256(shard) != digest:
            raise ValueError(f"{shard} is missing or damaged: copy it again or reinstall happyhorse")
        weights |= _read(shard)[0]
    return Checkpoint(
        metadata["kind"], json.loads(metadata["config"]), weights, json.loads(metadata["facts"])
    )


def files(path: str | Path) -> list[Path]:
    """The shards that `save` wrote for `path`, which there may be several of, shard 0 first."""
    path = Path(path)
    return [path, *sorted(path.parent.glob(f"{path.stem}-[0-9]*{path.suffix}"))]


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
            return {
                k: t.float() if t.is_floating_point() else t for k, t in tensors.items()
            }, file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise ValueError(f"{path} is damaged or not safetensors ({error}): copy it again") from None


def within(weights: Mapping[str, Tensor], part: str) -> dict[str, Tensor]:
    """Those of `weights` (of any shapes) whose keys begin with "PART.", without that."""
    prefix = f"{part}."
    return {key.removeprefix(prefix): tensor for key, tensor in weights.items() if key.startswith(prefix)}


def load_into(module: nn.Module, weights: Mapping[str, Tensor], name: str = "these weights") -> None:
    """Copy `weights` into `module` (which may be on the meta device), rounded to the dtypes that it has.

    Raises ValueError, naming the first of the keys that are missing, that belong to no part of the module, and that
    have another shape; `name` says in it where the weights are from.
    """
    own = module.state_dict()
    check_fit(shapes(own), shapes(weights), name)
    if any(tensor.is_meta for tensor in own.values()):
        copies = {key: weights[key].detach().to(tensor.dtype, copy=True) for key, tensor in own.items()}
        module.load_state_dict(copies, assign=True)
    else:
        module.load_state_dict(dict(weights))


def shapes(weights: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    """The shapes of tensors of any shape, by their keys."""
    return {key: tuple(tensor.shape) for key, tensor in weights.items()}


def check_fit(
    own: Mapping[str, tuple[int, ...]], given: Mapping[str, tuple[int, ...]], name: str = "these weights"
) -> None:
    """Raise ValueError unless the shapes `given` are, key by key, the shapes that a module has of its `own`.

    It names the first of the keys that are missing, that are of no use, and that have another shape; `name` says where
    the weights are from.
    """
    unlike = [
        f"{key} is {list(given[key])} and should be {list(shape)}"
        for key, shape in own.items()
        if key in given and given[key] != shape
    ]
    faults = _first("missing", [key for key in own if key not in given])
    faults += _first("of no use", [key for key in given if key not in own])
    faults += _first("misshapen", unlike)
    if faults:
        raise ValueError(
            f"{name} do not fit this model ({'; '.join(faults)}); give the weights that belong to its configuration"
        )


def _first(fault: str, found: list[str], count: int = 3) -> list[str]:
    """The fault with the first that have it and how many more do, or nothing where none has."""
    more = f" and {len(found) - count} more" if len(found) > count else ""
    return [f"{fault}: {', '.join(found[:count])}{more}"] if found else []


def sha256(path: str | Path) -> str:
    """Hexadecimal SHA-256 of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def trained(module: nn.Module) -> dict[str, Tensor]:
    """The state of a module, tensors of any shape by key, without parameters that are frozen."""
    frozen = {name for name, parameter in module.named_parameters() if not parameter.requires_grad}
    return {key: tensor for key, tensor in module.state_dict().items() if key not in frozen}


class Ema:
    """Moving average of what is trained of a module; update n keeps min(decay, (1 + n) / (10 + n)) of it."""

    def __init__(self, module: nn.Module, decay: float) -> None:
        """Start from the module's present values; `decay` in [0, 1)."""
        self.decay, self.updates = decay, 0
        self.average = {key: tensor.detach().float().clone() for key, tensor in trained(module).items()}

    @torch.no_grad()
    def update(self, module: nn.Module) -> None:
        """Move the average towards the module's values by one step."""
        self.updates += 1
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        for key, tensor in trained(module).items():
            self.average[key].lerp_(tensor.detach().float(), 1 - decay)

    def state_dict(self) -> dict[str, Any]:
        """What `load_state_dict` takes."""
        return {"updates": self.updates, "average": self.average}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue where `state_dict` stopped."""
        self.updates = state["updates"]
        for key, tensor in state["average"].items():
            self.average[key].copy_(tensor)


def save_bundle(path: str | Path, **state: Any) -> None:
    """Write everything a run needs to go on bit for bit (tensors and plain values), atomically."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, lambda temporary: torch.save(state, temporary))


def load_bundle(path: str | Path) -> dict[str, Any]:
    """Read a bundle (tensors and plain values only, nothing executable). Raises ValueError if it is damaged."""
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise ValueError(f"{path} is not a resumable bundle ({error}): delete it to start anew") from None
