"""CUPED: what was known of each unit before the experiment explains part of how units differ, and is taken out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from components.contract.errors import DataError
from components.experiments.arms import Arm
from components.experiments.joint import Joint
from components.experiments.numbers import Array, divided, finite, plain


@dataclass(frozen=True)
class Adjusted:
    """Arms with less variance and the same difference in the mean; compare them as any others.

    Attributes:
        control: The control.
        treatment: The treatment.
        slopes: What a unit more of each covariate changes, (..., covariates).
        kept: The share of the variance that is left; 1 minus the squared correlation with the covariates.
    """

    control: Arm
    treatment: Arm
    slopes: Array
    kept: float | Array


def means(control: Joint, treatment: Joint) -> Adjusted:
    """Adjusts a mean by covariates from before the experiment.

    Deng, Xu, Kohavi and Walker, "Improving the sensitivity of online controlled experiments by utilizing
    pre-experiment data" (WSDM 2013). A covariate must not depend on the arm: only data from before the assignment.

    Args:
        control: The control's columns: the metric, then the covariates. A unit without history has their mean.
        treatment: The treatment's.

    Raises:
        DataError: There is no covariate.
    """
    both = control + treatment
    _require(both, 2)
    slopes = _slopes(both.products)
    return _adjusted(control, treatment, both, slopes)


def ratios(control: Joint, treatment: Joint) -> Adjusted:
    """Adjusts a ratio by the same or another ratio before the experiment.

    Args:
        control: The control's four columns: above and below the ratio, and above and below the one before.
        treatment: The treatment's.

    Raises:
        DataError: There are not four columns, or the sum below a ratio is not above 0.
    """
    both = control + treatment
    _require(both, 4)
    together = _linear(both)
    return _adjusted(_linear(control), _linear(treatment), together, _slopes(together.products))


def _require(both: Joint, columns: int) -> None:
    if both.means.shape[-1] < columns:
        raise DataError(
            f"an adjustment needs {columns} columns or more, not {both.means.shape[-1]}",
            fix="give the metric first, and then what was known of each unit before the experiment",
        )


def _linear(arm: Joint) -> Joint:
    """Two ratios, and the products of what they vary with: the delta method."""
    tops, bottoms = arm.means[..., [0, 2]], arm.means[..., [1, 3]]
    if (bottoms <= 0).any():
        raise DataError("the sum below a ratio is not above 0", fix="leave out units without it, or compare means")
    found = tops / bottoms
    weights = np.zeros((*arm.means.shape, 2))
    for ratio in (0, 1):
        weights[..., 2 * ratio, ratio] = 1 / bottoms[..., ratio]
        weights[..., 2 * ratio + 1, ratio] = -found[..., ratio] / bottoms[..., ratio]
    return Joint(arm.n, found, np.swapaxes(weights, -1, -2) @ arm.products @ weights)


def _slopes(products: Array) -> Array:
    """The least-squares slopes of both arms together; 0 for covariates that do not vary."""
    inner, outer = products[..., 1:, 1:], products[..., 1:, :1]
    return np.asarray((np.linalg.pinv(finite(inner, "a covariate"), hermitian=True) @ outer)[..., 0])


def _adjusted(control: Joint, treatment: Joint, both: Joint, slopes: Array) -> Adjusted:
    weights = np.concatenate([np.ones((*slopes.shape[:-1], 1)), -slopes], -1)
    arms = []
    for arm in (control, treatment):
        moved = ((arm.means - both.means)[..., 1:] * slopes).sum(-1)
        arms.append(arm.combined(weights, arm.means[..., 0] - moved))
    left = both.combined(weights).squares
    return Adjusted(arms[0], arms[1], slopes, plain(divided(left, both.products[..., 0, 0], 1.0)))
