"""Scales of charts: from values to positions, with ticks at round values."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from components.reports.figures import number

Range = tuple[float, float]


@dataclass(frozen=True)
class Scale:
    """Places values from `low` to `high` between two positions in the picture."""

    low: float
    high: float
    start: float
    end: float

    def at(self, value: float) -> float:
        """The position of a value, which may lie outside."""
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)


def extent(values: Iterable[float], given: Range | None = None, *, include_zero: bool = False) -> Range:
    """The range of all finite values; never empty."""
    finite = [value for value in values if math.isfinite(value)] if given is None else list(given)
    low, high = (min(finite), max(finite)) if finite else (0.0, 1.0)
    low, high = (min(low, 0.0), max(high, 0.0)) if include_zero else (low, high)
    if low < high:
        return low, high
    margin = abs(low) / 10 or 1.0
    return low - margin, high + margin


def rounded(limits: Range, count: int = 5) -> Range:
    """The range, extended to the next ticks."""
    step = _step(limits, count)
    return math.floor(limits[0] / step + 1e-9) * step, math.ceil(limits[1] / step - 1e-9) * step


def ticks(limits: Range, count: int = 5) -> list[float]:
    """About `count` round values in a range."""
    step = _step(limits, count)
    first, last = math.ceil(limits[0] / step - 1e-9), math.floor(limits[1] / step + 1e-9)
    return [round(index * step, 15 - math.ceil(math.log10(step) + 1)) + 0.0 for index in range(first, last + 1)]


def labels(values: Sequence[float]) -> list[str]:
    """The ticks as text: short, and all different."""
    if values and max(map(abs, values)) >= 10_000:
        return [abbreviated(value, 6) for value in values]
    return [number(value, 6) for value in values]


def _step(limits: Range, count: int) -> float:
    raw = (limits[1] - limits[0]) / max(count, 1)
    power = 10.0 ** math.floor(math.log10(raw))
    return next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= raw * 0.999)


def abbreviated(value: float, digits: int = 4) -> str:
    """A number with at most so many digits: 25k, 1.408G; smaller ones as they are."""
    for size, unit in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if max(size, 1e4) <= abs(value) < 1e15:
            return f"{number(value / size, digits)}{unit}"
    return number(value, digits)
