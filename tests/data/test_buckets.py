"""Buckets: what the codec can hold, the nearest shape, the longest length, the largest crop."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from happyhorse.data.buckets import Bucket, Buckets, crop

SIDES = st.integers(1, 16).map(lambda n: 32 * n)


@settings(max_examples=30)
@given(SIDES, SIDES, st.floats(0.2, 20))
def test_every_bucket_can_be_encoded(width: int, height: int, seconds: float) -> None:
    buckets = Buckets(width, height, seconds)
    assert (width, height) == buckets.sizes[0] and (height, width) in buckets.sizes
    assert 1 <= len(buckets.sizes) <= 7 and 1 <= len(buckets.lengths) <= 4
    assert (
        max(buckets.lengths) <= round(seconds * 25) and list(buckets.lengths) == sorted(buckets.lengths)[::-1]
    )
    for size in buckets.sizes:
        for length in buckets.lengths:
            assert Bucket(*size, length).frames % 4 == 1


def test_the_usual_buckets() -> None:
    buckets = Buckets()
    assert buckets.sizes == ((224, 128), (128, 224), (192, 160), (160, 160), (160, 192))
    assert buckets.lengths == (73, 53, 33, 17)
    shapes = {
        (1920, 1080): (224, 128),
        (1080, 1920): (128, 224),
        (640, 480): (192, 160),
        (500, 500): (160, 160),
    }
    assert {size: buckets.size(*size) for size in shapes} == shapes
    assert [buckets.length(n) for n in (17, 32, 33, 72, 73, 5000)] == [17, 17, 33, 53, 73, 73]


@given(st.integers(16, 5000), st.integers(16, 5000), SIDES, SIDES)
def test_the_crop_is_the_largest_of_its_shape_in_the_middle(w: int, h: int, width: int, height: int) -> None:
    left, top, across, down = crop(w, h, Bucket(width, height, 5))
    assert across == w or down == h
    assert abs(2 * left + across - w) <= 1 and abs(2 * top + down - h) <= 1
    # within a pixel of the exact shape
    assert abs(across - down * width / height) <= max(1, width / height)


def test_what_cannot_be_is_refused_with_a_remedy() -> None:
    with pytest.raises(ValueError, match="ask for 96x64"):
        Buckets(100, 64)
    with pytest.raises(ValueError, match=r"0\.2 to 60 s"):
        Buckets(seconds=0.1)
    for seconds in (math.nan, math.inf):
        with pytest.raises(ValueError, match="cannot be made"):
            Buckets(seconds=seconds)
    with pytest.raises(ValueError, match=r"4k\+1, such as 73"):
        Bucket(224, 128, 75)
    with pytest.raises(ValueError, match=r"16 frames .* has 17 .* --seconds 2\.56"):
        Buckets().length(16)
    assert Buckets(seconds=2.56).length(16) <= 16  # the remedy helps
