"""Quantiles and histograms of a column, from its counts by bin."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from components.monitoring.summaries import Summary

BARS = 40
"""The most bars of a histogram."""


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


def histogram(summary: Summary, bars: int = BARS, ends: tuple[float, float] | None = None) -> list[dict[str, float]]:
    """Bars of equal width with the count of the values in each; none if there are no numbers.

    Args:
        summary: A column of numbers.
        bars: The number of bars.
        ends: Where the first bar begins and the last one ends; default: the least and the greatest number.
    """
    if summary.bins.kind != "number" or not summary.counts.sum():
        return []
    low, high = ends or (summary.low, summary.high)
    borders = np.linspace(low, high, bars + 1) if high > low else np.array([low, low])
    counts = np.diff(_below(summary, borders), prepend=0.0)
    counts[1] += counts[0]
    rows = zip(borders[:-1], borders[1:], counts[1:], strict=True)
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
