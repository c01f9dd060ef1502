"""Metrics over columns: of users online, and of predictions offline."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import xlog1py, xlogy

from components.contract.errors import DataError
from components.experiments import arms, joint
from components.experiments.arms import Arm
from components.experiments.joint import Joint
from components.experiments.numbers import Array, counted, divided, finite


def per_user(keys: Any, *columns: Any) -> tuple[np.ndarray, list[Array]]:
    """The users, and the sum of each column over their rows; rows of a user are not independent.

    Args:
        keys: The user of each row, (rows,).
        columns: Numbers, each (rows,), such as clicks and views.
    """
    users, index = np.unique(np.asarray(keys), return_inverse=True)
    found = [finite(column, "a column") for column in columns]
    if any(column.shape != index.shape for column in found):
        raise DataError("a column and the keys differ in length", fix="give each row a key and a value")
    return users, [np.bincount(index, column, minlength=len(users)) for column in found]


def click_through(keys: Any, clicks: Any, views: Any) -> Joint:
    """Clicks per view, by users: compare with `means.delta`."""
    _, (above, below) = per_user(keys, counted(clicks, "clicks"), counted(views, "views"))
    return joint.of_columns(above, below)


def conversion(keys: Any, converted: Any) -> Arm:
    """The share of users who converted at least once: compare with `proportions.z`."""
    users, (times,) = per_user(keys, counted(converted, "conversions"))
    return arms.of_counts(int((times > 0).sum()), len(users))


def time_per_user(keys: Any, seconds: Any) -> Arm:
    """Seconds per user, such as of watching: compare with `means.welch`."""
    return arms.of_values(per_user(keys, counted(seconds, "seconds"))[1][0])


def lift(control: float, treatment: float) -> float:
    """How much larger the treatment's value is, relative to the control's; NaN if that is 0."""
    return float(divided(treatment - control, control, np.nan))


def log_loss(labels: Any, probabilities: Any) -> Array:
    """The log loss of each row, (rows,): its mean is the metric, and two models' losses are paired."""
    truth, given = _labels(labels), finite(probabilities, "probabilities")
    if ((given < 0) | (given > 1)).any():
        raise DataError("a probability is not between 0 and 1", fix="give probabilities, not logits")
    # As scikit-learn and Keras do: a wrong certainty costs much, but not everything.
    kept = np.clip(given, 1e-15, 1 - 1e-15)
    return np.asarray(-xlogy(truth, kept) - xlog1py(1 - truth, -kept))


def precision_recall(labels: Any, scores: Any, threshold: float = 0.5) -> tuple[float, float]:
    """Precision and recall of scores at or above a threshold; NaN where nothing was found or is to be found."""
    truth, chosen = _labels(labels), finite(scores, "scores") >= threshold
    hits = float((truth * chosen).sum())
    return float(divided(hits, chosen.sum(), np.nan)), float(divided(hits, truth.sum(), np.nan))


def ndcg(lists: Any, gains: Any, scores: Any, top: int | None = None) -> Array:
    """The normalised discounted cumulative gain of each list, as (lists,); lists without any gain are left out.

    Järvelin and Kekäläinen (ACM TOIS 2002), with the gain itself over log2(rank + 1).

    Args:
        lists: The list of each row, such as a query, (rows,).
        gains: How good each row is, 0 or more, (rows,).
        scores: By what rows are ranked, highest first, (rows,).
        top: How many of a list count; all of them if None.
    """
    codes = np.unique(np.asarray(lists), return_inverse=True)[1]
    worth = counted(gains, "gains")
    got, ideal = (_discounted(codes, worth, by, top) for by in (finite(scores, "scores"), worth))
    return got[ideal > 0] / ideal[ideal > 0]


def _discounted(codes: Array, gains: Array, by: Array, top: int | None) -> Array:
    order, ranks = _ranks(codes, by)
    counts = ranks <= (top or len(ranks))
    return np.asarray(np.bincount(codes[order], gains[order] * counts / np.log2(ranks + 1)))


def reciprocal_rank(lists: Any, relevant: Any, scores: Any) -> Array:
    """One over the rank of the first relevant row of each list, as (lists,); 0 without one. Its mean is MRR."""
    codes = np.unique(np.asarray(lists), return_inverse=True)[1]
    order, ranks = _ranks(codes, finite(scores, "scores"))
    found: Array = np.zeros(codes.max(initial=-1) + 1)
    np.maximum.at(found, codes[order], (_labels(relevant)[order] > 0) / ranks)
    return found


def _ranks(codes: Array, by: Array) -> tuple[Array, Array]:
    """The order of rows by list and falling score, and their ranks in it, from 1."""
    order = np.lexsort((-by, codes))
    starts = np.flatnonzero(np.diff(codes[order], prepend=-1))
    return order, np.arange(len(order)) - np.repeat(starts, np.diff(np.append(starts, len(order)))) + 1


def _labels(labels: Any) -> Array:
    found = finite(labels, "labels")
    if not np.isin(found, (0.0, 1.0)).all():
        raise DataError("labels must be 0 or 1", fix="give binary labels")
    return found
