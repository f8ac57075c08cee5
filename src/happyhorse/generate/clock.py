"""How long each stage took, and how far it is."""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

Report = Callable[[str, int, int], None]  # stage, done, of how many
Item = TypeVar("Item")


def silent(stage: str, done: int, total: int) -> None:
    """The report that says nothing."""


class Clock:
    """Seconds by stage in `timings`. Stages nest, and each second counts for the innermost: the sum is the
    whole.
    """

    def __init__(self, report: Report = silent) -> None:
        self.timings: dict[str, float] = {}
        self.report = report
        self._stages: list[str] = []
        self._mark = 0.0

    @contextmanager
    def __call__(self, stage: str) -> Iterator[Callable[[int, int], None]]:
        """Count the time of the block for `stage`; yields its `progress(done, total)`."""
        self._settle()
        self._stages.append(stage)
        try:
            yield lambda done, total: self.report(stage, done, total)
        finally:
            self._settle()
            self._stages.pop()

    def over(
        self, stage: str, items: Iterable[Item], size: Callable[[Item], int], total: int
    ) -> Iterator[Item]:
        """Pass `items` on, counting the time to make each one for `stage` and reporting their sizes as
        progress.
        """
        iterator, done = iter(items), 0
        while True:
            with self(stage) as progress:
                item = next(iterator, None)
                if item is None:
                    return
                done += size(item)
                progress(done, total)
            yield item

    def _settle(self) -> None:
        now = time.perf_counter()
        if self._stages:
            stage = self._stages[-1]
            self.timings[stage] = self.timings.get(stage, 0.0) + now - self._mark
        self._mark = now
