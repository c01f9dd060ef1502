"""Logs of which only a share was kept: weights that undo it, and whether the shares of the arms differ."""

from __future__ import annotations

from typing import Any

import numpy as np

from components.contract.errors import DataError
from components.experiments.arms import Arm
from components.experiments.numbers import finite


def weighted(values: Any, shares: Any) -> Arm:
    """The arm of units that were each kept with a known probability, as `share` in the inference table says.

    The mean is Hájek's (1971): values weighted by one over their share, as Horvitz and Thompson (JASA 1952), divided by
    the weights' sum. Its variance is linearised; the arm's n is the number of units that were kept.

    Args:
        values: The metric of each unit that was kept, (units,).
        shares: The probability with which it was kept, (units,).

    Raises:
        DataError: A share is not above 0 and at most 1, or the columns differ in length.
    """
    found, kept = finite(values, "the values of an arm").ravel(), finite(shares, "the shares").ravel()
    if found.shape != kept.shape:
        raise DataError(f"there are {found.size} values and {kept.size} shares", fix="give each unit a share")
    if ((kept <= 0) | (kept > 1)).any():
        raise DataError("a sampling share is not above 0 and at most 1", fix="give shares such as 0.1, not percent")
    if not found.size:
        return Arm(0, 0.0, 0.0)
    weights = 1 / kept
    mean = float((weights * found).sum() / weights.sum())
    varying = weights * (found - mean) / weights.mean()
    return Arm(found.size, mean, float((varying**2).sum()))


def differs(control: Any, treatment: Any) -> bool:
    """Whether the arms were kept with different shares: unweighted counts and means of all rows are biased then."""
    kept = [finite(shares, "the shares") for shares in (control, treatment)]
    if not all(shares.size for shares in kept):
        return False
    return bool(len(np.unique(np.round(np.concatenate(kept), 9))) > 1)
