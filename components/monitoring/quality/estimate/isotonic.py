"""What a score is worth: the share of positives among rows with a score like it, which never falls as scores rise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import isotonic_regression

from components.monitoring.quality.terms import Numbers


@dataclass(frozen=True)
class Curve:
    """A calibration: the share of positives at some scores, straight lines between them, and flat beyond."""

    scores: Numbers
    shares: Numbers

    def __call__(self, scores: Numbers) -> Numbers:
        """The shares of positives at scores."""
        found: Numbers = np.interp(scores, self.scores, self.shares)
        return found


def fit(scores: Numbers, labels: Numbers, weight: Numbers | None = None) -> Curve:
    """The curve of least squares that never falls (pool adjacent violators); equal scores have one share.

    Args:
        scores: (rows,).
        labels: (rows,), 0 or 1.
        weight: (rows,), positive; ones by default.
    """
    weight = np.ones(len(scores)) if weight is None else weight
    distinct, places = np.unique(scores, return_inverse=True)
    mass = np.bincount(places, weight)
    shares = np.bincount(places, weight * labels) / mass
    return Curve(distinct, np.clip(isotonic_regression(shares, weights=mass).x, 0.0, 1.0))
