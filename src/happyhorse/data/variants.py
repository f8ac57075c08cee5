"""The same scene, but for one thing: what a scene would have been if one of its random draws had come out otherwise.

A maker of scenes takes all its decisions by draws from one generator. Here it draws from a stand-in that keeps a list
of them; played back with one of them exchanged, the list gives the scene in which that one thing is different and
nothing else: the ball is blue instead of red, and falls as it fell. Which draw decides an attribute is found by trying.
"""

import zlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any

import numpy as np

from happyhorse import checkpoint, config
from happyhorse.data.shards import codec_version, world_version
from happyhorse.data.source import WorldConfig
from happyhorse.world.scene import TABLE, Scene, available

FEW = 24  # a draw among more whole numbers than this decides no attribute
_places: dict[tuple[str, str], int] = {}  # which draw decided an attribute of a family the last time


@dataclass(frozen=True, eq=False)
class Draw:
    """One draw of a maker: the method of `numpy.random.Generator` that it called, with what, and what came out."""

    method: str
    args: tuple[Any, ...]
    named: Mapping[str, Any]
    value: Any

    def others(self, wanted: object) -> Iterator[Any]:
        """What might have come out instead; of a choice among words only the `wanted` one."""
        if self.named.get("size") is not None or len(self.args) > 2:
            return
        if self.method == "choice":
            options = np.asarray(next(iter(self.args)))
            if options.ndim == 1:
                yield from (other for other in options if str(other) == str(wanted))
        elif self.method == "integers":
            low, high = self._range()
            if high - low <= FEW:
                yield from (number for number in range(low, high) if number != self.value)
        elif self.method == "permutation" and len(self.value) <= FEW:
            for place in range(1, len(self.value)):
                swapped = np.array(self.value)
                swapped[[0, place]] = swapped[[place, 0]]
                yield swapped

    def again(self, args: tuple[Any, ...], named: Mapping[str, Any]) -> Any:
        """What comes out where the same is drawn from something a little different.

        Raises `AstrayError` where that cannot be told.
        """
        if _same(args, self.args) and _same([*named, *named.values()], [*self.named, *self.named.values()]):
            return self.value
        now = Draw(self.method, args, named, self.value)
        if self.method == "uniform" and len(args) == len(self.args) >= 2 and _same(args[2:], self.args[2:]):
            low, high, a, b = *args[:2], *self.args[:2]
            wide = np.subtract(b, a)
            share = np.where(wide == 0, 0, (self.value - a) / np.where(wide == 0, 1, wide))
            value = low + share * np.subtract(high, low)
            return value if np.ndim(value) else float(value)
        if self.method == "integers" and np.ndim(self.value) == 0:
            low, high = now._range()
            return low + (self.value - low) % (high - low)
        if self.method == "choice" and np.ndim(args[0]) == 1 and self.value in list(args[0]):
            return self.value
        raise AstrayError

    def _range(self) -> tuple[int, int]:
        low, high = (0, *self.args) if len(self.args) == 1 else self.args
        return int(low), int(high)


class AstrayError(Exception):
    """A maker asked for other draws than those that there are."""


class Recorder:
    """Stands in for a generator, and keeps what was drawn from it."""

    def __init__(self, generator: np.random.Generator) -> None:
        self.generator, self.draws = generator, []

    def __getattr__(self, method: str) -> Callable[..., Any]:
        def draw(*args: Any, **named: Any) -> Any:
            value = getattr(self.generator, method)(*args, **named)
            self.draws.append(Draw(method, args, named, _kept(value)))
            return value

        return draw


class Player(Recorder):
    """Stands in for a generator from which `draws` come, those numbered in `changes` as they are there.

    Raises `AstrayError` in the middle of a scene that asks for others.
    """

    def __init__(self, draws: Sequence[Draw], changes: Mapping[int, Any]) -> None:
        self.script, self.changes, self.draws = draws, changes, []

    def __getattr__(self, method: str) -> Callable[..., Any]:
        def draw(*args: Any, **named: Any) -> Any:
            number = len(self.draws)
            if number >= len(self.script) or self.script[number].method != method:
                raise AstrayError
            value = self.changes.get(number)
            if value is None:
                value = self.script[number].again(args, named)
            self.draws.append(Draw(method, args, named, _kept(value)))
            return _kept(value)

        return draw


@dataclass(frozen=True, eq=False)
class Variant:
    """A scene, and the draws that decided it."""

    scene: Scene
    draws: tuple[Draw, ...]

    @classmethod
    def of(cls, family: str, seed: int, seconds: float) -> "Variant":
        """The scene that the world has for a family and a seed. Raises ValueError as `world.sample` does not: a family
        that is unknown, or cannot be made here, is a mistake of the caller.
        """
        source = Recorder(np.random.default_rng([seed, zlib.crc32(family.encode())]))
        scene = _maker(family)(source, seed, seconds)
        return cls(scene, tuple(source.draws))

    def changed(self, key: str, value: str, keep: Collection[str] | None = None) -> "Variant | None":
        """The scene with another `value` of the attribute `key`; None where no one draw decides that.

        Every other attribute and every event is what it was; or, with `keep`, only the attributes named there.
        """
        if str(self.scene.attributes.get(key)) == value:
            return self
        for number in self._order(key, range(len(self.draws))):
            for other in self.draws[number].others(value):
                found = self._played({number: other}, key, value, keep)
                if found is not None:
                    _places[self.scene.family, key] = number
                    return found
        return None

    def _order(self, key: str, numbers: range) -> list[int]:
        """Numbers of draws, first the one that decided the attribute the last time, then choices among words."""
        known = _places.get((self.scene.family, key))
        return sorted(numbers, key=lambda number: (number != known, self.draws[number].method != "choice"))

    def _played(
        self,
        changes: Mapping[int, Any],
        key: str,
        value: str,
        keep: Collection[str] | None,
        deeper: bool = True,
    ) -> "Variant | None":
        """The scene with some draws exchanged, and one more where that brings back what a filtered choice moved."""
        player = Player(self.draws, changes)
        try:
            scene = _maker(self.scene.family)(player, self.scene.seed, self.scene.seconds)
        except AstrayError:
            return None
        if str(scene.attributes.get(key)) != value:
            return None
        before, after = self.scene.attributes, scene.attributes
        kept = before.keys() | after.keys() if keep is None else set(keep)
        moved = [name for name in kept - {key} if before.get(name) != after.get(name)]
        if not moved and (keep is not None or _moments(scene) == _moments(self.scene)):
            return Variant(scene, tuple(player.draws))
        if len(moved) != 1 or not deeper:
            return None
        for number in self._order(moved[0], range(max(changes) + 1, len(self.draws))):
            for other in self.draws[number].others(before.get(moved[0])):
                found = self._played({**changes, number: other}, key, value, keep, deeper=False)
                if found is not None:
                    _places[self.scene.family, moved[0]] = number
                    return found
        return None


def _maker(family: str) -> Callable[..., Scene]:
    entry = TABLE[family]
    return getattr(import_module(f"happyhorse.world.{entry.module}"), entry.function)


def _moments(scene: Scene) -> list[tuple[str, int]]:
    return [(event.kind, event.sample) for event in scene.events]


def _kept(value: Any) -> Any:
    """A copy of an array that came out: its maker may change it in place."""
    return value.copy() if isinstance(value, np.ndarray) else value


def _same(one: Sequence[Any], two: Sequence[Any]) -> bool:
    return len(one) == len(two) and all(np.array_equal(a, b) for a, b in zip(one, two, strict=True))


def folder(kind: str, split: str, world: WorldConfig, codec: str | None, maker: str) -> str:
    """Name of the folder of a `kind` of clips made of variants: of all that decides them, the file `maker` too."""
    code = config.fingerprint([_hash(maker), _hash(__file__)])
    made = [config.plain(world), world_version(), code, available(), codec_version(codec)]
    return f"{kind}-{split}-{config.fingerprint(made)}"


@cache
def _hash(file: str) -> str:
    return checkpoint.sha256(file)
