"""The edges of a column's bins."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FEW = 1_000
"""The greatest number of bins within the range of the training data, and of values that have bins of their own."""

_TAIL = 2 ** (np.arange(-28, 69) / 4)
"""Edges of bins on each side of that range, in ranges: up to 131,072 of them away, each 19 % farther than the last."""


def edges(few: NDArray[np.float64] | None, sample: NDArray[np.float64]) -> NDArray[np.float64]:
    """The edges for numbers.

    Args:
        few: All different numbers, ascending; None or more than `FEW` if there are more, which get quantiles.
        sample: A sample of the numbers, with the least and the greatest; all are finite.
    """
    inner = _quantiles(np.sort(sample)) if few is None or len(few) > FEW else few
    if not len(inner):
        return np.empty(0)
    # What is below the least number has bins of its own, as has what is above the greatest.
    return _with_tails(np.unique(np.append(np.nextafter(inner[0], -np.inf), inner)))


def _quantiles(ordered: NDArray[np.float64]) -> NDArray[np.float64]:
    """Numbers between which equally many lie. A number that fills a bin alone has a bin of its own."""
    chosen = ordered[np.linspace(0, len(ordered) - 1, FEW).round().astype(np.int64)]
    found, times = np.unique(chosen, return_counts=True)
    alone = found[times > 1]
    return np.unique(np.concatenate([found, np.nextafter(alone, -np.inf)]))


def _with_tails(inner: NDArray[np.float64]) -> NDArray[np.float64]:
    low, high = inner[0], inner[-1]
    with np.errstate(over="ignore"):
        width = max(high - low, abs(high), abs(low)) or 1.0
        away = width * _TAIL
        found = np.concatenate([low - away[::-1], inner, high + away])
    return np.unique(found[np.isfinite(found)])
