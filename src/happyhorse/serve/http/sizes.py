"""The sizes that clients name, and the size that a model makes for them.

Other services make 1280x720 and "720P 9:16"; a model here makes what it can. A size that the model makes is made as it
is. One of the sizes that other services are known for becomes the model's nearest of the same shape, and the answer
says which. Anything else is a mistake.
"""

import math
import re

from happyhorse import sizes
from happyhorse.generate.model import Model
from happyhorse.serve.http.errors import bad

RATIOS = ("16:9", "9:16", "1:1", "4:3", "3:4", "21:9", "9:21", "3:2", "2:3", "5:4", "4:5")
RESOLUTIONS = ("480p", "512p", "540p", "580p", "720p", "768p", "1080p", "2k", "4k", "256p")
_SIDES = (
    "640x360 854x480 848x480 832x480 864x480 640x480 480x480 512x512 624x624 768x768 960x960 1024x1024 1088x832 "
    "1112x834 1280x720 1248x704 1470x630 1024x576 1792x1024 1664x1248 1632x1248 1440x1440 1920x1080 1920x1088 "
    "2560x1440 3840x2160"
)
KNOWN = frozenset(
    size
    for side in _SIDES.split()
    for a, b in [side.split("x")]
    for size in ((int(a), int(b)), (int(b), int(a)))
)
"""Sizes in px that other services make."""


def parse(text: str, param: str) -> tuple[int, int]:
    """Width and height in px of "1280x720" or "1280*720". Raises ApiError 400."""
    match = re.fullmatch(r"(\d{2,5})\s*[xX*×]\s*(\d{2,5})", text.strip())
    if match is None:
        raise bad(param, f"{param} must be WIDTHxHEIGHT in pixels, such as 1280x720")
    return int(match[1]), int(match[2])


def fit(model: Model, width: int, height: int, param: str) -> tuple[int, int]:
    """The size in px that a model makes for `width` x `height` px. Raises ApiError 400 for one that nobody makes."""
    if model.format.allows(width, height):
        return width, height
    if (width, height) not in KNOWN:
        nearest = "{}x{}".format(*_nearest(model, width / height))
        raise bad(
            param, f"{param} {width}x{height} is not made here; ask for {nearest}, or for a common size"
        )
    return _nearest(model, width / height, width * height)


def named(
    model: Model, resolution: str | None, ratio: str | None, params: tuple[str, str]
) -> tuple[int, int]:
    """The size in px of a resolution ("720P") and a ratio ("9:16"), as `params` name them. Raises ApiError 400."""
    resolution, ratio = (resolution or "").lower(), ratio or "16:9"
    if resolution and resolution not in RESOLUTIONS:
        raise bad(params[0], f"{params[0]} {resolution!r} is unknown; choose from {', '.join(RESOLUTIONS)}")
    if ratio not in RATIOS:
        raise bad(params[1], f"{params[1]} {ratio!r} is unknown; choose from {', '.join(RATIOS)}")
    across, down = map(int, ratio.split(":"))
    side = (
        {"": 0, "2k": 1440, "4k": 2160}[resolution]
        if resolution in ("", "2k", "4k")
        else int(resolution[:-1])
    )
    return _nearest(
        model, across / down, side * side * max(across, down) / min(across, down) if side else None
    )


def of_edit(
    model: Model, resolution: str | None, ratio: str | None, params: tuple[str, str]
) -> dict[str, int]:
    """Width and height of a clip that is edited, where they are asked for: else it keeps its own shape and size.

    A resolution alone says nothing to a model that has no table of them. Raises ApiError 400 as `named` does.
    """
    width, height = named(model, resolution, ratio, params)
    return {"width": width, "height": height} if ratio or (resolution and model.format.tabled) else {}


def _nearest(model: Model, ratio: float, area: float | None = None) -> tuple[int, int]:
    """The size of nearly that ratio whose area is next to `area` px in a table, or else next to the model's own."""
    format, usual = model.format, model.request("anything")
    if format.tabled:
        choices = [size.picture for size in sizes.SIZES]
    else:
        sides = range(format.sides[0], format.sides[1] + 1, 32)
        choices = [(width, height) for width in sides for height in sides if format.allows(width, height)]
    goal = area if area and format.tabled else usual.width * usual.height

    def off(size: tuple[int, int]) -> float:
        return 4 * abs(math.log(size[0] / size[1] / ratio)) + abs(math.log(size[0] * size[1] / goal))

    return min(choices, key=off)
