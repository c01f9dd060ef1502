"""How often the smallest of many p-values is as small as this, with all tests of a window as they depend on each other.

Westfall and Young's single-step min-p: pairs of a window and its training data are drawn from the sample of training
rows, whole rows at a time, and each pair is tested as a real one is. The simulation also corrects p-values that are too
low for few rows, or too high for rare values. So pairs have the sizes of the real ones: with fewer rows, tests of rare
values would be more cautious than the real ones are, and these would seem to prove more than they do.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from components.monitoring.calibration import statistics
from components.monitoring.calibration.groups import WIDTH

Array: TypeAlias = NDArray[np.float64]
Weights: TypeAlias = NDArray[np.float32]
_PAIRS = 1000
_CELLS, _FEWEST, _MOST = 500_000, 2_000, 5_000
"""Of the sample, so many values are used, and rows."""
LARGEST = 100_000
"""Rows of the largest samples that are simulated: what is rare among more is frequent enough for all tests."""
_BULK = 0.2
_THREADS = 2


@dataclass(frozen=True)
class Family:
    """The distribution of the smallest p-value.

    Attributes:
        least: The smallest p-value of each simulated window, ascending.
        slope: How the distribution goes on to p-values too small to be simulated, as a power of these; 1 for
            independent exact tests.
        tests: The number of tests where nothing can be simulated: Bonferroni's correction.
    """

    least: Array
    slope: float
    tests: int = 0

    def adjusted(self, p_value: Array, others: int = 0) -> Array:
        """The probability that any p-value is as small as these.

        Args:
            p_value: P-values.
            others: The number of further tests, which are not in the simulation.
        """
        if not len(self.least):
            return np.minimum(1.0, (self.tests + others) * p_value)
        edge = self.least[int(_BULK * len(self.least))]
        tail = -np.expm1(np.log1p(-_BULK) * (np.minimum(p_value, edge) / edge) ** self.slope)
        bulk = (1 + np.searchsorted(self.least, p_value, side="right")) / (1 + len(self.least))
        least = np.where(p_value <= edge, tail, np.maximum(bulk, _BULK))
        return np.minimum(1.0, least + others * p_value)


def family(
    codes: NDArray[np.int32], numbers: NDArray[np.bool_], rows: float, reference_rows: float, seed: int = 0
) -> Family:
    """The distribution of the smallest p-value for windows and training data of these sizes.

    Args:
        codes: The groups of a sample of rows, (rows, columns), in random order; WIDTH where a value is missing.
        numbers: Which columns are numbers.
        rows: The window's rows.
        reference_rows: The rows of the training data.
        seed: Of the simulation.
    """
    if not codes.size:
        return Family(np.empty(0), 1.0, 2 * len(numbers))
    known = codes[: int(np.clip(_CELLS // codes.shape[1], _FEWEST, _MOST))]
    chance = np.random.default_rng(seed)
    window, reference = (_weights(chance, len(known), size) for size in (rows, reference_rows))
    least = np.ones(_PAIRS)
    with ThreadPoolExecutor(_THREADS) as threads:
        for p_value in threads.map(lambda own, number: _of_column(own, number, window, reference), known.T, numbers):
            np.minimum(least, p_value, out=least)
    least.sort()
    return Family(least, _slope(least))


def _weights(chance: np.random.Generator, known: int, size: float) -> Weights:
    """How often each row is in each sample, (rows, samples): given how many there are, as if drawn one by one."""
    return chance.poisson(min(size, LARGEST) / known, size=(known, _PAIRS)).astype(np.float32)


def _of_column(own: NDArray[np.int32], number: np.bool_, window: Weights, reference: Weights) -> Array:
    """The smaller p-value of a column's values and of its missing ones, in each pair."""
    used, group = np.unique(np.append(own, WIDTH), return_inverse=True)
    places = group[:-1], np.arange(len(own))
    rows_of = csr_array((np.ones(len(own), np.float32), places), shape=(len(used), len(own)))
    now, then = (np.ascontiguousarray((rows_of @ each).T, dtype=np.float64) for each in (window, reference))
    missing = statistics.share(now[:, -1], now.sum(-1), then[:, -1], then.sum(-1)).p_value
    return np.minimum(values(now[:, :-1], then[:, :-1], number=bool(number)), missing)


def values(window: Array, reference: Array, *, number: bool) -> Array:
    """The p-values of a column's values."""
    if not window.shape[-1]:
        return np.ones(window.shape[:-1])
    if number:
        first = statistics.location(window, reference).p_value
        return statistics.either(first, statistics.kolmogorov_smirnov(window, reference).p_value)
    first = statistics.chi_square(window, reference).p_value
    return statistics.either(first, statistics.largest_share(window, reference))


def _slope(least: Array) -> float:
    """Hill's estimate from the smallest fifth; above 1, small p-values would seem less frequent than they are."""
    edge = least[int(_BULK * len(least))]
    distances = np.log(edge / least[least < edge])
    return float(np.clip(1 / distances.mean(), 0.7, 1.0)) if len(distances) > 20 else 1.0
