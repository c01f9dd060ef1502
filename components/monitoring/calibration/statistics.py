"""Tests of two samples by their counts in groups: the last axis is groups, all others are samples at once.

A window is `window`, what it is compared with `reference`; groups that both lack count for nothing. Each p-value is for
two sides, and for this test alone.
"""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaincc, kolmogorov, ndtr, ndtri, xlogy

Array: TypeAlias = NDArray[np.float64]
LEAST = 1e-300
"""The least p-value: zero would be certainty."""


class Tested(NamedTuple):
    """The outcome of a test: effects and p-values, one per sample."""

    effect: Array
    p_value: Array


def location(window: Array, reference: Array) -> Tested:
    """The shift between ordered groups, in standard deviations: the mean of normal scores (van der Waerden).

    The permutation distribution has the variance and the skewness of its exact first three moments (Pearson type III),
    since a column with one value in nearly all rows is far from normal.
    """
    pooled = window + reference
    rows, n = pooled.sum(-1), window.sum(-1)
    scores = _centred(pooled, rows)
    mean = _divided((window * scores).sum(-1), n)
    second = _divided((pooled * scores**2).sum(-1), rows)
    third = _divided((pooled * scores**3).sum(-1), rows)
    variance = _divided(second * (rows - n), n * (rows - 1))
    z = _divided(mean, np.sqrt(variance))
    without_return = _divided((rows - 2 * n) * np.sqrt(np.maximum(rows - 1, 0)), (rows - 2) * np.sqrt(n * (rows - n)))
    skew = _divided(third, second**1.5) * without_return
    return Tested(_divided(mean * rows, (rows - n) * np.sqrt(second)), _pearson_three(z, skew))


def _centred(pooled: Array, rows: Array) -> Array:
    """Normal scores of the groups' middle ranks, with mean 0."""
    total = np.maximum(rows, 1.0)[..., None]
    scores = ndtri(np.clip((pooled.cumsum(-1) - pooled / 2) / total, 1e-12, 1 - 1e-12))
    return scores - (pooled * scores).sum(-1, keepdims=True) / total


def _pearson_three(z: Array, skew: Array) -> Array:
    """Two-sided p-values of a standardised gamma distribution; the normal ones in the tail that is shorter."""
    shape = 4 / np.maximum(np.abs(skew), 1e-3) ** 2
    long = np.where(skew < 0, -z, z)
    tail = np.where(long > 0, gammaincc(shape, shape + np.maximum(long, 0) * np.sqrt(shape)), ndtr(long))
    return np.clip(2 * tail, LEAST, 1.0)


def kolmogorov_smirnov(window: Array, reference: Array) -> Tested:
    """The largest difference between cumulative shares; with groups, its p-value is never too low."""
    n, m = window.sum(-1), reference.sum(-1)
    difference = _divided(window.cumsum(-1), n[..., None]) - _divided(reference.cumsum(-1), m[..., None])
    largest = np.abs(difference).max(-1)
    largest = np.where((n > 0) & (m > 0), largest, 0.0)
    return Tested(largest, np.clip(kolmogorov(np.sqrt(_divided(n * m, n + m)) * largest), LEAST, 1.0))


def chi_square(window: Array, reference: Array) -> Tested:
    """All shares at once: chi-square, as a gamma distribution with the variance that rare groups cause.

    The effect is the total variation, without what chance alone is expected to make of it.
    """
    n, m = window.sum(-1), reference.sum(-1)
    shares = _divided(window + reference, (n + m)[..., None])
    difference = _divided(window, n[..., None]) - _divided(reference, m[..., None])
    noise = _divided(n + m, n * m)
    statistic = _divided(_divided(difference**2, shares).sum(-1), noise)
    groups = (shares > 0).sum(-1).astype(float)
    rarity = _divided(1.0, shares).sum(-1) - groups**2 - 2 * groups + 2
    variance = 2 * (groups - 1) + np.maximum(
        _divided(_divided(1.0, n**3) + _divided(1.0, m**3), noise**2) * rarity, 0.0
    )
    scale = np.maximum(_divided(variance, groups - 1), 1e-9)
    p_value = np.where((groups > 1) & (n > 0) & (m > 0), gammaincc((groups - 1) / scale, statistic / scale), 1.0)
    expected = np.sqrt(shares * (1 - shares) * noise[..., None] * 2 / np.pi).sum(-1) / 2
    variation = np.sqrt(np.maximum((np.abs(difference).sum(-1) / 2) ** 2 - expected**2, 0.0))
    return Tested(variation, np.clip(p_value, LEAST, 1.0))


def largest_share(window: Array, reference: Array) -> Array:
    """P-values of the group whose share differs most from its share in the reference."""
    n, m = window.sum(-1)[..., None], reference.sum(-1)[..., None]
    least = share(window, n, reference, m).p_value.min(-1)
    free = np.maximum(((window + reference) > 0).sum(-1) - 1, 1)
    return np.clip(-np.expm1(free * np.log1p(-np.minimum(least, 1 - 1e-16))), LEAST, 1.0)


def share(count: Array, rows: Array, reference_count: Array, reference_rows: Array) -> Tested:
    """The difference of two shares, such as that of missing values.

    The p-value is that of the signed root of the likelihood ratio with a continuity correction: close to Fisher's exact
    test far into the tails, where a normal approximation of the difference is not.
    """
    pooled = _divided(count + reference_count, rows + reference_rows)
    excess = count - rows * pooled
    half = np.sign(excess) * np.minimum(np.abs(excess), 0.5)
    ratio = _deviance(count - half, rows, pooled) + _deviance(reference_count + half, reference_rows, pooled)
    effect = _divided(count, rows) - _divided(reference_count, reference_rows)
    return Tested(effect, np.clip(2 * ndtr(-np.sqrt(2 * np.maximum(ratio, 0.0))), LEAST, 1.0))


def _deviance(count: Array, rows: Array, expected: Array) -> Array:
    """The log-likelihood ratio of a count against its expected share."""
    rest = rows - count
    hits = xlogy(count, _divided(count, rows * expected, 1.0))
    return np.asarray(hits + xlogy(rest, _divided(rest, rows * (1 - expected), 1.0)))


def either(first: Array, second: Array) -> Array:
    """The p-value of the better of two tests."""
    return np.asarray(np.minimum(first, second) * (2 - np.minimum(first, second))).clip(LEAST, 1.0)


def _divided(above: Array | float, below: Array, otherwise: float = 0.0) -> Array:
    """A ratio; where there is nothing to divide by, another value."""
    above, below = np.broadcast_arrays(np.asarray(above, dtype=float), np.asarray(below, dtype=float))
    return np.divide(above, below, out=np.full(below.shape, otherwise), where=below > 0)
