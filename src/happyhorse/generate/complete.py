"""A request that says everything: what was asked, and for the rest what suits the model and what is given."""

import secrets
from collections.abc import Mapping
from typing import Any

from happyhorse.errors import did_you_mean
from happyhorse.generate.length import settle
from happyhorse.values import Format, Request

UPSCALING = ("align_corners", "upscale_steps", "upscale_guidance")


def complete(
    name: str,
    format: Format,
    defaults: Mapping[str, Any],
    speaks: bool,
    prompt: str,
    asked: Mapping[str, Any],
) -> Request:
    """The request for `prompt` to the model called `name`, with a fresh seed where none is asked for.

    `asked` are fields of `Request`, of which None is open, and `upscale` (False: without super-resolution); `defaults`
    are those of the model; a model that `speaks` times the lines of a prompt. Raises ValueError for a field that does
    not exist or would do nothing, and where `Request` and `settle` do.
    """
    known = Request.__dataclass_fields__
    asked = dict(asked)
    large = asked.pop("upscale", True)
    for key in asked:
        if key not in known:
            raise ValueError(f"unknown option {key!r}{did_you_mean(key, known)}")
    asked = {key: value for key, value in asked.items() if value is not None}
    chosen = {key: getattr(format, key) for key in ("width", "height", "seconds")} | dict(defaults)
    if not large:
        chosen["width"], chosen["height"] = format.base(chosen["width"], chosen["height"])
    chosen |= {"seed": secrets.randbelow(1_000_000), "model": name} | asked
    request = settle(Request(prompt=prompt, **chosen), format, asked, speaks)
    format.holding(1, request.width, request.height)  # a size that is impossible is said as it was asked for
    base = format.base(request.width, request.height)
    if not large and base != (request.width, request.height):
        raise ValueError(
            f"{request.width}x{request.height} is made by super-resolution; without it ask for {base[0]}x{base[1]}"
        )
    useless = [key for key in UPSCALING if key in asked]
    if useless and base == (request.width, request.height):
        raise ValueError(
            f"{' and '.join(useless)} do nothing at {request.width}x{request.height}, which is made without "
            "super-resolution; leave them out"
        )
    return request
