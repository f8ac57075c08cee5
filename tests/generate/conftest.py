"""The tiny 15B as models that make clips of five frames, at the tiny sizes of `published`."""

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from happyhorse import sizes
from happyhorse.values import HAPPYHORSE_15B
from published import SIZES


@pytest.fixture(scope="module")
def small_table() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sizes, "SIZES", SIZES)
        yield


@pytest.fixture(scope="session")
def lend(published_15b: Path) -> Any:
    """All parts, once read."""
    import torch

    from happyhorse.generate.parts import resident

    return resident(published_15b, torch.device("cpu"))


@pytest.fixture(scope="module")
def models(published_15b: Path, lend: Any, small_table: None) -> dict[str, Any]:
    """The model with its distilled and with its base denoiser."""
    import torch

    from happyhorse.generate.load import load_published

    short = replace(HAPPYHORSE_15B, lengths=(0.1, 15.0), width=96, height=64, seconds=0.2)
    made = {
        name: load_published(published_15b, name, torch.device("cpu"), lend) for name in ("distill", "base")
    }
    return {name: replace(model, format=short) for name, model in made.items()}


@pytest.fixture(scope="module")
def exact(models: dict[str, Any], lend: Any) -> dict[str, Any]:
    """The same with fp32 matrices: a bf16 product turns a difference in the last bit into a visible one."""
    from happyhorse.model.horse import Horse

    @contextmanager
    def in_fp32(part: str) -> Iterator[Any]:
        with lend(part) as module:
            yield copy.deepcopy(module).float() if isinstance(module, Horse) else module

    return {name: replace(model, lend=in_fp32) for name, model in models.items()}


@pytest.fixture(scope="session")
def velocities_of(lend: Any) -> Callable[..., Any]:
    """`velocities_of(part)` maps latents, text and style of coordinates to velocities: one pass of it in fp32."""
    from happyhorse.model.parity import velocities

    def of(part: str) -> Callable[..., Any]:
        with lend(part) as horse:
            settings, weights = dict(vars(horse.config)), horse.state_dict()
        settings.pop("param_dtype")

        def run(video: Any, audio: Any, text: Any, style: Any) -> tuple[Any, Any]:
            video, audio = velocities(
                settings, weights, video[None], audio[None], text, text.shape[1], style, dtype="fp32"
            )
            return video[0], audio[0]

        return run

    return of
