"""Two shares of few units: a sequential test and interval that are exact at any number of looks and of units.

Each arm bets against a share by a beta mixture (Robbins 1970). The product of both bets does not grow in the mean for
the true pair of shares, so the least product over all pairs with the same difference is evidence against that
difference (universal inference: Wasserman, Ramdas and Balakrishnan, PNAS 2020). It assumes only that units are
independent, and pays for it: `sequential.sequence` finds more.
"""

from __future__ import annotations

import numpy as np
from scipy.special import betaln, xlog1py, xlogy

from components.experiments.arms import Arm
from components.experiments.compare.proportions import restricted
from components.experiments.numbers import Array, plain, share
from components.experiments.sequential import Sequence

_HALVINGS = 50


def shares(control: Arm, treatment: Arm, level: float = 0.05, prior: tuple[float, float] = (1.0, 1.0)) -> Sequence:
    """The difference of two shares, exactly valid at any number of looks.

    Args:
        control: The control so far, from `arms.of_counts`.
        treatment: The treatment.
        level: The probability that the interval ever leaves out the true difference.
        prior: The beta mixture that each arm bets with: successes and failures. Where a share is known to be about
            3 %, (0.3, 9.7) finds more.
    """
    bar = -np.log(share(level, "the level"))
    mixed = _mixed(control, prior) + _mixed(treatment, prior)
    difference = np.asarray(treatment.mean) - control.mean
    evidence = np.exp(np.minimum(mixed - _likelihood(control, treatment, np.zeros(np.shape(difference))), 700.0))
    low, high = (_end(control, treatment, mixed - bar, outside) for outside in (-1.0, 1.0))
    return Sequence(
        control=control.mean,
        treatment=treatment.mean,
        difference=plain(difference),
        low=plain(low),
        high=plain(high),
        p_value=plain(np.minimum(1.0, 1 / evidence)),
        evidence=plain(evidence),
        n_control=control.n,
        n_treatment=treatment.n,
    )


def _mixed(arm: Arm, prior: tuple[float, float]) -> Array:
    """The logarithm of the mixture's likelihood."""
    hits, misses = np.asarray(arm.total), np.asarray(arm.n) - arm.total
    return np.asarray(betaln(prior[0] + hits, prior[1] + misses) - betaln(*prior))


def _likelihood(control: Arm, treatment: Arm, difference: Array) -> Array:
    """The largest log-likelihood of two shares with this difference."""
    first = np.asarray(restricted(control, treatment, difference))
    second = np.clip(first + difference, 0.0, 1.0)
    return np.asarray(_of(control, first) + _of(treatment, second))


def _of(arm: Arm, chance: Array) -> Array:
    misses = np.maximum(np.asarray(arm.n) - arm.total, 0.0)
    return np.asarray(xlogy(arm.total, chance) + xlog1py(misses, -chance))


def _end(control: Arm, treatment: Arm, bar: Array, outside: float) -> Array:
    """By halving: the likelihood falls with the distance from the difference that was found."""
    inside = np.asarray(treatment.mean) - control.mean
    away = np.full(np.shape(inside), outside)
    for _ in range(_HALVINGS):
        middle = (inside + away) / 2
        kept = _likelihood(control, treatment, middle) > bar
        inside, away = np.where(kept, middle, inside), np.where(kept, away, middle)
    return away
