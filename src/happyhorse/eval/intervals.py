"""How sure a figure is: bootstrap intervals over clips, and Wilson's interval for a share."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

Item = TypeVar("Item")


@dataclass(frozen=True)
class Figure:
    """A measured value and the bounds of its 95 % interval; all are NaN where there was nothing to measure."""

    value: float
    low: float
    high: float

    def text(self, digits: int = 1) -> str:
        """The value with its interval, as in "12.3 [10.1, 14.9]", or "n/a"."""
        if math.isnan(self.value):
            return "n/a"
        return f"{self.value:.{digits}f} [{self.low:.{digits}f}, {self.high:.{digits}f}]"


def bootstrap(
    items: Sequence[Item],
    statistic: Callable[[Sequence[Item]], float],
    generator: np.random.Generator,
    resamples: int = 500,
) -> Figure:
    """`statistic` of the items with its 95 % percentile interval over resamples with replacement (Efron
    1979).

    Items are clips, not events: events of one clip share its errors, so a clip is drawn whole. Resamples in
    which the statistic is undefined (NaN) do not count.
    """
    value = statistic(items)
    if math.isnan(value):
        return Figure(math.nan, math.nan, math.nan)
    draws = generator.integers(len(items), size=(resamples, len(items)))
    values = np.array([statistic([items[i] for i in draw]) for draw in draws])
    low, high = np.nanpercentile(values, [2.5, 97.5])
    return Figure(float(value), float(low), float(high))


def share(successes: int, total: int) -> Figure:
    """The share successes / total with Wilson's 95 % score interval (Wilson 1927), which holds in small samples too."""
    if total == 0:
        return Figure(math.nan, math.nan, math.nan)
    z = 1.959964
    p = successes / total
    middle = (p + z * z / (2 * total)) / (1 + z * z / total)
    half = z * math.sqrt(p * (1 - p) / total + z * z / (4 * total * total)) / (1 + z * z / total)
    return Figure(p, max(0.0, middle - half), min(1.0, middle + half))
