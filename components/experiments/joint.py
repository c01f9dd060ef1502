"""Several columns of the same units: the sums and cross products that ratios and CUPED need."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from components.contract.errors import DataError
from components.experiments.arms import Arm
from components.experiments.numbers import Array, Numbers, counted, divided, finite, plain


@dataclass(frozen=True)
class Joint:
    """The sufficient statistics of k columns of an arm; can be added.

    For a ratio the columns are what is above and what is below it, such as clicks and views of each user.

    Attributes:
        n: The number of units; numbers of shape (...).
        means: The means of the columns, (..., k).
        products: The sums of products of differences from the means, (..., k, k).
    """

    n: Numbers
    means: Array
    products: Array

    def __add__(self, other: Joint) -> Joint:
        n = np.asarray(self.n) + other.n
        share = divided(other.n, n)
        difference = other.means - self.means
        between = difference[..., :, None] * difference[..., None, :] * (share * self.n)[..., None, None]
        means = self.means + difference * share[..., None]
        return Joint(plain(n), means, self.products + other.products + between)

    def combined(self, weights: Any, mean: Any = None) -> Arm:
        """The arm of a weighted sum of the columns; weights are (..., k).

        Args:
            weights: The weights of the columns.
            mean: The mean of the arm, where it is not that of the weighted sum.
        """
        factors = np.asarray(weights, dtype=float)
        squares = np.einsum("...i,...ij,...j->...", factors, self.products, factors)
        own = (self.means * factors).sum(-1) if mean is None else mean
        return Arm(self.n, plain(own), plain(np.maximum(squares, 0.0)))


def of_columns(*columns: Any) -> Joint:
    """The joint statistics of columns; each has one value a unit, (units,).

    Raises:
        DataError: They differ in length, or a value is not a finite number.
    """
    found = [finite(column, f"column {number}").ravel() for number, column in enumerate(columns, 1)]
    if len({column.size for column in found}) > 1:
        raise DataError("the columns of an arm differ in length", fix="give each unit a value in every column")
    table = np.stack(found, -1)
    means = table.mean(0) if len(table) else np.zeros(len(found))
    left = table - means
    return Joint(len(table), means, left.T @ left)


def of_sums(n: Any, sums: Sequence[Any], products: Sequence[Sequence[Any]]) -> Joint:
    """The joint statistics of k columns with these sums and sums of products, as a database computes them.

    Raises:
        DataError: The sums do not belong together.
    """
    units = counted(n, "units")
    totals = np.stack(np.broadcast_arrays(*(finite(each, "a sum") for each in sums)), -1)
    means = divided(totals, units[..., None])
    rows = [np.stack(np.broadcast_arrays(*(finite(each, "a product") for each in row)), -1) for row in products]
    left = np.stack(rows, -2) - totals[..., :, None] * means[..., None, :]
    if (
        np.diagonal(left, axis1=-2, axis2=-1) < -1e-9 * np.abs(np.diagonal(np.stack(rows, -2), axis1=-2, axis2=-1))
    ).any():
        raise DataError("a column's sum of squares is too small for its sum", fix="take both over the same units")
    return Joint(plain(units), means, left)


def cumulative(*columns: Array) -> Joint:
    """The joint statistics after each unit; each column is (..., units)."""
    table = np.stack([finite(column, f"column {number}") for number, column in enumerate(columns, 1)], -1)
    centre = table.mean(-2, keepdims=True)
    n = np.arange(1.0, table.shape[-2] + 1)
    left = table - centre
    sums = left.cumsum(-2)
    products = (left[..., :, None] * left[..., None, :]).cumsum(-3)
    products -= sums[..., :, None] * sums[..., None, :] / n[:, None, None]
    return Joint(np.broadcast_to(n, table.shape[:-1]), centre + sums / n[:, None], products)


def ratio(arm: Joint, above: int = 0, below: int = 1) -> Arm:
    """The arm of a ratio of two means, such as clicks per view where users are assigned; the delta method.

    Its variance is that of (above - ratio · below) / mean of below: Deng, Knoblich and Lu, "Applying the delta method
    in metric analytics" (KDD 2018).

    Raises:
        DataError: The mean below is not above 0.
    """
    bottom = arm.means[..., below]
    if (bottom <= 0).any():
        raise DataError("the sum below a ratio is not above 0", fix="leave out units without it, or compare means")
    found = arm.means[..., above] / bottom
    weights = np.zeros(arm.means.shape)
    weights[..., above], weights[..., below] = 1 / bottom, -found / bottom
    return arm.combined(weights, found)
