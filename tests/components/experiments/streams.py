"""Arms at every look of simulated experiments."""

from __future__ import annotations

import numpy as np

from components.experiments import arms
from components.experiments.arms import Arm


def looks(values: np.ndarray, treated: np.ndarray, *, is_share: bool = False) -> tuple[Arm, Arm]:
    """Control and treatment after each unit; both are (runs, units)."""
    return _arm(values, ~treated, is_share), _arm(values, treated, is_share)


def _arm(values: np.ndarray, mine: np.ndarray, is_share: bool) -> Arm:
    n = mine.cumsum(-1).astype(float)
    if is_share:
        return arms.of_counts((values * mine).cumsum(-1), n)
    centre = values.mean()
    found = arms.of_sums(n, ((values - centre) * mine).cumsum(-1), ((values - centre) ** 2 * mine).cumsum(-1))
    return Arm(found.n, found.mean + centre, found.squares)
