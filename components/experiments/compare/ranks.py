"""Two distributions by their ranks, for values without a meaningful mean."""

from __future__ import annotations

from typing import Any

import numpy as np

from components.contract.errors import DataError
from components.experiments.arms import of_values, require
from components.experiments.compare.comparison import Comparison, quantile
from components.experiments.numbers import Array, finite, share


def mann_whitney(control: Any, treatment: Any, level: float = 0.05) -> Comparison:
    """The Mann-Whitney U test, and the probability that a unit of the treatment is above one of the control.

    `treatment` is that probability, with ties as half; `control` is 0.5. The interval is Brunner and Munzel's
    (Biometrical Journal 2000), which holds for arms of different spread too. It says nothing of means or medians.

    Args:
        control: The control's values, (units,).
        treatment: The treatment's values, (units,).
        level: One minus the interval's coverage.

    Raises:
        DataError: An arm has less than two units, or all values are the same.
    """
    from scipy.stats import mannwhitneyu, rankdata

    share(level, "the level")
    below, above = (finite(values, "the values of an arm").ravel() for values in (control, treatment))
    require(of_values(below), "the control")
    require(of_values(above), "the treatment")
    both = np.concatenate([below, above])
    if both.min() == both.max():
        raise DataError("all values of both arms are the same", fix="wait until units differ, or compare shares")
    n, m = below.size, above.size
    ranks = rankdata(both)
    probability = (ranks[n:].mean() - (m + 1) / 2) / n
    error, free = _error(ranks[:n] - rankdata(below), ranks[n:] - rankdata(above))
    half = float(quantile(level, free) * error)
    return Comparison(
        method="Mann-Whitney U",
        control=0.5,
        treatment=float(probability),
        difference=float(probability - 0.5),
        low=max(float(probability) - half, 0.0) - 0.5,
        high=min(float(probability) + half, 1.0) - 0.5,
        p_value=float(mannwhitneyu(above, below).pvalue),
        relative=float("nan"),
        relative_low=float("nan"),
        relative_high=float("nan"),
        level=level,
        n_control=n,
        n_treatment=m,
    )


def _error(of_control: Array, of_treatment: Array) -> tuple[float, float]:
    """The standard error of the probability and its degrees of freedom, from how many of the others are below each."""
    n, m = of_control.size, of_treatment.size
    parts = of_control.var(ddof=1) / m**2 / n, of_treatment.var(ddof=1) / n**2 / m
    together = sum(parts)
    free = together**2 / (parts[0] ** 2 / (n - 1) + parts[1] ** 2 / (m - 1)) if together else np.inf
    return float(np.sqrt(together)), float(free)
