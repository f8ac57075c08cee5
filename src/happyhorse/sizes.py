"""The one table of the sizes that the 15B makes: five ratios at three resolutions.

A clip is sampled at its `base` size and enlarged by super-resolution to its `latent` size, whose sides are multiples of
32 px; what stands over the `picture` is cropped, evenly on both sides. Ratios of one resolution have about the same
area, so that they cost about the same, and base and enlarged picture have the same ratio (16:9 at 1080p: within 1 %, as
trained), so that nothing is stretched.
"""

from dataclasses import dataclass

Pixels = tuple[int, int]  # width, height


@dataclass(frozen=True, slots=True)
class Size:
    """One row: `name` of the resolution, `ratio`, and three sizes (width, height) in px."""

    name: str
    ratio: str
    base: Pixels
    latent: Pixels
    picture: Pixels


SIZES: tuple[Size, ...] = (
    Size("256p", "16:9", (448, 256), (448, 256), (448, 256)),
    Size("256p", "9:16", (256, 448), (256, 448), (256, 448)),
    Size("256p", "1:1", (352, 352), (352, 352), (352, 352)),
    Size("256p", "4:3", (384, 288), (384, 288), (384, 288)),
    Size("256p", "3:4", (288, 384), (288, 384), (288, 384)),
    Size("540p", "16:9", (448, 256), (896, 512), (896, 512)),
    Size("540p", "9:16", (256, 448), (512, 896), (512, 896)),
    Size("540p", "1:1", (352, 352), (672, 672), (672, 672)),
    Size("540p", "4:3", (384, 288), (768, 576), (768, 576)),
    Size("540p", "3:4", (288, 384), (576, 768), (576, 768)),
    Size("1080p", "16:9", (448, 256), (1920, 1088), (1920, 1080)),
    Size("1080p", "9:16", (256, 448), (1088, 1920), (1080, 1920)),
    Size("1080p", "1:1", (352, 352), (1440, 1440), (1440, 1440)),
    Size("1080p", "4:3", (384, 288), (1664, 1248), (1664, 1248)),
    Size("1080p", "3:4", (288, 384), (1248, 1664), (1248, 1664)),
)
"""Every size, from small to large."""


def find(width: int, height: int) -> Size | None:
    """The row whose picture is `width` x `height` px, or None."""
    return next((size for size in SIZES if size.picture == (width, height)), None)


def named(name: str, ratio: str = "16:9") -> Size:
    """The row of a resolution ("540p") and a ratio ("9:16"). Raises ValueError, with what there is, for another."""
    for size in SIZES:
        if (size.name, size.ratio) == (name, ratio):
            return size
    names, ratios = (dict.fromkeys(getattr(size, key) for size in SIZES) for key in ("name", "ratio"))
    raise ValueError(
        f"no size called {name} {ratio}; choose one of {', '.join(names)} and one of {', '.join(ratios)}"
    )


def listed() -> str:
    """All sizes in one line, for messages."""
    return "; ".join(
        f"{name} " + ", ".join("{}x{}".format(*size.picture) for size in SIZES if size.name == name)
        for name in dict.fromkeys(size.name for size in SIZES)
    )
