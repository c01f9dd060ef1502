"""The outcome of a comparison of two arms, and what its methods share."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri, stdtr, stdtrit

from components.contract.errors import DataError
from components.experiments.arms import Arm
from components.experiments.numbers import Array, Numbers, divided, plain

_LARGEST = 50.0


@dataclass(frozen=True)
class Comparison:
    """How much a treatment differs from a control.

    Attributes:
        method: What was computed, such as "Welch's t".
        control: The control's estimate, in the metric's units.
        treatment: The treatment's estimate.
        difference: Treatment minus control.
        low: The lower end of the difference's confidence interval.
        high: The upper end.
        p_value: The probability of a difference as large as this in either direction if there is none.
        relative: The difference divided by the control's estimate; NaN if that is 0.
        relative_low: The lower end of its confidence interval; NaN if the estimates do not have the same sign.
        relative_high: The upper end.
        level: One minus the intervals' coverage.
        n_control: The control's units.
        n_treatment: The treatment's units.
    """

    method: str
    control: Numbers
    treatment: Numbers
    difference: Numbers
    low: Numbers
    high: Numbers
    p_value: Numbers
    relative: Numbers
    relative_low: Numbers
    relative_high: Numbers
    level: float
    n_control: Numbers
    n_treatment: Numbers


def of_means(method: str, control: Arm, treatment: Arm, level: float, *, normal: bool = False) -> Comparison:
    """A comparison by the means' standard errors, with Welch's degrees of freedom or by the normal distribution.

    Raises:
        DataError: No unit differs from another one, so that nothing is known of the error.
    """
    error, free = welch(control, treatment)
    if (error == 0).any():
        raise DataError(
            "all units of both arms have the same value, so the difference has no error to compare it with",
            fix="compare shares instead, or wait until units differ",
        )
    difference = np.asarray(treatment.mean) - control.mean
    p_value = 2 * stdtr(np.inf if normal else free, -np.abs(difference) / error)
    half = quantile(level, np.inf if normal else free) * error
    low, high = relative_interval(control, treatment, level, normal=normal)
    return Comparison(
        method=method,
        control=control.mean,
        treatment=treatment.mean,
        difference=plain(difference),
        low=plain(difference - half),
        high=plain(difference + half),
        p_value=plain(p_value),
        relative=plain(divided(difference, control.mean, np.nan)),
        relative_low=plain(low),
        relative_high=plain(high),
        level=level,
        n_control=control.n,
        n_treatment=treatment.n,
    )


def quantile(level: float, free: Numbers) -> Array:
    """Half of an interval's width in standard errors, with these degrees of freedom."""
    exact = stdtrit(np.minimum(free, 1e9), 1 - level / 2)
    return np.where(np.isfinite(free), exact, ndtri(1 - level / 2))


def welch(control: Arm, treatment: Arm) -> tuple[Array, Array]:
    """The standard error of the difference, and Welch and Satterthwaite's degrees of freedom."""
    of_control, of_treatment = (divided(arm.variance, arm.n) for arm in (control, treatment))
    together = of_control + of_treatment
    rest = divided(of_control**2, np.asarray(control.n) - 1) + divided(of_treatment**2, np.asarray(treatment.n) - 1)
    return np.sqrt(together), divided(together**2, rest, np.inf)


def relative_interval(control: Arm, treatment: Arm, level: float, *, normal: bool = False) -> tuple[Array, Array]:
    """The interval of treatment / control - 1: the delta method on the logarithm of the ratio."""
    usable = np.asarray(control.mean) * treatment.mean > 0
    scaled = [Arm(arm.n, 1.0, divided(arm.squares, np.asarray(arm.mean) ** 2)) for arm in (control, treatment)]
    error, free = welch(*scaled)
    half = quantile(level, np.inf if normal else free) * error
    # More than that is unbounded: the control's mean may well be 0.
    factor = np.where(half < _LARGEST, np.exp(np.minimum(half, _LARGEST)), np.inf)
    ratio = np.where(usable, divided(treatment.mean, control.mean), np.nan)
    return ratio / factor - 1, ratio * factor - 1
