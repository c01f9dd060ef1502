"""Rare events in two arms, such as errors: an exact sequential test, and an interval for the ratio of the rates.

If the rates are the same, each event of a stretch of time is in the treatment with the treatment's share of the
requests, whatever the rate is and however it changes over time. So the likelihood of a ratio of rates, against that of
no difference, is a bet whose stake does not grow in the mean, and neither does that of a mixture of bets: Lindon and
Malek, "Anytime-valid inference for multinomial count data" (NeurIPS 2022). The shares may change from one stretch to
the next, as the steps of a canary do. That the number of requests in each arm is known makes the test reject less
often, not more: sampling without replacement varies less (Hoeffding, JASA 1963, theorem 4).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import logsumexp

from components.contract.errors import DataError, UserError
from components.experiments.numbers import Array, Numbers, counted, divided, plain, share
from components.experiments.sequential import GREATER, LESS, SIDES, TWO_SIDED

_LARGEST = 5.0
_POINTS = 101
GRID: Array = np.linspace(-_LARGEST, _LARGEST, _POINTS)
"""The logarithms of the ratios that are bet on: from 1/148 to 148."""


@dataclass(frozen=True)
class RatePlan:
    """How rates are looked at.

    Attributes:
        level: The probability that a difference is ever seen where there is none.
        side: "two-sided", or the treatment's rate "greater" or "less" than the control's.
        allowed: The ratio of the treatment's rate to the control's that is allowed, such as 1.2.
        spread: How far the ratio is expected to be from what is allowed: its logarithm's standard deviation.
    """

    level: float = 0.05
    side: str = TWO_SIDED
    allowed: float = 1.0
    spread: float = 1.0

    def __post_init__(self) -> None:
        share(self.level, "the level")
        if self.side not in SIDES:
            raise UserError(f"there is no side {self.side!r}", fix=f"use one of {', '.join(SIDES)}")
        for name, value in (("allowed ratio", self.allowed), ("spread", self.spread)):
            if not 0 < value < 100:
                raise UserError(f"the {name} is {value!r}", fix="use a number above 0 and below 100, such as 1.0")


DEFAULTS = RatePlan()
"""A two-sided plan."""


@dataclass(frozen=True)
class Rates:
    """The events so far, and the log-likelihood of each ratio of `GRID`; add stretches of time as they come.

    Attributes:
        control: The control's events.
        control_n: Its requests.
        treatment: The treatment's events.
        treatment_n: Its requests.
        likelihood: The log-likelihoods; (..., points), or a tuple, which can be written as JSON.
    """

    control: Numbers = 0.0
    control_n: Numbers = 0.0
    treatment: Numbers = 0.0
    treatment_n: Numbers = 0.0
    likelihood: Any = (0.0,) * _POINTS

    def after(self, control: Any, control_n: Any, treatment: Any, treatment_n: Any) -> Rates:
        """The rates after a stretch of time, in which requests were split in the same way throughout.

        Args:
            control: The control's events in it.
            control_n: The control's requests in it.
            treatment: The treatment's events.
            treatment_n: The treatment's requests.

        Raises:
            DataError: There are more events than requests, or a count is negative.
        """
        names = ("the control's events", "the control's requests", "the treatment's events", "the treatment's requests")
        hits, n, others, m = map(counted, (control, control_n, treatment, treatment_n), names)
        if (hits > n).any() or (others > m).any():
            raise DataError("an arm has more events than requests", fix="count both over the same stretch of time")
        part = divided(m, n + m)
        found = others[..., None] * GRID - (hits + others)[..., None] * np.log1p(part[..., None] * np.expm1(GRID))
        both = np.asarray(self.likelihood) + found
        return Rates(
            plain(self.control + hits),
            plain(self.control_n + n),
            plain(self.treatment + others),
            plain(self.treatment_n + m),
            tuple(both.tolist()) if both.ndim == 1 else both,
        )


@dataclass(frozen=True)
class RateSequence:
    """What is known of the ratio of two rates at one look, whatever was seen before.

    Attributes:
        control: The control's rate; NaN without requests.
        treatment: The treatment's rate.
        ratio: The likeliest ratio, treatment / control, within the grid.
        low: The lower end of its interval; 0 where it is open.
        high: The upper end; infinite where it is open.
        p_value: The always-valid p-value against the allowed ratio; keep the least one.
        evidence: The e-value.
    """

    control: Numbers
    treatment: Numbers
    ratio: Numbers
    low: Numbers
    high: Numbers
    p_value: Numbers
    evidence: Numbers


def look(rates: Rates, plan: RatePlan = DEFAULTS) -> RateSequence:
    """The ratio of the rates so far, valid at any number of looks."""
    likelihood = np.asarray(rates.likelihood)
    away = GRID - np.log(plan.allowed)
    allowed = _at(likelihood, math.log(plan.allowed))
    log_evidence = _mixed(likelihood, _weights(away, plan)) - allowed
    evidence = np.exp(np.minimum(log_evidence, 700.0))
    low, high = _interval(likelihood, plan)
    return RateSequence(
        control=plain(divided(rates.control, rates.control_n, np.nan)),
        treatment=plain(divided(rates.treatment, rates.treatment_n, np.nan)),
        ratio=plain(np.exp(GRID[likelihood.argmax(-1)])),
        low=plain(low),
        high=plain(high),
        p_value=plain(np.minimum(1.0, 1 / evidence)),
        evidence=plain(evidence),
    )


def _weights(away: Array, plan: RatePlan) -> Array:
    """The logarithms of the weights of the ratios: a normal distribution, or its half on one side."""
    wanted = {TWO_SIDED: away != np.inf, GREATER: away > 0, LESS: away < 0}[plan.side]
    found = np.where(wanted, -((away / plan.spread) ** 2) / 2, -np.inf)
    return np.asarray(found - logsumexp(found))


def _mixed(likelihood: Array, weights: Array) -> Array:
    return np.asarray(logsumexp(likelihood + weights, axis=-1))


def _at(likelihood: Array, point: float) -> Array:
    """The log-likelihood between two points of the grid, and never less: it is concave, so it is below its chords."""
    step = float(GRID[1] - GRID[0])
    index = min(max(int((point + _LARGEST) / step + 1e-9), 1), _POINTS - 3)
    before, left, right, after = (likelihood[..., index + offset] for offset in (-1, 0, 1, 2))
    part = point / step - GRID[index] / step
    return np.asarray(np.minimum(left + (left - before) * part, right - (after - right) * (1 - part)))


def _interval(likelihood: Array, plan: RatePlan) -> tuple[Array, Array]:
    """The ratios that the mixture around no difference does not reject; rounded outwards to the grid."""
    bar = _mixed(likelihood, _weights(GRID, RatePlan(spread=plan.spread))) + np.log(plan.level)
    kept = likelihood > bar[..., None]
    first, last = kept.argmax(-1), _POINTS - 1 - kept[..., ::-1].argmax(-1)
    edges = np.exp(GRID)
    low = np.where(first == 0, 0.0, edges[np.maximum(first - 1, 0)])
    high = np.where(last == _POINTS - 1, np.inf, edges[np.minimum(last + 1, _POINTS - 1)])
    return low, high
