"""Strict configuration: what is unknown, missing or of the wrong type is said, with the remedy."""

from dataclasses import dataclass, field
from typing import Literal

import pytest

from happyhorse.config import Count, Decay, Positive, Share, build, fingerprint, override, plain, read_toml


@dataclass(frozen=True)
class Inner:
    """A nested table."""

    rate: float = 0.1
    sizes: tuple[int, ...] = (1, 2)


@dataclass(frozen=True)
class Outer:
    """A recipe in small."""

    steps: int
    kind: Literal["a", "b"] = "a"
    name: str | None = None
    inner: Inner = Inner()
    notes: dict[str, int] = field(default_factory=dict)


def test_build_and_plain_are_inverse():
    values = {"steps": 3, "kind": "b", "name": "x", "inner": {"rate": 1, "sizes": [4]}, "notes": {"k": 1}}
    built = build(Outer, values)
    assert built.inner == Inner(1.0, (4,))
    assert build(Outer, plain(built)) == built


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"steps": 1, "inner": {"rat": 1}}, r"unknown key 'inner.rat'; did you mean 'rate'\?"),
        ({"steps": 1, "zzz": 1}, "known here: inner, kind"),
        ({}, "missing key 'steps'"),
        ({"steps": "many"}, "'steps' must be int"),
        ({"steps": True}, "'steps' must be int"),
        ({"steps": 1, "kind": "c"}, "one of 'a', 'b'"),
        ({"steps": 1, "inner": 3}, "must be a table"),
        ({"steps": 1, "inner": {"sizes": 3}}, "must be a list"),
        ({"steps": 1, "inner": {"sizes": ["x"]}}, "'inner.sizes' must be int"),
    ],
)
def test_errors_name_the_key(values: dict, message: str):
    with pytest.raises(ValueError, match=message):
        build(Outer, values)


@dataclass(frozen=True)
class Numbers:
    """Numbers with ranges."""

    steps: Count = 1
    rate: Positive = 1.0
    shares: tuple[Share, ...] = ()
    keep: Decay = 0.9


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"steps": 0}, "'steps' must be 1 or more, got 0"),
        ({"steps": 1.0}, "'steps' must be int"),
        ({"rate": 0}, "'rate' must be above 0, got 0"),
        ({"rate": float("nan")}, "'rate' must be above 0, got nan"),
        ({"shares": [0.5, 1.5]}, "'shares' must be from 0 to 1, got 1.5"),
        ({"keep": 1}, "'keep' must be from 0 to below 1, got 1"),
    ],
)
def test_a_number_outside_of_its_range_is_refused(values: dict, message: str):
    with pytest.raises(ValueError, match=message):
        build(Numbers, values)


def test_the_ends_of_a_range_are_inside():
    assert build(Numbers, {"steps": 1, "rate": 1e-9, "shares": [0, 1], "keep": 0}) == Numbers(
        1, 1e-9, (0.0, 1.0), 0.0
    )


def test_override_reads_toml_values_and_leaves_the_original():
    values = {"steps": 1, "inner": {"rate": 0.5}}
    changed = override(values, ["inner.rate=2e-3", "kind=b", "inner.sizes=[7, 8]"])
    assert build(Outer, changed) == Outer(1, "b", None, Inner(2e-3, (7, 8)))
    assert values == {"steps": 1, "inner": {"rate": 0.5}}
    with pytest.raises(ValueError, match="key=value"):
        override(values, ["steps"])
    with pytest.raises(ValueError, match="not a table"):
        override(values, ["steps.x=1"])


def test_fingerprint_changes_with_any_setting():
    assert fingerprint(Outer(1)) == fingerprint(Outer(1))
    assert fingerprint(Outer(1)) != fingerprint(Outer(1, inner=Inner(0.2)))


def test_bad_files_are_named(tmp_path):
    with pytest.raises(ValueError, match="no such recipe"):
        read_toml(tmp_path / "none.toml")
    (tmp_path / "bad.toml").write_text("a = = 1")
    with pytest.raises(ValueError, match="not valid TOML"):
        read_toml(tmp_path / "bad.toml")
