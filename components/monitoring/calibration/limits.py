"""What each measure stays under in 95 % of windows of a size when nothing has changed.

Of numbers, the measures depend on how two distribution functions differ, whatever the column. So these are drawn once
for all columns, between 0 and 1, and each column looks at them where the edges of its bins are.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import lru_cache
from typing import TypeAlias
from weakref import ReferenceType, ref

import numpy as np
from numpy.typing import NDArray

from components.monitoring.drift import distances
from components.monitoring.drift.measures import of_categories, scaled_places
from components.monitoring.summaries import Summary

Array: TypeAlias = NDArray[np.float64]
Points: TypeAlias = dict[str, float]
QUANTILE = 0.95
_WINDOWS = 400
_FEWEST = 40
"""Of many categories: the sum over so many varies little."""
_CELLS = 2_000_000
"""Counts of categories that are drawn in all, and the most of them at once."""
_STEPS = 4096
"""In which distribution functions are drawn: four to each of a thousand bins."""
_MANY = 25
"""From so many expected values on, a count is as good as normal, which takes a tenth of the time to draw."""
_KEPT = 10_000
_FOUND: dict[tuple[int, int], tuple[ReferenceType[Summary], Points]] = {}


def limits(reference: Summary, n: int) -> Points:
    """The 95 % point of each measure by its name, for windows of n values; kept for a column and about this size.

    Both samples are drawn: the training data are a sample as well.
    """
    key = id(reference), _rounded(n)
    kept = _FOUND.get(key)
    if kept is None or kept[0]() is not reference:
        if len(_FOUND) >= _KEPT:
            _FOUND.clear()
        kept = _FOUND[key] = ref(reference), _simulated(reference, key[1])
    return kept[1]


def _rounded(n: int) -> int:
    """The next smaller of sixty sizes to each power of ten: the limits of smaller windows are a little higher."""
    return max(1, int(10 ** (math.floor(60 * math.log10(max(n, 1)) + 1e-9) / 60)))


def _simulated(reference: Summary, n: int) -> Points:
    total = int(reference.counts.sum()) + reference.unseen_count
    if not total:
        return {}
    found = _of_numbers(reference, total, n) if reference.bins.kind == "number" else _of_categories(reference, total, n)
    points = {name: float(np.quantile(values, QUANTILE)) for name, values in found.items()}
    return {name: point for name, point in points.items() if math.isfinite(point)}


def _of_numbers(reference: Summary, total: int, n: int) -> dict[str, Array]:
    counts = reference.counts.astype(np.float64)
    at = np.rint(counts.cumsum() / total * _STEPS).astype(np.intp)
    then, now = _functions(_rounded(total), 0)[at], _functions(n, 1)[at]
    ends: NDArray[np.intp] = np.append(distances.groups(counts)[1:] - 1, len(at) - 1)
    p, q = (np.diff(each[ends], axis=0, prepend=0.0).T.astype(np.float64) for each in (then, now))
    apart = np.abs(np.subtract(then, now, out=then), out=then)
    widths = np.diff(scaled_places(reference, reference)).astype(np.float32)
    return {
        "jensen_shannon": distances.jensen_shannon(p, q),
        "psi": distances.psi(p, q),
        "ks": apart.max(0),
        "wasserstein": widths @ apart[:-1],
    }


@lru_cache(maxsize=8)
def _functions(rows: int, seed: int) -> NDArray[np.float32]:
    """Distribution functions of samples of evenly distributed numbers, (steps, samples), from 0 to 1."""
    shares = np.full(_STEPS, 1 / _STEPS)
    counts = _drawn(np.random.default_rng([rows, seed]), rows, shares, _WINDOWS)
    found: NDArray[np.float32] = np.zeros((_STEPS + 1, _WINDOWS), np.float32)
    found[1:] = counts.cumsum(-1).T / rows
    return found


def _of_categories(reference: Summary, total: int, n: int) -> dict[str, Array]:
    counts: Array = np.append(reference.counts, reference.unseen_count).astype(np.float64)
    chance = np.random.default_rng(n)
    parts = [of_categories(*_pair(chance, counts, total, n, windows)) for windows in _blocks(len(counts))]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _blocks(categories: int) -> Iterator[int]:
    """The windows that are drawn, as many at once as fit."""
    left, most = int(np.clip(_CELLS / categories, _FEWEST, _WINDOWS)), max(_CELLS // categories, 1)
    while left > 0:
        yield min(left, most)
        left -= most


def _pair(chance: np.random.Generator, counts: Array, total: int, n: int, windows: int) -> tuple[Array, Array]:
    shares = counts / total
    return _drawn(chance, total, shares, windows), _drawn(chance, n, shares, windows)


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
