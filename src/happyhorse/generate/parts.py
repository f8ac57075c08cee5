"""The parts of the 15B on loan: loaded when a stage needs them, gone when it is done.

Text encoder, denoisers and codecs together are larger than any one card, and no two of them are ever needed at once.
Whoever has the room, or a better plan, lends them in another way: anything with the signature of `Lend` will do.
"""

import json
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from happyhorse.codec.stable_audio import load_stable_audio
from happyhorse.codec.t5gemma import load_text_encoder
from happyhorse.codec.turbo import load_turbo
from happyhorse.codec.wan import load_wan
from happyhorse.generate.installed import PARTS, require
from happyhorse.model.weights import AGAIN, check, load_horse, read_config

Lend = Callable[[str], AbstractContextManager[Any]]
"""Gives a part of `installed.PARTS`, by its name, to a `with` block; the part is not used after the block."""


def load_part(folder: str | Path, part: str, device: torch.device | str) -> Any:
    """One part of the model in `folder`, on `device`, ready to compute, without gradients.

    A `TextEncoder` ("text"), `WanCodec` ("video"), `TurboDecoder` ("turbo"), `StableAudioCodec` ("audio") or `Horse`
    (any denoiser). Raises ValueError, with the remedy, where it is missing, damaged or another than expected.
    """
    place, settings = require(folder, part, f"what {PARTS[part].does}"), PARTS[part].horse
    if settings is not None:
        return load_horse(place, read_config(place, settings), device)
    loaders = {"text": load_text_encoder, "video": load_wan, "turbo": load_turbo, "audio": load_stable_audio}
    return loaders[part](place, device)


@lru_cache(maxsize=64)
def check_part(folder: str | Path, part: str, why: str) -> None:
    """Raise ValueError, before anything is computed, where a part is missing, incomplete or damaged: headers are read,
    weights are not.

    `why` says in the sentence what needs it. What was found whole is not looked at again.
    """
    place, settings = require(folder, part, why), PARTS[part].horse
    if settings is not None:
        check(place, read_config(place, settings))
        return
    files = sorted(path for path in place.iterdir() if path.is_file() and not path.name.startswith("."))
    for path in files:
        check_file(path)
    for name in unindexed(files):
        raise ValueError(f"{why} needs {name} in {place}, which is missing; {AGAIN}")


def check_file(path: Path) -> None:
    """Raise ValueError where a file of a part is cut off or not what its name says."""
    try:
        if path.suffix == ".safetensors":
            with safe_open(path, framework="np"):
                pass
        elif path.suffix == ".json":
            said = json.loads(path.read_text(encoding="utf-8"))
            if path.name.endswith(".index.json") and not isinstance(said.get("weight_map"), dict):
                raise ValueError("it names no weights")
        elif path.suffix == ".ckpt" and not zipfile.is_zipfile(path):
            raise ValueError("it is cut off, or no checkpoint")
    except (ValueError, AttributeError, SafetensorError) as error:
        raise ValueError(f"{path} is damaged ({error}); {AGAIN}") from None


def unindexed(files: Sequence[Path]) -> Iterator[str]:
    """Names of the shards that an index among `files` names and that are not among them."""
    names = {path.name.removesuffix(".zst") for path in files}
    for path in files:
        if path.name.endswith(".safetensors.index.json"):
            yield from sorted(
                set(json.loads(path.read_text(encoding="utf-8"))["weight_map"].values()) - names
            )


def one_at_a_time(folder: str | Path, device: torch.device) -> Lend:
    """Every part is read when it is asked for and freed at the end of its block: the least memory, the most reading."""

    @contextmanager
    def lend(part: str) -> Iterator[Any]:
        if device.type == "cuda":
            torch.cuda.empty_cache()  # what the part before left behind
        yield load_part(folder, part, device)

    return lend


def resident(folder: str | Path, device: torch.device) -> Lend:
    """Every part stays once it was read: the most memory, for a device that holds them all."""
    kept: dict[str, Any] = {}

    @contextmanager
    def lend(part: str) -> Iterator[Any]:
        if part not in kept:
            kept[part] = load_part(folder, part, device)
        yield kept[part]

    return lend
