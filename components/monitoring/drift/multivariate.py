"""A measure over all columns together: how well a classifier tells a window's rows from those of the training data.

The classifier is a linear discriminant on the columns and on the products of their pairs, so it sees that two columns
depend on each other in another way, although each looks as before. The p-value is that of a permutation test: if
nothing has changed, every choice of as many rows could be the window. It is exact for any sizes of the two.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve
from scipy.stats import gamma, rankdata

from components.monitoring.drift.features import features, number_of_features
from components.monitoring.profile.batches import gathered
from components.monitoring.profile.codes import codes
from components.monitoring.profile.sample import Sample
from components.monitoring.profile.window import SAMPLED_ROWS
from components.monitoring.summaries import Reference

PERMUTATIONS, _AT_ONCE = 500, 50
_FOLDS = 5
_CELLS = 8_000_000
"""Limit of rows times features; of more rows a part is taken."""

_LEAST_P = 1e-9
"""Beyond the permutations, p-values are extrapolated, but not below this."""

_FEW = 6
"""Of so many rows to one of the window, adding up the chosen ones is faster than a product with all."""

_RIDGE = 0.05
"""The share of the identity matrix in the features' covariance, which may be singular."""


@dataclass(frozen=True)
class MultivariateResult:
    """What the measure says.

    Attributes:
        value: The probability that the classifier finds a row of the window among two, one of each (AUC); cross-fitted.
        p: How probable a difference like this is if nothing has changed.
        effect: `value` above 0.5.
        rows: Rows of the window that were looked at.
        reference_rows: Rows of the training data that were looked at.
    """

    value: float
    p: float
    effect: float
    rows: int
    reference_rows: int


NOTHING = MultivariateResult(0.5, 1.0, 0.0, 0, 0)


def compare(reference: Reference, batches: Iterable[pa.RecordBatch]) -> MultivariateResult:
    """The measure for the rows of a window, or a sample of these, against the training data."""
    sample = Sample(SAMPLED_ROWS)
    for batch in gathered(batches):
        sample.add(batch)
    return compare_rows(reference, sample.rows())


def compare_rows(reference: Reference, rows: pa.Table) -> MultivariateResult:
    """The same for rows that are few enough."""
    return compare_codes(reference.codes, codes(rows, reference.columns))


def compare_codes(reference: NDArray[np.int32], window: NDArray[np.int32]) -> MultivariateResult:
    """The same for rows as the numbers of their values' bins, (rows, columns)."""
    reference, window = _fitting(reference, window)
    if len(reference) < 2 or len(window) < 2:
        return NOTHING
    values = features(np.concatenate([reference, window]))
    if not values.shape[1]:
        return NOTHING
    is_window = np.arange(len(values)) >= len(reference)
    covariance = values.T @ values / len(values)
    factor = cho_factor((1 - _RIDGE) * covariance + _RIDGE * np.eye(len(covariance)))
    auc = _auc(values, is_window, factor)
    return MultivariateResult(auc, _p(values, is_window, factor), auc - 0.5, len(window), len(reference))


def _fitting(reference: NDArray[np.int32], window: NDArray[np.int32]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    rows = _CELLS // max(number_of_features(reference.shape[1]), 1) // 2
    return reference[:rows], window[:rows]


def _p(values: NDArray[np.float64], is_window: NDArray[np.bool_], factor: tuple[NDArray, bool]) -> float:
    """The p-value of two statistics: one adds the changes of all features up, the other is the greatest of them."""
    apart = _differences(values, is_window)
    statistics = np.stack([(apart * cho_solve(factor, apart.T).T).sum(1), np.abs(apart).max(1)])
    least = np.array([_ranks(each) for each in statistics]).min(0)
    by_rank = float((least <= least[0] + 1e-12).mean())
    return min(by_rank, 1.0) if by_rank > 2 / len(least) else min(by_rank, max(2 * _tail(statistics), _LEAST_P))


def _differences(values: NDArray[np.float64], is_window: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The difference of the means, (1 + permutations, features): first as it is, then of permutations."""
    random = np.random.default_rng(0)
    number = int(is_window.sum())
    sums = [is_window.astype(np.float64)[None] @ values]
    if number * _FEW <= len(values):
        chosen = (random.choice(len(values), number, replace=False, shuffle=False) for _ in range(PERMUTATIONS))
        sums += [values[rows].sum(axis=0, keepdims=True) for rows in chosen]
    else:
        for _ in range(PERMUTATIONS // _AT_ONCE):
            chosen = np.stack([random.permutation(is_window) for _ in range(_AT_ONCE)])
            sums.append(chosen.astype(np.float64) @ values)
    # All features have the mean 0.
    found: NDArray[np.float64] = np.concatenate(sums) / number * len(values) / (len(values) - number)
    return found


def _ranks(statistic: NDArray[np.float64]) -> NDArray[np.float64]:
    """The share of values at least as great."""
    found: NDArray[np.float64] = rankdata(-np.round(statistic, 12), "max") / len(statistic)
    return found


def _tail(statistics: NDArray[np.float64]) -> float:
    """The least p-value of a value beyond all permutations, by gamma distributions with the permutations' moments."""
    found = []
    for observed, *others in statistics:
        mean, variance = np.mean(others), np.var(others)
        found.append(float(gamma.sf(observed, mean**2 / variance, scale=variance / mean)) if variance else 1.0)
    return min(found)


def _auc(values: NDArray[np.float64], is_window: NDArray[np.bool_], factor: tuple[NDArray, bool]) -> float:
    """The mean over folds of the AUC of a classifier that was fitted to the other folds."""
    folds: NDArray[np.int64] = np.empty(len(values), np.int64)
    for each in (is_window, ~is_window):
        folds[each] = np.arange(each.sum()) % _FOLDS
    found = [_auc_of(values, is_window, folds == fold, factor) for fold in range(_FOLDS)]
    return float(np.mean([value for value in found if value is not None] or [0.5]))


def _auc_of(
    values: NDArray[np.float64], is_window: NDArray[np.bool_], held_out: NDArray[np.bool_], factor: tuple[NDArray, bool]
) -> float | None:
    fitted = [values[~held_out & each] for each in (is_window, ~is_window)]
    held = is_window[held_out]
    number = int(held.sum())
    if not (len(fitted[0]) and len(fitted[1]) and 0 < number < len(held)):
        return None
    scores = values[held_out] @ cho_solve(factor, fitted[0].mean(0) - fitted[1].mean(0))
    ranks = float(rankdata(scores)[held].sum())
    return (ranks - number * (number + 1) / 2) / (number * (len(held) - number))
