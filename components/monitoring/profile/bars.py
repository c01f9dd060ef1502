"""The bars in which distributions are drawn over each other, all on one scale.

A few values far out must not squeeze all others into one bar: the axis ends where nearly all values of each
distribution lie, and is logarithmic where one of them would still fill a small part of it only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[np.float64]
Bin = tuple[float, float, float]
"""Least and greatest value, and their number. If both are the same, it is one value."""

BARS = 40
"""The most bars."""

_OUTER = 0.01
"""The share of the values to each side that may lie beyond the axis, in the outer bars."""

_A_LITTLE = 1e-9
_FEW = 8
"""With fewer bins, the outer ones have more than a few values."""

_SQUEEZED, _SKEWED = 10, 6
"""The axis is logarithmic if the middle half of a distribution fills less than one part in so many: of the whole axis,
or of where nearly all values of the same distribution lie."""


@dataclass(frozen=True)
class _Middle:
    """Where a distribution lies: the ends of nearly all values, and the quartiles."""

    low: float
    high: float
    quartiles: tuple[float, float]

    @property
    def is_skewed(self) -> bool:
        """Whether most values are close together beside the others."""
        return self.width * _SKEWED < self.high - self.low

    @property
    def width(self) -> float:
        """That of the middle half; of nearly all values if these are the same."""
        return (self.quartiles[1] - self.quartiles[0]) or (self.high - self.low)


def borders(distributions: Sequence[Sequence[Bin]], most: int = BARS) -> Array:
    """The borders of bars for distributions, of which some may be empty; one more than bars."""
    known = [each for each in distributions if sum(count for _, _, count in each) > 0]
    middles = [_middle(each) for each in known]
    low, high = min((each.low for each in middles), default=0.0), max((each.high for each in middles), default=1.0)
    steps = _steps(known, most)
    if len(steps):
        return steps
    if high - low <= 1e-9 * max(abs(low), abs(high)):
        return np.linspace(low - 0.5, low + 0.5, most + 1)
    wide = [each for each in middles if each.width > 1e-9 * (high - low)]
    narrow = min(wide, key=lambda each: each.width, default=None)
    if narrow is None or not (narrow.is_skewed or narrow.width * _SQUEEZED < high - low):
        return np.linspace(low, high, most + 1)
    return _logarithmic(narrow, low, high, most)


def shares(bins: Sequence[Bin], edges: Array) -> list[float]:
    """The share of the values in each bar; the outer bars also have all that lies beyond them."""
    total = sum(count for _, _, count in bins)
    if not total:
        return [0.0] * (len(edges) - 1)
    ends, steps = _cumulated(bins)
    below = np.interp(edges, ends, steps / total)
    below[0], below[-1] = 0.0, 1.0
    return [float(share) for share in np.diff(below)]


def beyond(bins: Sequence[Bin], edges: Array) -> tuple[float, float]:
    """The shares of the values below the first border and above the last one."""
    total = sum(count for _, _, count in bins)
    if not total:
        return 0.0, 0.0
    ends, steps = _cumulated(bins)
    low, high = np.interp([edges[0], edges[-1]], ends, steps / total, left=0.0, right=1.0)
    return float(low), 1.0 - float(high)


def is_logarithmic(edges: Array) -> bool:
    """Whether the bars have different widths."""
    widths = np.diff(edges)
    return bool(widths.max() > 1.5 * widths.min())


def _cumulated(bins: Sequence[Bin]) -> tuple[Array, Array]:
    """Ends, ascending, and the number of values up to each; one value is a step."""
    lows, highs, counts = (np.array(part, float) for part in zip(*sorted(bins), strict=True))
    # Just above the lower end, as a bin does not have its lower border; and a step has a width.
    least = np.maximum(np.abs(highs), np.abs(lows)) * 1e-12 + 1e-300
    lows = np.where(lows == highs, lows - least, lows)
    sums = np.cumsum(counts)
    return np.stack([lows, highs], 1).ravel(), np.stack([sums - counts, sums], 1).ravel()


def _middle(bins: Sequence[Bin]) -> _Middle:
    ends, steps = _cumulated(bins)
    parts = steps / steps[-1]
    # Where a step ends at such a part, its own value counts and not the next one.
    low, first = np.interp([_OUTER + _A_LITTLE, 0.25 + _A_LITTLE], parts, ends).tolist()
    third, high = np.interp([0.75 - _A_LITTLE, 1 - _OUTER - _A_LITTLE], parts, ends).tolist()
    # The outer bins may be wide: a few values far out are in them.
    if len(bins) >= _FEW:
        low, high = max(low, float(ends[1])), min(high, float(ends[-2]))
    return _Middle(low, high, (first, third))


def _steps(known: Sequence[Sequence[Bin]], most: int) -> Array:
    """A bar around each value, if these are few and evenly spaced; else none."""
    bins = [each for part in known for each in part]
    values = np.unique([value for value, _, _ in bins])
    if len(values) < 2 or any(value != other for value, other, _ in bins):
        return np.empty(0)
    gap = float(np.diff(values).min())
    count = round((values[-1] - values[0]) / gap) + 1
    if count > most or not np.allclose((values - values[0]) / gap, np.round((values - values[0]) / gap), atol=1e-3):
        return np.empty(0)
    return values[0] + gap * (np.arange(count + 1) - 0.5)


def _logarithmic(narrow: _Middle, low: float, high: float, most: int) -> Array:
    """Bars that become wider with the distance from zero, or from where the narrowest distribution lies."""
    near_zero = 0 <= narrow.low <= 2 * narrow.width and low >= 0
    centre = 0.0 if near_zero else sum(narrow.quartiles) / 2
    scale = narrow.width / 4
    places = np.linspace(np.arcsinh((low - centre) / scale), np.arcsinh((high - centre) / scale), most + 1)
    found: Array = centre + scale * np.sinh(places)
    found[0], found[-1] = low, high
    return found
