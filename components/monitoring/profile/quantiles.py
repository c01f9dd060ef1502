"""Quantiles and histograms of a column, from its counts by bin."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from components.monitoring.summaries import Summary

BINS = 40
"""The most bins of a histogram."""

_OUTER = 0.01
"""The share of the values in its first and last bin."""


def quantiles(summary: Summary, wanted: Sequence[float]) -> list[float]:
    """Quantiles of finite numbers; none if there are no numbers.

    They are exact if each bin holds one value, as where the training data have few; otherwise exact to the bin, in
    which values are taken to be spread evenly.
    """
    if summary.bins.kind != "number" or not summary.counts.sum():
        return []
    ends, steps = _distribution(summary)
    if is_discrete(summary):
        found = ends[1:][np.minimum(np.searchsorted(steps[1:], np.array(wanted) - 1e-12), len(ends) - 2)]
    else:
        found = np.interp(wanted, steps, ends)
    return [float(value) for value in found]


def histogram(summary: Summary, bins: int = BINS) -> list[dict[str, float]]:
    """Bins with about equally many values, so that they are narrow where the values are; none without numbers.

    The outer two have a hundredth of the values each. If there are few different values, each has a bin without width.

    Args:
        summary: A column of numbers.
        bins: The most bins.
    """
    if summary.bins.kind != "number" or not summary.counts.sum():
        return []
    ends, steps = _distribution(summary)
    total = float(summary.counts.sum())
    if is_discrete(summary) and len(ends) - 1 <= bins:
        return _bins(ends[1:], ends[1:], np.diff(steps) * total)
    inner = np.linspace(_OUTER, 1 - _OUTER, bins - 1)
    borders = np.unique([summary.low, *np.interp(inner, steps, ends), summary.high])
    counts = np.diff(_below(summary, borders), prepend=0.0)
    if counts[0] >= _OUTER * total:
        # Many values are equal to the least one.
        return _bins(np.concatenate([borders[:1], borders[:-1]]), borders, counts)
    counts[1] += counts[0]
    return _bins(borders[:-1], borders[1:], counts[1:])


def _bins(lows: NDArray[np.float64], highs: NDArray[np.float64], counts: NDArray[np.float64]) -> list[dict[str, float]]:
    rows = zip(lows, highs, counts, strict=True)
    return [{"low": float(low), "high": float(high), "count": float(count)} for low, high, count in rows]


def is_discrete(summary: Summary) -> bool:
    """Whether no bin can hold two different numbers."""
    return summary.distinct <= int(np.count_nonzero(summary.counts))


def _below(summary: Summary, borders: NDArray[np.float64]) -> NDArray[np.float64]:
    """The number of values up to each border."""
    ends, steps = _distribution(summary)
    total = float(summary.counts.sum())
    if is_discrete(summary):
        return steps[np.searchsorted(ends[1:], borders, side="right")] * total
    return np.interp(borders, ends, steps) * total


def _distribution(summary: Summary) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The ends of the bins that have values, within the range of these, and the share of the values up to each end."""
    edges = np.clip(summary.bins.edges, summary.low, summary.high)
    ends = np.concatenate([[summary.low], edges, [summary.high]])
    steps = np.concatenate([[0.0], np.cumsum(summary.counts) / summary.counts.sum()])
    filled: NDArray[np.bool_] = np.append(True, summary.counts > 0)
    # Empty bins before a filled one move its lower end up.
    if not is_discrete(summary):
        filled[:-1] |= filled[1:]
    return ends[filled], steps[filled]
