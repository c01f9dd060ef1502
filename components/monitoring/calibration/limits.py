"""What each measure stays under in 95 % of windows of a size when nothing has changed."""

from __future__ import annotations

import math
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from components.monitoring.drift import distances
from components.monitoring.drift.measures import places
from components.monitoring.summaries import Summary

Array: TypeAlias = NDArray[np.float64]
QUANTILE = 0.95
_WINDOWS = 400
_FEWEST = 100
_CELLS = 2_000_000
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
    then, now = (chance.multinomial(rows, counts / total, size=windows).astype(np.float64) for rows in (total, n))
    found = _of_numbers(reference, then, now) if reference.bins.kind == "number" else _of_categories(then, now)
    points = {name: float(np.quantile(values, QUANTILE)) for name, values in found.items()}
    return {name: point for name, point in points.items() if math.isfinite(point)}


def _of_numbers(reference: Summary, then: Array, now: Array) -> dict[str, Array]:
    then, now = then[:, :-1], now[:, :-1]
    groups = distances.psi_groups(reference.counts.astype(np.float64))
    with np.errstate(divide="ignore", invalid="ignore"):
        apart = distances.wasserstein(then, now, places(reference, reference)) / np.sqrt(reference.variance)
    return {
        "jensen_shannon": distances.jensen_shannon(then, now),
        "psi": distances.psi(np.add.reduceat(then, groups, axis=-1), np.add.reduceat(now, groups, axis=-1)),
        "ks": distances.ks(then, now),
        "wasserstein": apart,
    }


def _of_categories(then: Array, now: Array) -> dict[str, Array]:
    return {
        "l_infinity": distances.l_infinity(then, now),
        "jensen_shannon": distances.jensen_shannon(then, now),
        "psi": distances.psi(_first(then), _first(now)),
        "chi_square": distances.chi_square(then, now),
    }


def _first(counts: Array) -> Array:
    """The most frequent categories, and all others as one."""
    first, others = counts[:, : distances.PSI_CATEGORIES], counts[:, distances.PSI_CATEGORIES :]
    return np.concatenate([first, others.sum(-1, keepdims=True)], axis=-1)
