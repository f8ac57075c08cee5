"""Strict configuration: TOML in, frozen dataclasses out, an unknown key is an error with a suggestion.

A configuration is an ordinary frozen dataclass whose fields are scalars, tuples, or further such dataclasses; numbers
may have a `Range` (`Count`, `Share`). `build` fills one from a mapping and refuses what it does not know, `override`
applies `a.b=c` strings from a command line, and `fingerprint` names the result, so that two runs with one fingerprint
had the same settings.
"""

import dataclasses
import hashlib
import json
import math
import tomllib
import types
import typing
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

from happyhorse.errors import did_you_mean

Config = TypeVar("Config")


@dataclasses.dataclass(frozen=True)
class Range:
    """The numbers from `low` to `high`, both among them, or `above` `low` and `below` `high`: without it.

    NaN is outside of every one.
    """

    low: float
    high: float = math.inf
    above: bool = False
    below: bool = False

    def __contains__(self, number: float) -> bool:
        ends = (self.above and number == self.low) or (self.below and number == self.high)
        return self.low <= number <= self.high and not ends

    def __str__(self) -> str:
        if self.high < math.inf:
            return f"from {self.low:g} to {'below ' * self.below}{self.high:g}"
        return f"above {self.low:g}" if self.above else f"{self.low:g} or more"


Count = Annotated[int, Range(1)]
Number = Annotated[int, Range(0)]
Share = Annotated[float, Range(0, 1)]
# what a moving average keeps: one that kept all would never move
Decay = Annotated[float, Range(0, 1, below=True)]
Factor = Annotated[float, Range(0)]
Positive = Annotated[float, Range(0, above=True)]


def build(kind: type[Config], values: Mapping[str, Any], where: str = "") -> Config:
    """Make a `kind` from plain `values`; nested tables become nested dataclasses.

    `where` is the dotted path of the table, used in messages. Raises ValueError for an unknown key (with the
    nearest known one), a missing key without default, or a value of the wrong type or outside of its range.
    """
    hints = typing.get_type_hints(kind, include_extras=True)
    fields = {field.name: field for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    for key in values:
        if key not in fields:
            raise ValueError(f"unknown key '{where}{key}'{did_you_mean(key, fields)}")
    ready = {}
    for name, field in fields.items():
        if name in values:
            ready[name] = _convert(hints[name], values[name], f"{where}{name}")
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise ValueError(f"missing key '{where}{name}': add it to the recipe")
    return kind(**ready)


def _convert(hint: Any, value: Any, where: str) -> Any:
    """Check `value` against the type `hint` of the field at `where`; integers are accepted where floats are due."""
    if dataclasses.is_dataclass(hint):
        if not isinstance(value, Mapping):
            raise ValueError(f"'{where}' must be a table of settings, got {value!r}")
        return build(hint, value, f"{where}.")  # type: ignore[arg-type]
    origin = typing.get_origin(hint)
    if origin is Annotated:
        inner, span = typing.get_args(hint)
        number = _convert(inner, value, where)
        if number not in span:
            raise ValueError(f"'{where}' must be {span}, got {value!r}")
        return number
    if origin in (typing.Union, types.UnionType):
        options = [option for option in typing.get_args(hint) if option is not type(None)]
        return None if value is None else _convert(options[0], value, where)
    if origin is tuple:
        if not isinstance(value, list | tuple):
            raise ValueError(f"'{where}' must be a list, got {value!r}")
        inner = typing.get_args(hint)
        kinds = [inner[0]] * len(value) if inner[-1] is Ellipsis else list(inner)
        if len(kinds) != len(value):
            raise ValueError(f"'{where}' must have {len(kinds)} values, got {len(value)}")
        return tuple(_convert(kind, item, where) for kind, item in zip(kinds, value, strict=True))
    if origin is dict:
        if not isinstance(value, Mapping):
            raise ValueError(f"'{where}' must be a table, got {value!r}")
        return {str(k): _convert(typing.get_args(hint)[1], v, f"{where}.{k}") for k, v in value.items()}
    if origin is typing.Literal:
        if value not in typing.get_args(hint):
            raise ValueError(
                f"'{where}' must be one of {', '.join(map(repr, typing.get_args(hint)))}, got {value!r}"
            )
        return value
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, hint) or (hint is int and isinstance(value, bool)):
        raise ValueError(f"'{where}' must be {hint.__name__}, got {value!r}")
    return value


def read_toml(path: str | Path) -> dict[str, Any]:
    """Parse the TOML file at `path`. Raises ValueError, with the line, for a missing or malformed file."""
    try:
        return tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ValueError(f"no such recipe: {path}; the published ones are in recipes/") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not valid TOML: {error}") from None


def override(values: dict[str, Any], settings: Iterable[str]) -> dict[str, Any]:
    """Apply `a.b=c` strings (the right side read as a TOML value, else as text) on a copy of `values`."""
    result = json.loads(json.dumps(values))
    for setting in settings:
        path, separator, text = setting.partition("=")
        if not separator or not path.strip():
            raise ValueError(f"--set takes key=value, got '{setting}'; for example --set flow.loop.steps=100")
        try:
            value = tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError:
            value = text
        *parents, last = path.strip().split(".")
        table = result
        for parent in parents:
            table = table.setdefault(parent, {})
            if not isinstance(table, dict):
                raise ValueError(f"--set {setting}: '{parent}' is a value, not a table")
        table[last] = value
    return result


def plain(config: Any) -> dict[str, Any]:
    """The JSON-ready form of a configuration, the inverse of `build`."""
    return json.loads(json.dumps(dataclasses.asdict(config)))


def fingerprint(config: Any) -> str:
    """Twelve hexadecimal digits that change whenever a setting does."""
    values = plain(config) if dataclasses.is_dataclass(config) else config
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:12]
