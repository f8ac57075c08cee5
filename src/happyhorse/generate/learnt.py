"""What a model has learnt to go by beside its prompt: those conditions that not every training has among its tasks."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from happyhorse.values import Request

LEARNT = {"references": "pictures of a subject", "edit": "editing a clip"}
"""Fields of a request that take a training of their own, with what that teaches; facts name them under "learnt"."""


def check(name: str, facts: Mapping[str, Any], request: Request) -> None:
    """Raise ValueError, with the remedy, where a request asks for what the model called `name` was not trained with."""
    for field, what in LEARNT.items():
        if not getattr(request, field) or field in facts.get("learnt", ()):
            continue
        short = Path(name).name
        if field in facts.get("base_learnt", ()):
            remedy = "its base was; take that (--model pony-base, or a folder without student.safetensors)"
        else:
            remedy = f"leave out {field}, or train them in (docs/how-to/train.md) and take that model"
        raise ValueError(f"{short} was not trained with {what} ({field}): {remedy}")
