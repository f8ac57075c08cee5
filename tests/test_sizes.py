"""The table of sizes: what every row must keep, and what the format makes of it."""

import pytest

from happyhorse.shapes import HAPPYHORSE_15B, PONY
from happyhorse.sizes import SIZES, find, listed, named


def area(size):
    return size[0] * size[1]


def test_five_ratios_at_three_resolutions():
    assert len(SIZES) == len({size.picture for size in SIZES}) == 15
    assert {(size.name, size.ratio) for size in SIZES} == {
        (name, ratio) for name in ("256p", "540p", "1080p") for ratio in ("16:9", "9:16", "1:1", "4:3", "3:4")
    }
    assert (named("540p").picture, named("1080p").picture) == ((896, 512), (1920, 1080))
    assert named("256p").picture == (HAPPYHORSE_15B.width, HAPPYHORSE_15B.height)


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size.name}-{size.ratio}")
def test_every_row(size):
    across, down = map(int, size.ratio.split(":"))
    for width, height in (size.base, size.latent):
        assert width % 32 == height % 32 == 0
        assert abs(width / height / (across / down) - 1) < 0.02
    # nothing is stretched
    assert abs(size.base[0] / size.base[1] / (size.latent[0] / size.latent[1]) - 1) < 0.01
    assert all(0 <= a - b <= 8 for a, b in zip(size.latent, size.picture, strict=True))  # cropped, hardly
    assert 0.93 < area(size.latent) / area(named(size.name).latent) < 1.1  # costs as much as 16:9
    assert size.base == named("256p", size.ratio).picture
    turned = named(size.name, ":".join(reversed(size.ratio.split(":"))))
    assert turned.picture == size.picture[::-1] and turned.latent == size.latent[::-1]


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size.name}-{size.ratio}")
@pytest.mark.parametrize(
    ("seconds", "steps", "latents", "frames"), [(4, 101, 26, 101), (5, 126, 32, 125), (10, 251, 63, 249)]
)
def test_shapes_of_the_specification(size, seconds, steps, latents, frames):
    """15B spec section 3.4, with the sound cut to the picture."""
    whole = HAPPYHORSE_15B.shape(seconds, *size.picture)
    coded = HAPPYHORSE_15B.coded(whole)
    assert (whole.video.width, whole.video.height) == size.picture
    assert coded.video.latent == (latents, size.latent[1] // 16, size.latent[0] // 16)
    assert (whole.audio.steps, whole.video.frames, whole.audio.samples) == (steps, frames, frames * 1764)
    assert whole.audio.channels == 2 and HAPPYHORSE_15B.base(*size.picture) == size.base


def test_tokens_of_the_specification():
    tokens = [
        HAPPYHORSE_15B.coded(HAPPYHORSE_15B.shape(5, *named(n).picture)).video.tokens
        for n in ("256p", "540p", "1080p")
    ]
    assert tokens == [3584, 14336, 65280]


def test_what_is_not_in_the_table():
    assert find(1920, 1088) is None and find(448, 256) is named("256p")
    with pytest.raises(
        ValueError,
        match=r"happyhorse-15b does not make 1280x704; ask for one of 256p 448x256, .*1080p 1920x1080",
    ):
        HAPPYHORSE_15B.shape(5, 1280, 704)
    with pytest.raises(
        ValueError, match=r"no size called 720p 16:9; choose one of 256p, 540p, 1080p and one of 16:9"
    ):
        named("720p")
    for seconds in (2.9, 15.1, float("nan")):
        with pytest.raises(ValueError, match="makes 3 to 15 s"):
            HAPPYHORSE_15B.shape(seconds)
    assert listed().count("x") == 15


def test_the_small_model_has_no_table():
    assert PONY.base(224, 128) == (224, 128)
    shape = PONY.shape(1, 96, 64)
    assert PONY.coded(shape) is shape
