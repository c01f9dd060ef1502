"""What each measure stays under in 95 % of windows of a size when nothing has changed."""

from __future__ import annotations

import math
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from components.monitoring.drift import distances
from components.monitoring.drift.measures import of_categories, of_numbers, scaled_places
from components.monitoring.summaries import Summary

Array: TypeAlias = NDArray[np.float64]
QUANTILE = 0.95
_WINDOWS = 400
_FEWEST = 100
_CELLS = 2_000_000
_MANY = 25
"""From so many expected values on, a count is as good as normal, which takes a tenth of the time to draw."""
_KEPT = 100_000
_FOUND: dict[tuple[int, int], tuple[Summary, dict[str, float]]] = {}


def limits(reference: Summary, n: int) -> dict[str, float]:
    """The 95 % point of each measure by its name, for windows of n values; kept for a column and about this size.

    Both samples are drawn: the training data are a sample as well.
    """
    size = _rounded(n)
    kept = _FOUND.get((id(reference), size))
    if kept is None or kept[0] is not reference:
        if len(_FOUND) >= _KEPT:
            _FOUND.clear()
        kept = _FOUND[id(reference), size] = reference, _simulated(reference, size)
    return kept[1]


def _rounded(n: int) -> int:
    """The next smaller of sixty sizes to each power of ten: the limits of smaller windows are a little higher."""
    return max(1, int(10 ** (math.floor(60 * math.log10(max(n, 1)) + 1e-9) / 60)))


def _simulated(reference: Summary, n: int) -> dict[str, float]:
    counts: Array = np.append(reference.counts, reference.unseen_count).astype(np.float64)
    total = int(counts.sum())
    if not total:
        return {}
    chance = np.random.default_rng(n)
    windows = int(np.clip(_CELLS / len(counts), _FEWEST, _WINDOWS))
    then, now = (_drawn(chance, rows, counts / total, windows) for rows in (total, n))
    is_number = reference.bins.kind == "number"
    found = _of_numbers(reference, then, now) if is_number else of_categories(then, now)
    points = {name: float(np.quantile(values, QUANTILE)) for name, values in found.items()}
    return {name: point for name, point in points.items() if math.isfinite(point)}


def _drawn(chance: np.random.Generator, rows: int, shares: Array, windows: int) -> Array:
    """Multinomial counts: exact for rare values and for the sum of the others, among which these are normal."""
    many = shares * rows >= _MANY
    if not many.any():
        return chance.multinomial(rows, shares, size=windows).astype(np.float64)
    drawn = np.zeros((windows, len(shares)))
    share = float(shares[~many].sum())
    few = chance.binomial(rows, share, size=windows)
    if share > 0:
        drawn[:, ~many] = chance.multinomial(few, shares[~many] / share)
    drawn[:, many] = _normal(chance, rows - few, shares[many] / shares[many].sum())
    return drawn


def _normal(chance: np.random.Generator, rows: NDArray[np.int64], shares: Array) -> Array:
    """Counts with the means and covariances of multinomial ones, (windows, values)."""
    noise = chance.standard_normal((len(rows), len(shares))) * np.sqrt(shares)
    noise -= shares * noise.sum(-1, keepdims=True)
    return np.asarray(np.maximum(rows[:, None] * shares + np.sqrt(rows)[:, None] * noise, 0.0))


def _of_numbers(reference: Summary, then: Array, now: Array) -> dict[str, Array]:
    groups = distances.groups(reference.counts.astype(np.float64))
    return of_numbers(then[:, :-1], now[:, :-1], groups, scaled_places(reference, reference))
