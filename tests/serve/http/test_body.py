"""Bodies: bracket keys of forms, JSON, and fields that name themselves when they are wrong."""

import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import UploadFile

from happyhorse.serve.http.body import Fields, nest, parse_json
from happyhorse.serve.http.errors import ApiError

NAMES = st.text("abcdefgh_", min_size=1, max_size=6)


def brackets(key: str, value: object) -> list[tuple[str, str]]:
    """Pairs as the official client writes a nested value."""
    if isinstance(value, dict):
        return [pair for name, inner in value.items() for pair in brackets(f"{key}[{name}]", inner)]
    if isinstance(value, list):
        return [pair for inner in value for pair in brackets(f"{key}[]", inner)]
    return [(key, str(value))]


NESTED = st.dictionaries(
    NAMES,
    st.one_of(
        st.text(min_size=1),
        st.lists(st.text(), min_size=1, max_size=4),
        st.dictionaries(NAMES, st.text(), min_size=1, max_size=3),
        st.lists(st.fixed_dictionaries({"path": st.text(), "scale": st.text()}), min_size=1, max_size=3),
    ),
)


@given(NESTED)
def test_what_the_client_writes_with_brackets_is_read_back(values):
    assert nest([pair for key, value in values.items() for pair in brackets(key, value)]) == values


def test_files_of_one_key_are_a_list_and_the_last_of_several_texts_counts():
    one, two, three = (UploadFile(io.BytesIO()) for _ in range(3))
    assert nest([("a", one)]) == {"a": one}
    assert nest([("a", one), ("b", "1"), ("a", two), ("b", "2"), ("a", three)]) == {
        "a": [one, two, three],
        "b": "2",
    }
    assert nest([("a[b]", one), ("a[b]", two)]) == {"a": {"b": [one, two]}}
    assert nest([("a", "1"), ("a", one)]) == {"a": one} and nest([("a", one), ("a", "1")]) == {"a": "1"}


@given(st.lists(st.tuples(st.text("ab[]", max_size=12), st.text(max_size=2)), max_size=6))
def test_any_keys_are_read_or_refused(pairs):
    try:
        json.dumps(nest(pairs))
    except ApiError as error:
        assert error.status == 400


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        ([("a[b", "1")], "not understood"),
        ([("a[b]" + "[c]" * 9, "1")], "nested too deeply"),
        ([("a", "1"), ("a[b]", "2")], "contradicts"),
        ([("a[]", "1"), ("a[b]", "2")], "contradicts"),
    ],
)
def test_keys_that_cannot_be_understood(pairs, message):
    with pytest.raises(ApiError, match=message):
        nest(pairs)


@given(st.binary(max_size=40))
def test_any_bytes_are_an_object_or_refused(body):
    try:
        assert isinstance(parse_json(body), dict)
    except ApiError as error:
        assert error.status == 400


@pytest.mark.parametrize("body", [b"[1]", b'{"a": NaN}', b'{"a": "\\ud800"}', b"[" * 100_000, b"\xff", b""])
def test_json_that_is_no_object_of_text(body):
    with pytest.raises(ApiError):
        parse_json(body)


def test_fields_are_checked_and_name_themselves():
    fields = Fields({"a": "4", "b": 2.0, "c": "true", "d": {"e": 1}, "f": ""}, "in.")
    assert fields.whole("a", 0, 9) == 4 and fields.whole("b", 0, 9) == 2 and fields.flag("c") is True
    inner = fields.table("d")
    assert inner and inner.number("e") == 1.0 and fields.text("f") is None
    fields.end()
    inner.end()


@pytest.mark.parametrize(
    ("value", "ask", "message"),
    [
        ("x", lambda f: f.whole("k", 0, 9), "in.k must be a whole number"),
        (1.5, lambda f: f.whole("k", 0, 9), "in.k must be a whole number"),
        (True, lambda f: f.whole("k", 0, 9), "in.k must be a whole number"),
        ("1e999", lambda f: f.whole("k", 0, 9), "in.k must be a whole number"),
        (10, lambda f: f.whole("k", 0, 9), "in.k is out of range; give 0 to 9"),
        ("nan", lambda f: f.number("k"), "in.k must be a number"),
        ([1], lambda f: f.number("k"), "in.k must be a number"),
        (7, lambda f: f.text("k"), "in.k must be a string"),
        ("long", lambda f: f.text("k", 3), "in.k has 4 characters; use at most 3"),
        ("a\0", lambda f: f.text("k"), r"U\+0000"),
        ("maybe", lambda f: f.flag("k"), "in.k must be true or false"),
        ([], lambda f: f.table("k"), "in.k must be an object"),
        (3, lambda f: f.refuse("cannot be", "k"), "in.k cannot be"),
        (3, lambda f: (f.text("key"), f.end()), "unknown field 'in.k'; known here: key"),
    ],
)
def test_wrong_fields_say_what_to_do(value, ask, message):
    with pytest.raises(ApiError, match=message) as error:
        ask(Fields({"k": value}, "in."))
    assert error.value.param == "in.k" and error.value.status == 400
