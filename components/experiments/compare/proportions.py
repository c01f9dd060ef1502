"""Two shares, such as conversion."""

from __future__ import annotations

import numpy as np
from scipy.special import ndtr, ndtri

from components.experiments.arms import Arm, require
from components.experiments.compare.comparison import Comparison, relative_interval
from components.experiments.numbers import Array, divided, plain, share

_HALVINGS = 60


def z(control: Arm, treatment: Arm, level: float = 0.05) -> Comparison:
    """The z test of two shares with pooled variance, and the score interval that belongs to it.

    The interval has the differences that the same test does not reject (Mee, Biometrics 1984), so it excludes 0 exactly
    where the p-value is below the level; it stays within -1 and 1, and holds where an arm has no success.

    Args:
        control: The control, from `arms.of_counts`.
        treatment: The treatment.
        level: One minus the interval's coverage.

    Raises:
        DataError: An arm has no units.
    """
    share(level, "the level")
    require(control, "the control", 1)
    require(treatment, "the treatment", 1)
    difference = np.asarray(treatment.mean) - control.mean
    low, high = _interval(control, treatment, float(ndtri(1 - level / 2)))
    relative_low, relative_high = relative_interval(control, treatment, level, normal=True)
    return Comparison(
        method="z of two shares",
        control=control.mean,
        treatment=treatment.mean,
        difference=plain(difference),
        low=plain(low),
        high=plain(high),
        p_value=plain(2 * ndtr(-np.abs(_score(control, treatment, np.zeros(np.shape(difference)))))),
        relative=plain(divided(difference, control.mean, np.nan)),
        relative_low=plain(relative_low),
        relative_high=plain(relative_high),
        level=level,
        n_control=control.n,
        n_treatment=treatment.n,
    )


def _interval(control: Arm, treatment: Arm, quantile: float) -> tuple[Array, Array]:
    """Both ends by halving: the score falls as the assumed difference grows."""
    found = np.asarray(treatment.mean) - control.mean
    ends = []
    for sign in (1.0, -1.0):
        outside, inside = np.full(found.shape, -sign), found
        for _ in range(_HALVINGS):
            middle = (outside + inside) / 2
            rejected = sign * _score(control, treatment, middle) > quantile
            outside, inside = np.where(rejected, middle, outside), np.where(rejected, inside, middle)
        ends.append(inside)
    return ends[0], ends[1]


def _score(control: Arm, treatment: Arm, difference: Array) -> Array:
    """How far the found difference is from an assumed one, in standard errors under it."""
    of_control = restricted(control, treatment, difference)
    of_treatment = np.clip(of_control + difference, 0.0, 1.0)
    variance = of_control * (1 - of_control) / control.n + of_treatment * (1 - of_treatment) / treatment.n
    away = np.asarray(treatment.mean) - control.mean - difference
    certain = np.where(np.abs(away) < 1e-12, 0.0, np.where(away < 0, -np.inf, np.inf))
    return np.where(variance > 1e-300, divided(away, np.sqrt(np.maximum(variance, 0.0))), certain)


def restricted(control: Arm, treatment: Arm, difference: Array) -> Array:
    """The likeliest share of the control if the treatment's is larger by a difference: the root of a cubic.

    Miettinen and Nurminen, "Comparative analysis of two rates" (Statistics in Medicine 1985), in closed form.
    """
    of_control, of_treatment, hits = np.asarray(control.n), np.asarray(treatment.n), np.asarray(control.total)
    n, all_hits = np.maximum(of_control + of_treatment, 1), hits + treatment.total
    second = ((of_treatment + 2 * of_control) * difference - n - all_hits) / (3 * n)
    first = ((of_control * difference - n - 2 * hits) * difference + all_hits) / n
    constant = hits * difference * (1 - difference) / n
    q = second**3 - first * second / 2 + constant / 2
    p = np.where(q < 0, -1.0, 1.0) * np.sqrt(np.maximum(second**2 - first / 3, 0.0))
    angle = (np.pi + np.arccos(np.clip(divided(q, p**3), -1.0, 1.0))) / 3
    return np.clip(2 * p * np.cos(angle) - second, np.maximum(0.0, -difference), np.minimum(1.0, 1.0 - difference))
