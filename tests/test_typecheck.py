"""The checker of `make shapes` finds wrong shapes, and leaves other arguments alone."""

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import pytest
import torch
from jaxtyping import Float, TypeCheckError, jaxtyped
from torch import Tensor

pytest.importorskip("beartype")


@pytest.fixture(scope="module")
def checked() -> Callable:
    spec = importlib.util.spec_from_file_location("typecheck", Path(__file__).parent / "typecheck.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.checked


def test_arguments_and_results_are_checked(checked):
    @jaxtyped(typechecker=checked)
    def double(x: Float[Tensor, "B L"], wide: bool = False) -> Float[Tensor, "B L"]:
        return torch.cat([x, x], 1) if wide else 2 * x

    assert double(torch.ones(2, 3)).sum() == 12
    with pytest.raises(TypeCheckError, match="parameter 'x'"):
        double(torch.ones(3))
    with pytest.raises(TypeCheckError, match="return value"):
        double(torch.ones(2, 3), wide=True)


def test_shapes_inside_other_hints_are_checked(checked):
    @jaxtyped(typechecker=checked)
    def first(pairs: list[tuple[Float[Tensor, "3"], float]] | None) -> int:
        return len(pairs or ())

    assert first(None) == 0 and first([(torch.ones(3), 1)]) == 1  # 1 is a float
    with pytest.raises(TypeCheckError):
        first([(torch.ones(4), 1.0)])


def test_what_has_no_shape_is_left_alone(checked):
    class Named(Protocol):
        name: str

    @jaxtyped(typechecker=checked)
    def read(of: Named, count: int) -> float:
        return count

    assert read("no such thing", "3") == "3"  # type: ignore[arg-type]
