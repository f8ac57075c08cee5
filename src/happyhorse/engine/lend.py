"""The parts of the 15B on loan under a policy: where weights wait, and what of them is on the device when."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

from happyhorse.engine import attention, ulysses
from happyhorse.engine.offload import place, visitors
from happyhorse.engine.plan import Policy
from happyhorse.engine.strips import in_strips
from happyhorse.generate.installed import PARTS, UPSCALERS, require
from happyhorse.generate.parts import Lend, load_part
from happyhorse.model.compiling import compile_layers
from happyhorse.model.horse import Horse
from happyhorse.model.presets import HorseConfig
from happyhorse.model.weights import load_horse, read_config


@lru_cache(maxsize=1)
def lending(
    folder: Path, device: torch.device, policy: Policy, *, together: bool = False, compiled: bool = False
) -> Lend:
    """What lends the parts in `folder` to stages that compute on `device`, as `policy` says.

    With `together` the processes that torchrun started share the work of the denoisers; with `compiled` their layers
    are compiled. The last lender is kept, and with it the parts that stay on the device: the next clip under the same
    policy finds them there.
    """
    kept: dict[str, Any] = {}

    def load(part: str) -> Any:
        published = PARTS[part].horse
        if published is not None:
            return load_denoiser(part, published)
        if part == "turbo":
            return in_strips(load_part(folder, part, device), policy.strips)
        return load_part(folder, part, "cpu" if part == "text" and policy.text_on_host else device)

    def load_denoiser(part: str, published: HorseConfig) -> Horse:
        root = require(folder, part, f"to load {part!r}")
        settings, streamed = read_config(root, published), policy.streamed[part in UPSCALERS.values()]
        away = {f"block.layers.{i}." for i in visitors(settings.num_layers, streamed)}

        def home(key: str) -> torch.device:
            waits = key.startswith(tuple(away)) or (policy.weights != "bf16" and key.startswith("block."))
            return torch.device("cpu") if waits else device

        horse = place(load_horse(root, settings, home), device, streamed=streamed, weights=policy.weights)
        if device.type == "cuda":
            attention.use(horse)
        if together:
            ulysses.spread(horse)
        return compile_layers(horse) if compiled else horse

    @contextmanager
    def lend(part: str) -> Iterator[Any]:
        with torch.inference_mode(False):  # what stays may be used, and filled, outside of it later
            held = [kept[part] if part in kept else load(part)]
        if not policy.swap:
            kept[part] = held[0]
        try:
            yield held.pop()  # so that nothing here keeps it from being freed
        finally:
            if device.type == "cuda" and policy.swap:
                gc.collect()  # a compiled layer refers to itself
                torch.cuda.empty_cache()

    return lend
