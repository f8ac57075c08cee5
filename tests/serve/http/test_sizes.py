"""Sizes: what is made is made, what others make becomes the nearest, and nothing else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from happyhorse.generate.load import load
from happyhorse.serve.http.errors import ApiError
from happyhorse.serve.http.sizes import KNOWN, RATIOS, RESOLUTIONS, fit, named, parse


@pytest.fixture(scope="module")
def pony():
    return load("pony")


def test_what_a_model_makes_stays(pony):
    assert fit(pony, 96, 160, "size") == (96, 160)


@pytest.mark.parametrize("size", sorted(KNOWN))
def test_what_others_make_keeps_its_shape(pony, size):
    width, height = fit(pony, *size, "size")
    assert pony.format.allows(width, height)
    assert 0.8 < width / height / (size[0] / size[1]) < 1.25


def test_anything_else_is_a_mistake(pony):
    with pytest.raises(ApiError, match="333x777 is not made here; ask for") as error:
        fit(pony, 333, 777, "size")
    assert error.value.param == "size"


@pytest.mark.parametrize("resolution", [None, *RESOLUTIONS, "720P"])
@pytest.mark.parametrize("ratio", [None, *RATIOS])
def test_every_name_means_a_size(pony, resolution, ratio):
    width, height = named(pony, resolution, ratio, ("resolution", "ratio"))
    across, down = map(int, (ratio or "16:9").split(":"))
    assert pony.format.allows(width, height) and 0.8 < width / height / (across / down) < 1.25


def test_names_that_mean_nothing(pony):
    for given_, param in ((("9p", None), "resolution"), ((None, "7:1"), "ratio")):
        with pytest.raises(ApiError) as error:
            named(pony, *given_, ("resolution", "ratio"))
        assert error.value.param == param


@given(st.text(max_size=12))
def test_any_text_is_a_size_or_refused(text):
    try:
        assert all(side >= 10 for side in parse(text, "size"))
    except ApiError as error:
        assert error.status == 400 and error.param == "size"
