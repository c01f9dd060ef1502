"""What is known of one arm of an experiment: its units, their mean and how much they differ."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from components.contract.errors import DataError
from components.experiments.numbers import Array, Numbers, counted, divided, finite, plain


@dataclass(frozen=True)
class Arm:
    """The sufficient statistics of a metric; arms can be added, and hold one experiment or arrays of looks.

    A unit is what was assigned to the arm, such as a user. Requests of one user are not independent: give sums of each
    user, or a ratio of two sums (components/experiments/joint.py).

    Attributes:
        n: The number of units.
        mean: The mean of the metric; 0 without units. A share, such as 0.031, where each unit has 0 or 1.
        squares: The sum of squared differences from the mean.
    """

    n: Numbers
    mean: Numbers
    squares: Numbers

    @property
    def variance(self) -> Numbers:
        """The variance of one unit, with n - 1; 0 with less than two units."""
        return plain(divided(self.squares, np.maximum(np.asarray(self.n) - 1, 0)))

    @property
    def total(self) -> Numbers:
        """The sum over all units, such as the number of conversions."""
        return plain(np.asarray(self.n) * self.mean)

    def __add__(self, other: Arm) -> Arm:
        """Both arms' units; by the formula of Chan, Golub and LeVeque (1983), which loses no digits."""
        n = np.asarray(self.n) + other.n
        share = divided(other.n, n)
        difference = np.asarray(other.mean) - self.mean
        squares = np.asarray(self.squares) + other.squares + difference**2 * share * self.n
        return Arm(plain(n), plain(self.mean + difference * share), plain(squares))


def of_values(values: Any) -> Arm:
    """The arm of units with these values; (units,).

    Raises:
        DataError: A value is not a finite number.
    """
    found = finite(values, "the values of an arm").ravel()
    mean = float(found.mean()) if found.size else 0.0
    return Arm(found.size, mean, float(((found - mean) ** 2).sum()))


def of_counts(successes: Any, n: Any) -> Arm:
    """The arm of units that each have 0 or 1, such as converted or not; numbers or arrays of one shape.

    Raises:
        DataError: There are more successes than units, or a count is negative.
    """
    hits, units = counted(successes, "successes"), counted(n, "units")
    if (hits > units).any():
        raise DataError(
            "an arm has more successes than units", fix="count each unit once, or compare means instead of shares"
        )
    mean = divided(hits, units)
    return Arm(plain(units), plain(mean), plain(hits * (1 - mean)))


def of_sums(n: Any, total: Any, squares: Any) -> Arm:
    """The arm of units with this sum and sum of squares, as a database computes them.

    Raises:
        DataError: The sums do not belong together.
    """
    units, sums, powers = counted(n, "units"), finite(total, "the sum"), counted(squares, "the sum of squares")
    mean = divided(sums, units)
    left = powers - sums * mean
    if (left < -1e-9 * powers).any() or ((units == 0) & ((sums != 0) | (powers != 0))).any():
        raise DataError("an arm's sum of squares is too small for its sum", fix="take both over the same units")
    return Arm(plain(units), plain(mean), plain(np.maximum(left, 0.0)))


def cumulative(values: Array) -> Arm:
    """The arms after each unit; values have the shape (..., units), and so has what is returned."""
    found = finite(values, "the values of an arm")
    centre = found.mean(-1, keepdims=True)
    n = np.arange(1.0, found.shape[-1] + 1)
    sums = (found - centre).cumsum(-1)
    squares = ((found - centre) ** 2).cumsum(-1) - sums**2 / n
    return Arm(np.broadcast_to(n, found.shape), centre + sums / n, np.maximum(squares, 0.0))


def require(arm: Arm, name: str, least: int = 2) -> None:
    """Raises a DataError if an arm has too few units to say anything."""
    fewest = float(np.min(arm.n))
    if fewest < least:
        raise DataError(
            f"{name} has {fewest:g} units, and at least {least} are needed",
            fix="wait for more units, or check that the arm is assigned any",
        )
