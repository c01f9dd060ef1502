"""What each measure stays under in 95 % of windows of a size when nothing has changed."""

from __future__ import annotations

import math
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from components.monitoring.calibration import measures
from components.monitoring.summaries import Summary

Array: TypeAlias = NDArray[np.float64]
QUANTILE = 0.95
_WINDOWS = 400
_CELLS = 2_000_000
_BINS = 10
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
    """A smaller size near this one, twenty to each power of ten: its limits are a little higher."""
    return max(1, int(10 ** (math.floor(20 * math.log10(max(n, 1))) / 20)))


def _simulated(reference: Summary, n: int) -> dict[str, float]:
    counts = reference.counts.astype(float)
    if reference.unseen_count:
        counts = np.append(counts, float(reference.unseen_count))
    total = int(counts.sum())
    if not total:
        return {}
    chance = np.random.default_rng(n)
    windows = int(np.clip(_CELLS / len(counts), 100, _WINDOWS))
    now, then = (chance.multinomial(rows, counts / total, size=windows).astype(float) for rows in (n, total))
    found = _of_numbers(reference, now, then) if reference.bins.kind == "number" else measures.of_all(now, then)
    return {name: float(np.quantile(values, QUANTILE)) for name, values in found.items()}


def _of_numbers(reference: Summary, now: Array, then: Array) -> dict[str, Array]:
    middles = _middles(reference) / (math.sqrt(reference.variance) or 1.0)
    width = (middles[-1] - middles[0]) / _BINS or 1.0
    bins = np.minimum((middles - middles[0]) // width, _BINS - 1).astype(int)
    coarse = [_summed(counts, bins) for counts in (now, then)]
    return {**measures.of_all(*coarse), **measures.of_numbers(now, then, middles)}


def _middles(reference: Summary) -> Array:
    edges = reference.bins.edges
    ends = np.concatenate([[reference.low], edges, [reference.high]])
    return np.asarray((ends[:-1] + ends[1:]) / 2)


def _summed(counts: Array, bins: NDArray[np.int_]) -> Array:
    return np.stack([counts[:, bins == number].sum(-1) for number in range(_BINS)], axis=-1)
