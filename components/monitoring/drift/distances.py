"""The measures of drift as functions of counts by bin.

The bins are the last axis; the axes before it, if any, hold several sets of rows at once. Counts need not be whole.
Where a set of rows has no values, a measure is NaN.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Counts: TypeAlias = NDArray[np.float64]

GROUPS = 10
"""Groups of bins in which PSI and Jensen-Shannon compare numbers: in single bins, chance alone would rule."""

PSI_CATEGORIES = 100
"""The categories that PSI takes one by one; all others are one."""

PSI_FLOOR = 1e-4
"""The least share that a bin is taken to have: an empty bin would make PSI infinite."""


def shares(counts: Counts) -> Counts:
    """Counts divided by their sum."""
    with np.errstate(invalid="ignore"):
        found: Counts = counts / counts.sum(-1, keepdims=True)
    return found


def l_infinity(reference: Counts, window: Counts) -> Counts:
    """The greatest difference between the shares of a bin."""
    found: Counts = np.abs(shares(reference) - shares(window)).max(-1, initial=0.0)
    return found


def jensen_shannon(reference: Counts, window: Counts) -> Counts:
    """The Jensen-Shannon divergence with logarithms to base 2, from 0 to 1."""
    p, q = shares(reference), shares(window)
    middle = (p + q) / 2
    found: Counts = np.minimum((_divergence(p, middle) + _divergence(q, middle)) / 2, 1.0)
    return found


def _divergence(p: Counts, q: Counts) -> Counts:
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(p == 0, 0.0, p * np.log2(p / q))
    found: Counts = terms.sum(-1)
    return found


def psi(reference: Counts, window: Counts) -> Counts:
    """The population stability index, with natural logarithms."""
    p, q = (np.maximum(shares(each), PSI_FLOOR) for each in (reference, window))
    found: Counts = ((q - p) * np.log(q / p)).sum(-1)
    return found


def groups(reference: Counts) -> NDArray[np.int64]:
    """Joins neighbouring bins to groups that have about equally many values: the first bin of each, (groups,)."""
    before = np.cumsum(shares(reference)) - shares(reference)
    group = np.floor(np.nan_to_num(before) * GROUPS + 1e-9).astype(np.int64)
    return np.flatnonzero(np.diff(group, prepend=-1))


def ks(reference: Counts, window: Counts) -> Counts:
    """The statistic of Kolmogorov and Smirnov: the greatest difference between the distribution functions."""
    found: Counts = np.abs(np.cumsum(shares(reference) - shares(window), -1)).max(-1, initial=0.0)
    return found


def chi_square(reference: Counts, window: Counts) -> Counts:
    """The chi-square statistic of the hypothesis that both are samples of the same population."""
    n, m = reference.sum(-1, keepdims=True), window.sum(-1, keepdims=True)
    both = reference + window
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(both > 0, (reference * np.sqrt(m / n) - window * np.sqrt(n / m)) ** 2 / both, 0.0)
    found: Counts = terms.sum(-1)
    return found


def wasserstein(reference: Counts, window: Counts, places: Counts) -> Counts:
    """The first Wasserstein distance between numbers, if all in a bin are at one place.

    Args:
        reference: Counts by bin.
        window: Counts by bin.
        places: Where a bin's numbers are, ascending.
    """
    apart = np.abs(np.cumsum(shares(reference) - shares(window), -1))[..., :-1]
    found: Counts = (apart * np.diff(places)).sum(-1)
    return found
