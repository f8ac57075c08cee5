"""The body of a request: JSON, or a form with bracket keys, as one plain value with files in it.

The official clients send a form even where nothing is a file, and write what is nested as `a[b]` and lists as `a[]`. So
`input_reference[image_url]=...` in a form and {"input_reference": {"image_url": ...}} are the same here.
"""

import json
import math
import re
from collections.abc import Iterable
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException
from starlette.requests import Request

from happyhorse.errors import did_you_mean
from happyhorse.serve.http.errors import ApiError, bad

DEEPEST = 8  # brackets
MOST = 200  # fields
LARGE = 2**16  # bytes of JSON that are read in a thread, while other requests are answered
_KEY = re.compile(r"([^\[\]]+)((?:\[[^\[\]]*\])*)")
_PART = re.compile(r"\[([^\[\]]*)\]")


async def read_body(request: Request) -> dict[str, Any]:
    """The fields of a body, by name; files are `UploadFile`s. Raises ApiError 400 or 415."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind in ("multipart/form-data", "application/x-www-form-urlencoded"):
        try:
            form = await request.form(max_files=16, max_fields=MOST, max_part_size=2**18)
        except (MultiPartException, UnicodeDecodeError, ValueError) as error:
            raise bad(None, f"the form cannot be read: {str(error)[:200]}", "invalid_body") from None
        return nest(form.multi_items())
    if kind == "application/json" or kind.endswith("+json"):
        body = await request.body()
        return await run_in_threadpool(parse_json, body) if len(body) > LARGE else parse_json(body)
    raise ApiError(415, "unsupported_media_type", "send application/json or multipart/form-data")


def parse_json(body: bytes) -> dict[str, Any]:
    """The object in a body. Raises ApiError 400 for anything else, and for what is no Unicode text."""
    try:
        found = json.loads(body)
        json.dumps(found, allow_nan=False, ensure_ascii=False).encode()  # no NaN, no lone surrogates
    except RecursionError:
        raise bad(None, "the JSON is nested too deeply", "invalid_body") from None
    except ValueError as error:
        raise bad(None, f"the body is no JSON that can be used: {str(error)[:200]}", "invalid_body") from None
    if not isinstance(found, dict):
        raise bad(None, "the body must be a JSON object", "invalid_body")
    return found


def nest(items: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """Fields of a form with bracket keys as nested dicts and lists.

    Of a plain key that comes twice the last text counts; files are a list, so that none is lost in silence.

    Raises ApiError 400 for keys that cannot be understood or contradict each other.
    """
    found: dict[str, Any] = {}
    for key, value in items:
        match = _KEY.fullmatch(key)
        if match is None:
            raise bad(key[:80], f"the field name {key[:80]!r} is not understood", "invalid_body")
        path = [match[1], *_PART.findall(match[2])]
        if len(path) > DEEPEST:
            raise bad(match[1], f"the field {match[1]!r} is nested too deeply", "invalid_body")
        _put(found, path, value, key)
    return found


def _put(found: dict[str, Any], path: list[str], value: Any, key: str) -> None:
    """Put `value` at a path whose "" parts are list items; an object in a list begins anew where a key repeats."""
    here: Any = found
    for part, after in zip(path, [*path[1:], None], strict=True):
        fresh: Any = value if after is None else [] if after == "" else {}
        if isinstance(here, list):
            last = here[-1] if here else None
            new = (
                after is None
                or not isinstance(last, type(fresh))
                or (isinstance(last, dict) and after in last)
            )
            if new:
                here.append(fresh)
            here = here[-1]
        else:
            if after is None:
                here[part] = _beside(here.get(part), value)
            elif not isinstance(here.setdefault(part, fresh), type(fresh)):
                raise bad(path[0], f"the field {key[:80]!r} contradicts another one", "invalid_body")
            here = here[part]


def _beside(before: Any, value: Any) -> Any:
    """The value of a plain key that had the value `before`."""
    held = before if isinstance(before, list) else [before]
    both = isinstance(value, UploadFile) and isinstance(held[-1], UploadFile)
    return [*held, value] if both else value


class Fields:
    """Takes fields out of a body one by one, each checked; what is left at the end is a mistake (`end`)."""

    def __init__(self, values: dict[str, Any], prefix: str = "") -> None:
        self._values, self._prefix, self._known = dict(values), prefix, set[str]()

    def name(self, key: str) -> str:
        """A field as errors call it."""
        return f"{self._prefix}{key}"

    def peek(self, key: str) -> Any:
        """Whatever is there, which stays there."""
        return self._values.get(key)

    def take(self, key: str) -> Any:
        """Whatever is there; None where nothing is, or an empty text."""
        self._known.add(key)
        value = self._values.pop(key, None)
        return None if value == "" else value

    def text(self, key: str, longest: int = 1000) -> str | None:
        """A text of at most `longest` characters."""
        value = self.take(key)
        if value is None:
            return None
        if not isinstance(value, str):
            raise bad(self.name(key), f"{self.name(key)} must be a string")
        if "\0" in value:
            raise bad(self.name(key), f"{self.name(key)} holds the character U+0000; give plain text")
        if len(value) > longest:
            raise bad(
                self.name(key), f"{self.name(key)} has {len(value):,} characters; use at most {longest:,}"
            )
        return value

    def number(self, key: str) -> float | None:
        """A finite number, also as text."""
        value = self.take(key)
        if value is None:
            return None
        try:
            if isinstance(value, bool) or not isinstance(value, int | float | str):
                raise ValueError
            number = float(value)
        except (ValueError, OverflowError):
            number = math.nan
        if not math.isfinite(number):
            raise bad(self.name(key), f"{self.name(key)} must be a number")
        return number

    def whole(self, key: str, low: int, high: int) -> int | None:
        """A whole number from `low` to `high`, also as text."""
        value = self.take(key)
        if value is None:
            return None
        try:
            if (
                isinstance(value, bool)
                or not isinstance(value, int | float | str)
                or float(value) != int(value)
            ):
                raise ValueError
            if low <= int(value) <= high:
                return int(value)
        except (ValueError, OverflowError):
            raise bad(self.name(key), f"{self.name(key)} must be a whole number") from None
        raise bad(self.name(key), f"{self.name(key)} is out of range; give {low} to {high}")

    def flag(self, key: str) -> bool | None:
        """True or false, also as text."""
        value = self.take(key)
        if value is None or isinstance(value, bool):
            return value
        if value in ("true", "false"):
            return value == "true"
        raise bad(self.name(key), f"{self.name(key)} must be true or false")

    def table(self, key: str) -> "Fields | None":
        """Fields within a field."""
        value = self.take(key)
        if value is None:
            return None
        if not isinstance(value, dict):
            raise bad(self.name(key), f"{self.name(key)} must be an object")
        return Fields(value, f"{self.name(key)}.")

    def refuse(self, why: str, *keys: str, unless: tuple[Any, ...] = (None, False)) -> None:
        """Refuse fields that ask for what cannot be done; values that ask for nothing are let through."""
        for key in keys:
            if (value := self.take(key)) not in unless and value not in ("false", [], {}):
                raise bad(self.name(key), f"{self.name(key)} {why}", "unsupported_parameter")

    def end(self) -> None:
        """Raise ApiError 400 for a field that nobody asked for."""
        for key in self._values:
            message = f"unknown field {self.name(key)[:80]!r}{did_you_mean(key[:80], self._known)}"
            raise bad(self.name(key)[:80], message, "unknown_parameter")
