"""Mean, variance and range of numbers that come in pieces."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


class Moments:
    """The mean, the variance and the range of numbers, without the rounding errors of a sum of squares."""

    def __init__(self) -> None:
        self.number = 0
        self.mean = 0.0
        self.low = 0.0
        self.high = 0.0
        self._squares = 0.0

    @property
    def variance(self) -> float:
        """The variance, divided by the number of values."""
        return self._squares / self.number if self.number else 0.0

    def fields(self) -> dict[str, Any]:
        """The fields of a summary."""
        return {"mean": self.mean, "variance": self.variance, "low": self.low, "high": self.high}

    def add(self, values: NDArray, weights: NDArray | None = None) -> None:
        """Adds finite numbers, each counted as often as its weight says."""
        number = len(values) if weights is None else int(weights.sum())
        if not number:
            return
        with np.errstate(over="ignore", invalid="ignore"):
            exact = values.astype(np.float64, copy=False)
            mean = float(exact.mean() if weights is None else (exact * weights).sum() / number)
            deviations = exact - mean
            # Not np.dot: its threads would take the processors from ours.
            deviations *= deviations
            squares = float(np.sum(deviations if weights is None else deviations * weights))
            self._range(float(exact.min()), float(exact.max()))
            self._merge(number, mean, squares)

    def _range(self, low: float, high: float) -> None:
        self.low = min(self.low, low) if self.number else low
        self.high = max(self.high, high) if self.number else high

    def _merge(self, number: int, mean: float, squares: float) -> None:
        total = self.number + number
        apart = mean - self.mean
        self._squares += squares + apart * apart * self.number * number / total
        self.mean += apart * number / total
        self.number = total
