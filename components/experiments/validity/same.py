"""A/A runs: how often a comparison of two halves of the same units finds a difference."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from components.contract.errors import DataError
from components.experiments import arms
from components.experiments.arms import Arm
from components.experiments.compare import means
from components.experiments.numbers import Array, finite

_AT_ONCE = 4_000_000


@dataclass(frozen=True)
class Same:
    """The outcome of many A/A runs.

    Attributes:
        p_values: One a run.
        found: The share of runs with a p-value below the level; it should be the level.
        uniform: The p-value of a Kolmogorov-Smirnov test that the p-values are uniform; below 0.01 they are not.
        deviation: The standard deviation of the differences, in the metric's units: what chance alone does.
    """

    p_values: Array
    found: float
    uniform: float
    deviation: float


def same(values: Any, runs: int = 1000, level: float = 0.05, seed: int = 1) -> Same:
    """Splits units into random halves again and again, and compares their means.

    Kohavi, Tang and Xu, "Trustworthy online controlled experiments" (2020), chapter 19. It fails if the units are not
    what was assigned, such as requests of users, or if few units have most of the sum.

    Args:
        values: The metric of each unit, before any experiment, (units,).
        runs: The number of splits.
        level: The level of each comparison.
        seed: Of the splits.

    Raises:
        DataError: There are less than four units, or they are all the same.
    """
    from scipy.stats import kstest

    found = finite(values, "the values of an A/A run").ravel()
    if found.size < 4 or found.min() == found.max():
        raise DataError("an A/A run needs four units or more that differ", fix="give a metric over more units")
    chance, halves = np.random.default_rng(seed), []
    for start in range(0, runs, _rows(found.size)):
        halves.append(_halves(found, min(_rows(found.size), runs - start), chance))
    compared = [means.welch(*each, level) for each in halves]
    p_values = np.concatenate([np.atleast_1d(each.p_value) for each in compared])
    differences = np.concatenate([np.atleast_1d(each.difference) for each in compared])
    uniform = float(kstest(p_values, "uniform").pvalue)
    return Same(p_values, float((p_values < level).mean()), uniform, float(differences.std()))


def _rows(units: int) -> int:
    return max(1, _AT_ONCE // units)


def _halves(values: Array, runs: int, chance: np.random.Generator) -> tuple[Arm, Arm]:
    centred = values - values.mean()
    chosen = chance.permuted(np.broadcast_to(np.arange(values.size) < values.size // 2, (runs, values.size)), axis=1)
    picked = chosen.astype(float)
    n, sums, squares = picked.sum(-1), picked @ centred, picked @ centred**2
    first = arms.of_sums(n, sums, squares)
    rest = arms.of_sums(values.size - n, centred.sum() - sums, (centred**2).sum() - squares)
    return first, rest
