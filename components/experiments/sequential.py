"""Tests and intervals that hold at every look: two arms may be compared as often as one likes, and stopped at any time.

The e-value is a mixture of likelihood ratios over effects (Robbins 1970; Johari, Pekelis and Walsh, "Always valid
inference", 2015), with Student's t in place of the normal distribution, because the variance is estimated (Lindon, Ham,
Tingley and Bojinov, "Anytime-valid linear models", 2022). For many units it is the asymptotic confidence sequence of
Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas, "Time-uniform central limit theory" (Annals of Statistics 2024).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.special import ndtr

from components.contract.errors import UserError
from components.experiments.arms import Arm
from components.experiments.compare.comparison import welch
from components.experiments.numbers import Array, Numbers, divided, plain, share

TWO_SIDED, GREATER, LESS = "two-sided", "greater", "less"
SIDES = (TWO_SIDED, GREATER, LESS)
_ROUNDS = 8


@dataclass(frozen=True)
class Plan:
    """How a sequence is looked at.

    Attributes:
        level: The probability that the interval ever leaves out the true difference.
        units: The units of both arms together at which the interval is to be narrowest; others cost little.
        burn_in: The least units in the smaller arm; before it nothing is said.
        side: What counts as a difference: "two-sided", or the treatment "greater" or "less" than the control.
        margin: The difference that is allowed: the e-value is against it and not against 0.
    """

    level: float = 0.05
    units: float = 10_000
    burn_in: int = 20
    side: str = TWO_SIDED
    margin: float = 0.0

    def __post_init__(self) -> None:
        share(self.level, "the level")
        if self.side not in SIDES:
            raise UserError(f"there is no side {self.side!r}", fix=f"use one of {', '.join(SIDES)}")
        if not self.units > 0:
            raise UserError(f"the planned units are {self.units!r}", fix="give the units of both arms, such as 10000")


DEFAULTS = Plan()
"""A two-sided plan for an experiment with some thousand units."""


@dataclass(frozen=True)
class Sequence:
    """What is known of a difference at one look, whatever was seen before; with arrays, at each of many looks.

    Attributes:
        control: The control's estimate.
        treatment: The treatment's estimate.
        difference: Treatment minus control.
        low: The lower end of the interval; -inf where nothing is known yet, or on the open side.
        high: The upper end.
        p_value: The always-valid p-value of this look; `together` keeps the least one.
        evidence: The e-value: how many times a bet against "no difference" has multiplied its stake.
        n_control: The control's units.
        n_treatment: The treatment's units.
    """

    control: Numbers
    treatment: Numbers
    difference: Numbers
    low: Numbers
    high: Numbers
    p_value: Numbers
    evidence: Numbers
    n_control: Numbers
    n_treatment: Numbers


def sequence(control: Arm, treatment: Arm, plan: Plan = DEFAULTS) -> Sequence:
    """The difference of two means, shares or ratios, valid at any number of looks.

    Args:
        control: The control's units so far; of a ratio, `joint.ratio` of them.
        treatment: The treatment's.
        plan: The level, and where the interval is narrowest.
    """
    difference = np.asarray(treatment.mean) - control.mean
    error, free = welch(*_steadied(control, treatment))
    # An error that is smaller than the means' rounding is none.
    least = 1e-9 * np.maximum(np.abs(control.mean), np.abs(treatment.mean))
    ready = (np.minimum(control.n, treatment.n) >= max(plan.burn_in, 2)) & (error > least)
    weight = _weight(control, treatment, plan)
    t = np.where(ready, divided(difference - plan.margin, error), 0.0)
    evidence = np.where(ready, np.exp(np.minimum(_log_evidence(t, free, weight, plan.side), 700.0)), 1.0)
    half = np.where(ready, _half(free, weight, plan) * np.where(ready, error, 1.0), np.inf)
    return Sequence(
        control=control.mean,
        treatment=treatment.mean,
        difference=plain(difference),
        low=plain(np.full_like(half, -np.inf) if plan.side == LESS else difference - half),
        high=plain(np.full_like(half, np.inf) if plan.side == GREATER else difference + half),
        p_value=plain(np.minimum(1.0, 1 / evidence)),
        evidence=plain(evidence),
        n_control=control.n,
        n_treatment=treatment.n,
    )


def together(before: Sequence, now: Sequence) -> Sequence:
    """A look with what was known before it: the intervals' intersection, and the least p-value.

    Valid because the interval holds at all looks at once. If the intersection is empty, the difference has changed over
    time, or an assumption is wrong; then the look's own interval stays.
    """
    low, high = np.maximum(before.low, now.low), np.minimum(before.high, now.high)
    empty = low > high
    return replace(
        now,
        low=plain(np.where(empty, now.low, low)),
        high=plain(np.where(empty, now.high, high)),
        p_value=plain(np.minimum(before.p_value, now.p_value)),
        evidence=plain(np.maximum(before.evidence, now.evidence)),
    )


def _steadied(control: Arm, treatment: Arm) -> tuple[Arm, Arm]:
    """The arms with at least the variance of both together.

    A small arm of rare or skewed values can look as if its units hardly differed, just when its mean is far off.
    """
    least = np.asarray((control + treatment).variance)
    return _at_least(control, least), _at_least(treatment, least)


def _at_least(arm: Arm, variance: Array) -> Arm:
    return replace(arm, squares=np.maximum(arm.squares, variance * np.maximum(np.asarray(arm.n) - 1, 0)))


def _weight(control: Arm, treatment: Arm, plan: Plan) -> Array:
    """The variance of the mixture's effects in squared standard errors: it grows with the units.

    At the planned size it has the value that makes the interval narrowest; Waudby-Smith et al., section 3.5.
    """
    best = -2 * np.log(plan.level) + np.log(-2 * np.log(plan.level) + 1)
    n, m = np.asarray(control.n), np.asarray(treatment.n)
    return np.asarray(best * divided(4 * n * m, n + m) / plan.units)


def _log_evidence(t: Array, free: Array, weight: Array, side: str) -> Array:
    """The logarithm of the mixture's likelihood ratio; one side has the mixture's half on that side."""
    many = np.minimum(free, 1e9)
    kept = 1 / (1 + weight)
    found = (many + 1) / 2 * (np.log1p(t**2 / many) - np.log1p(t**2 * kept / many)) + np.log(kept) / 2
    if side == TWO_SIDED:
        return np.asarray(found)
    return np.asarray(found + np.log(2 * ndtr((t if side == GREATER else -t) * np.sqrt(1 - kept)) + 1e-300))


def _half(free: Array, weight: Array, plan: Plan) -> Array:
    """Half of the interval in standard errors: where the e-value is 1 / level; infinite where it cannot be."""
    half = _reached(free, weight, np.full(np.shape(weight), -np.log(plan.level)))
    if plan.side != TWO_SIDED:
        for _ in range(_ROUNDS):
            inside = 2 * ndtr(np.minimum(half, 1e9) * np.sqrt(weight / (1 + weight)))
            half = _reached(free, weight, -np.log(plan.level * inside))
    return half


def _reached(free: Array, weight: Array, log_evidence: Array) -> Array:
    """The t at which the two-sided e-value is this."""
    many, kept = np.minimum(free, 1e9), 1 / (1 + weight)
    # Solved for t: (1 + t²/f) = factor · (1 + kept · t²/f).
    above = np.expm1(2 / (many + 1) * (log_evidence + np.log1p(weight) / 2))
    below = 1 - (1 + above) * kept
    return np.where(below > 0, np.sqrt(many * divided(above, np.maximum(below, 1e-300))), np.inf)
