"""Rows, given as bins, as numbers that show how the columns depend on each other."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from components.monitoring.profile.codes import UNSEEN

PAIRED = 40
"""The most columns of which all pairs are looked at; more are joined to as many sums."""

_ALONE = 200
"""The most columns that are looked at one by one as well."""


def number_of_features(columns: int) -> int:
    """The most features that rows of so many columns have."""
    joined = min(columns, PAIRED)
    return joined * (joined - 1) // 2 + 2 * (columns if columns <= _ALONE else joined)


def features(codes: NDArray[np.int32]) -> NDArray[np.float64]:
    """Features of rows: each column, whether it is missing, and the product of each pair of columns.

    They depend on all rows together, and not on which of them are from the window.

    Args:
        codes: (rows, columns).

    Returns:
        (rows, features), each with mean 0 and variance 1; what is the same in all rows is left out.
    """
    scores = np.stack([_scores(column) for column in codes.T], axis=1) if codes.shape[1] else np.zeros(codes.shape)
    missing = ((codes < 0) & (codes != UNSEEN)).astype(np.float64)
    joined = _joined(scores)
    if codes.shape[1] > _ALONE:
        scores, missing = joined, _joined(missing)
    first, second = np.triu_indices(joined.shape[1], 1)
    return _standard(np.concatenate([scores, missing, joined[:, first] * joined[:, second]], axis=1))


def _scores(codes: NDArray[np.int32]) -> NDArray[np.float64]:
    """The normal score of each bin by its place in the order of bins; 0 for what is missing."""
    places, counts = np.unique(codes, return_inverse=True, return_counts=True)[1:]
    found = np.unique(codes)
    weights = np.where((found < 0) & (found != UNSEEN), 0, counts).astype(np.float64)
    total = weights.sum()
    if not total:
        return np.zeros(len(codes))
    middle = (np.cumsum(weights) - weights / 2) / total
    scores: NDArray[np.float64] = np.where(weights > 0, ndtri(np.clip(middle, 1e-9, 1 - 1e-9)), 0.0)[places]
    return scores


def _joined(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    columns = scores.shape[1]
    if columns <= PAIRED:
        return scores
    random = np.random.default_rng(columns)
    signs = random.choice([-1.0, 1.0], columns)
    groups = random.permutation(columns) % PAIRED
    return scores @ (np.eye(PAIRED)[groups] * signs[:, None])


def _standard(values: NDArray[np.float64]) -> NDArray[np.float64]:
    centered = values - values.mean(0)
    deviations = centered.std(0)
    varying = deviations > 1e-9
    found: NDArray[np.float64] = centered[:, varying] / deviations[varying]
    return found
