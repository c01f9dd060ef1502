"""How often the smallest of many p-values is as small as this, with all tests of a window as they depend on each other.

Westfall and Young's single-step min-p: windows are drawn from the sample of training rows, whole rows at a time, and
each is tested as a real window is. The simulation also corrects p-values that are too low for few rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from components.monitoring.calibration import statistics
from components.monitoring.calibration.groups import WIDTH

Array: TypeAlias = NDArray[np.float64]
_WINDOWS = 1000
_DRAWS = 100_000_000
_SMALLEST = 200
LARGEST = 1000
"""Rows of the largest windows that are simulated: the tests of larger ones depend on each other in the same way."""
_POPULATION = 1e12
_BULK = 0.2


@dataclass(frozen=True)
class Family:
    """The distribution of the smallest p-value.

    Attributes:
        least: The smallest p-value of each simulated window, ascending.
        slope: How the distribution goes on to p-values too small to be simulated, as a power of these; 1 for
            independent exact tests.
    """

    least: Array
    slope: float

    def adjusted(self, p_value: Array, others: int = 0) -> Array:
        """The probability that any p-value is as small as these.

        Args:
            p_value: P-values.
            others: The number of further tests, which are not in the simulation.
        """
        edge = self.least[int(_BULK * len(self.least))]
        tail = -np.expm1(np.log1p(-_BULK) * (np.minimum(p_value, edge) / edge) ** self.slope)
        bulk = (1 + np.searchsorted(self.least, p_value, side="right")) / (1 + len(self.least))
        least = np.where(p_value <= edge, tail, np.maximum(bulk, _BULK))
        return np.minimum(1.0, least + others * p_value)


def family(codes: NDArray[np.int32], numbers: NDArray[np.bool_], rows: float, seed: int = 0) -> Family:
    """The distribution of the smallest p-value for windows of a size.

    Args:
        codes: The groups of a sample of rows, (rows, columns); WIDTH where a value is missing.
        numbers: Which columns are numbers.
        rows: The window's rows, or for a small reference the number with the same variance: 1 / (1 / n + 1 / N).
        seed: Of the simulation.
    """
    if not codes.size:
        return Family(np.ones(1), 1.0)
    most = np.clip(_DRAWS // (_WINDOWS * codes.shape[1]), _SMALLEST, LARGEST)
    size = int(np.clip(rows, 1, most))
    chosen = np.random.default_rng(seed).integers(len(codes), size=(_WINDOWS, size), dtype=np.int32)
    least = np.ones(_WINDOWS)
    for p_value in _p_values(codes, numbers, chosen):
        np.minimum(least, p_value, out=least)
    least.sort()
    return Family(least, _slope(least))


def _p_values(codes: NDArray[np.int32], numbers: NDArray[np.bool_], chosen: NDArray[np.int32]) -> Iterator[Array]:
    width = WIDTH + 1
    offsets: NDArray[np.int32] = np.arange(0, len(chosen) * width, width, dtype=np.int32)[:, None]
    rows = np.full(len(chosen), float(chosen.shape[1]))
    for column, number in enumerate(numbers):
        own = np.ascontiguousarray(codes[:, column])
        population = np.bincount(own, minlength=width) * (_POPULATION / len(own))
        counts = np.bincount((own[chosen] + offsets).reshape(-1), minlength=len(chosen) * width)
        counts = counts.reshape(-1, width).astype(float)
        used = np.flatnonzero(population[:WIDTH])
        yield values(counts[:, used], population[used], number=bool(number))
        yield statistics.share(counts[:, WIDTH], rows, population[WIDTH], np.float64(_POPULATION)).p_value


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
