"""Paired bootstrap of the difference of two models' metrics on the same rows.

Each resample draws as many rows as there are, with replacement, and both models are measured on it. Metrics that are
ratios of sums, and the area under the ROC curve, are computed for many resamples at once.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy import special

from components.monitoring.quality.terms import Numbers, Terms

RESAMPLES = 2000
_AT_ONCE = 4_000_000
"""Numbers of a matrix of resamples in memory."""

_MOST = 400_000_000
"""Draws in all; with more rows there are fewer resamples."""

_FEWEST = 400


def resamples(rows: int, count: int = RESAMPLES, seed: int = 0) -> Iterator[Numbers]:
    """How often each row is drawn: matrices of (resamples, rows)."""
    random = np.random.default_rng(seed)
    left = min(count, max(_FEWEST, _MOST // max(rows, 1)))
    while left > 0:
        part = max(1, min(left, _AT_ONCE // max(rows, 1)))
        drawn = random.integers(0, rows, (part, rows)) + np.arange(part)[:, None] * rows
        yield np.bincount(drawn.ravel(), minlength=part * rows).reshape(part, rows).astype(np.float64)
        left -= part


def differences(one: Terms, other: Terms, weight: Numbers, *, seed: int = 0, count: int = RESAMPLES) -> Numbers:
    """The difference of a metric of two models in each resample.

    Args:
        one: What each row adds to the first model's metric.
        other: The same of the other's, on the same rows.
        weight: (rows,).
        seed: Of the random numbers.
        count: The number of resamples; fewer if there are very many rows.
    """
    pair = [_Ranks.of(terms) if terms.shape == "rank" else terms for terms in (one, other)]
    parts = []
    for drawn in resamples(len(weight), count, seed):
        first, second = (_values(each, drawn * weight) for each in pair)
        parts.append(first - second)
    return np.concatenate(parts)


def interval(found: Numbers, level: float) -> tuple[float, float] | None:
    """The interval of the resamples; None if the metric is not defined in too many of them."""
    known = _known(found)
    if known is None:
        return None
    low, high = np.quantile(known, [level / 2, 1 - level / 2])
    return float(low), float(high)


def around(value: float, found: Numbers, level: float) -> tuple[float, float] | None:
    """The interval by the normal distribution, for which few resamples are enough; None as for `interval`."""
    known = _known(found)
    if known is None:
        return None
    half = float(special.ndtri(1 - level / 2) * np.std(known, ddof=1))
    return value - half, value + half


def _known(found: Numbers) -> Numbers | None:
    known: Numbers = found[np.isfinite(found)]
    return known if len(known) >= 0.95 * len(found) else None


def _values(of: Terms | _Ranks, weights: Numbers) -> Numbers:
    """The metric in each resample, from the weights of (resamples, rows)."""
    with np.errstate(all="ignore"):
        if isinstance(of, _Ranks):
            return of.values(weights)
        value: Numbers = (weights @ of.above) / (weights @ of.below)
        return np.sqrt(value) if of.shape == "root" else value


class _Ranks:
    """The area under the ROC curve for many weights of the same rows, which are sorted once."""

    def __init__(self, label: Numbers, score: Numbers) -> None:
        self._order = np.argsort(score, kind="stable")
        ordered = score[self._order]
        self._positive = label[self._order] > 0.5
        self._left = np.searchsorted(ordered, ordered, "left")
        self._right = np.searchsorted(ordered, ordered, "right")

    @classmethod
    def of(cls, terms: Terms) -> _Ranks:
        """The ranks of terms, which hold labels and scores."""
        return cls(terms.above, terms.below)

    def values(self, weights: Numbers) -> Numbers:
        """The area for each row of weights."""
        weights = weights[:, self._order]
        negative = np.where(self._positive, 0.0, weights)
        sums = np.concatenate([np.zeros((len(weights), 1)), np.cumsum(negative, axis=1)], axis=1)
        below: Numbers = (sums[:, self._left] + sums[:, self._right]) / 2
        positive = np.where(self._positive, weights, 0.0)
        found: Numbers = np.sum(positive * below, axis=1) / (positive.sum(axis=1) * sums[:, -1])
        return found


def telling(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """The number of equal rows that would tell two models apart as these do.

    Args:
        one: The influence of each row on the first model's metric.
        other: The same on the other's.
    """
    apart = np.abs(one - other)
    square = float(np.sum(apart**2))
    return float(np.sum(apart)) ** 2 / square if square > 0 else 0.0
