"""How far a metric may be from its true value: by what each request adds to it, and intervals from that.

A metric moves by the sum of its rows' influences (for a mean: the distance from it, divided by the number of rows).
Rows of one request are not independent, so influences are added up by request first. Two metrics on the same
requests, such as champion and challenger, share these, so the interval of their difference takes their covariance from
here too.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

from components.monitoring.quality.terms import Numbers, Shape, Terms


@dataclass(frozen=True)
class Spread:
    """The influences on a metric.

    Attributes:
        value: The metric by the same formula.
        units: The numbers of requests, ascending; or of groups of them.
        influence: What each of them moves the metric by.
        shape: What the metric is.
        count: The number of rows that the metric is a share or a mean of.
    """

    value: float
    units: NDArray[np.int64]
    influence: Numbers
    shape: Shape
    count: float

    @property
    def variance(self) -> float:
        """The metric's variance; NaN if there is only one request."""
        many = len(self.units)
        return float(np.sum(self.influence**2) * many / (many - 1)) if many > 1 else float("nan")


@dataclass(frozen=True)
class Interval:
    """Two ends; None where nothing can be said."""

    low: float | None = None
    high: float | None = None


def spread(terms: Terms, weight: Numbers, units: NDArray[np.int64], places: NDArray[np.int64]) -> Spread | None:
    """The influences on a metric; None where it is not defined.

    Args:
        terms: What each row adds.
        weight: (rows,).
        units: The requests, ascending.
        places: Each row's place in `units`.
    """
    if terms.shape == "rank":
        return _rank(terms.above, terms.below, weight, units, places)
    below = float(np.sum(weight * terms.below))
    if below == 0 or not np.isfinite(below):
        return None
    value = float(np.sum(weight * terms.above)) / below
    influence = weight * (terms.above - value * terms.below) / below
    if terms.shape == "root":
        value, influence = np.sqrt(value), influence / (2 * np.sqrt(value)) if value > 0 else influence
    by_unit = np.bincount(places, influence, len(units))
    return Spread(float(value), units, by_unit, terms.shape, float(np.count_nonzero(weight * terms.below)))


def _rank(
    label: Numbers, score: Numbers, weight: Numbers, units: NDArray[np.int64], places: NDArray[np.int64]
) -> Spread | None:
    """The area under the ROC curve, with the influences of DeLong."""
    positive = label > 0.5
    total = float(weight[positive].sum()), float(weight[~positive].sum())
    if not total[0] or not total[1]:
        return None
    won = _won(score[positive], score[~positive], weight[~positive]) / total[1]
    lost = 1 - _won(score[~positive], score[positive], weight[positive]) / total[0]
    value = float(np.sum(weight[positive] * won)) / total[0]
    influence = np.zeros(len(label))
    influence[positive] = weight[positive] * (won - value) / total[0]
    influence[~positive] = weight[~positive] * (lost - value) / total[1]
    count = min(np.count_nonzero(positive), np.count_nonzero(~positive))
    return Spread(value, units, np.bincount(places, influence, len(units)), "rank", float(count))


def _won(scores: Numbers, others: Numbers, weight: Numbers) -> Numbers:
    """For each score, the weight of the others below it, and half that of its equals."""
    order = np.argsort(others)
    ordered, sums = others[order], np.concatenate([[0.0], np.cumsum(weight[order])])
    left, right = (np.searchsorted(ordered, scores, side) for side in ("left", "right"))
    found: Numbers = (sums[left] + sums[right]) / 2
    return found


def interval(found: Spread, level: float = 0.05) -> Interval:
    """The interval that misses the true value with the probability `level`.

    Wilson's for shares, by the number of independent rows that has the same variance; on the log-odds for the area
    under a curve; Student's t for means, and on a logarithmic scale for ratios and squares.
    """
    variance, many = found.variance, len(found.units)
    if not np.isfinite(variance):
        return Interval()
    t = float(stats.t.ppf(1 - level / 2, many - 1))
    if found.shape == "share":
        return _wilson(found.value, _independent(found), float(special.ndtri(1 - level / 2)))
    if found.shape == "rank":
        return _of_rank(found, variance, t, level)
    width = t * np.sqrt(variance)
    if found.shape in ("ratio", "root") and found.value > 0:
        return Interval(found.value * np.exp(-width / found.value), found.value * np.exp(width / found.value))
    return Interval(found.value - width, found.value + width)


def _independent(found: Spread) -> float:
    """The number of independent rows whose share would vary as much."""
    most = min(found.count, len(found.units)) if found.value in (0, 1) else found.count
    variance = found.variance
    if found.value * (1 - found.value) <= 0 or variance <= 0:
        return most
    return float(min(found.value * (1 - found.value) / variance, found.count))


def _wilson(share: float, count: float, z: float) -> Interval:
    share = min(max(share, 0.0), 1.0)
    middle = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z / (1 + z * z / count) * np.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    return Interval(max(float(middle - half), 0.0), min(float(middle + half), 1.0))


def _of_rank(found: Spread, variance: float, t: float, level: float) -> Interval:
    if not 0 < found.value < 1 or variance <= 0 or found.count < 2:
        # A perfect order says only that there are few errors among the fewer of the two classes.
        return _wilson(found.value, found.count, float(special.ndtri(1 - level / 2)))
    middle, width = special.logit(found.value), t * np.sqrt(variance) / (found.value * (1 - found.value))
    return Interval(float(special.expit(middle - width)), float(special.expit(middle + width)))


def difference(one: Spread, other: Spread, level: float = 0.05) -> Interval:
    """The interval of one value minus the other, from both intervals and their correlation (Zou and Donner, 2008)."""
    mine, theirs = interval(one, level), interval(other, level)
    if mine.low is None or theirs.low is None or mine.high is None or theirs.high is None:
        return Interval()
    r, change = correlation(one, other), one.value - other.value
    down, up = one.value - mine.low, mine.high - one.value
    their_down, their_up = other.value - theirs.low, theirs.high - other.value
    low = change - np.sqrt(max(down**2 + their_up**2 - 2 * r * down * their_up, 0.0))
    high = change + np.sqrt(max(up**2 + their_down**2 - 2 * r * up * their_down, 0.0))
    return Interval(float(low), float(high))


def correlation(one: Spread, other: Spread) -> float:
    """How two metrics vary together, by the requests that both have."""
    _, mine, theirs = np.intersect1d(one.units, other.units, assume_unique=True, return_indices=True)
    size = np.sqrt(float(np.sum(one.influence**2)) * float(np.sum(other.influence**2)))
    return float(np.sum(one.influence[mine] * other.influence[theirs])) / size if size > 0 else 0.0


def p_value(found: Spread, expected: float, rows: float, labelled: float) -> float | None:
    """How probable a value this far from `expected` is if both come from the same population.

    Args:
        found: The window's metric.
        expected: The metric on other rows.
        rows: The number of these.
        labelled: The number of the window's rows.
    """
    variance = found.variance
    if not np.isfinite(variance) or rows <= 0:
        return None
    if found.shape == "rank" and expected in (0, 1):
        return None  # one class only, or too few of the other
    both = 1 + labelled / rows
    if found.shape == "share":
        return _pooled(found, expected, rows / labelled)
    if variance == 0:
        return 1.0 if found.value == expected else None
    z = abs(found.value - expected) / np.sqrt(variance * both)
    return float(2 * stats.t.sf(z, len(found.units) - 1))


def _pooled(found: Spread, expected: float, times: float) -> float:
    """The test of two shares: with the variance of the share in both together."""
    count = _independent(found)
    other = found.count * times
    share = (found.value * count + expected * other) / (count + other)
    variance = share * (1 - share) * (1 / count + 1 / other)
    if variance <= 0:
        return 1.0
    return float(2 * special.ndtr(-abs(found.value - expected) / np.sqrt(variance)))
