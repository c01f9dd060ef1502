"""How large an experiment has to be, how long it takes, and what a difference is worth."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from scipy.special import ndtr, ndtri, stdtrit

from components.contract.errors import UserError
from components.experiments.arms import Arm, require
from components.experiments.numbers import Numbers, share

_LARGEST = 1e12


@dataclass(frozen=True)
class Design:
    """What is known of a metric before the experiment, and what is asked of it.

    Attributes:
        mean: The metric's mean now, such as a conversion of 0.031.
        deviation: The standard deviation of a unit; of a share it follows from the mean.
        is_share: Whether each unit has 0 or 1.
        level: The probability of finding a difference where there is none.
        power: The probability of finding the effect.
        treated: The treatment's share of the units of both arms.
        comparisons: How many metrics and arms are compared: each has its part of the level (Bonferroni).
    """

    mean: float
    deviation: float
    is_share: bool = False
    level: float = 0.05
    power: float = 0.8
    treated: float = 0.5
    comparisons: int = 1

    def __post_init__(self) -> None:
        share(self.level, "the level")
        share(self.power, "the power", "0.8")
        share(self.treated, "the treatment's share", "0.5")
        if self.comparisons < 1:
            raise UserError(f"there are {self.comparisons} comparisons", fix="give 1 or more")
        if not (self.deviation > 0 and math.isfinite(self.deviation) and math.isfinite(self.mean)):
            raise UserError(
                f"a metric with mean {self.mean!r} and deviation {self.deviation!r} does not vary",
                fix="give the standard deviation of a unit, which is above 0",
            )


def of_share(mean: float, **asked: float) -> Design:
    """The design for a share, such as a conversion of 0.031; `asked` are other attributes of `Design`."""
    known = share(mean, "the share", "0.031")
    return replace(Design(known, math.sqrt(known * (1 - known)), is_share=True), **asked)  # type: ignore[arg-type]


def of_arm(arm: Arm, *, is_share: bool = False, **asked: float) -> Design:
    """The design for a metric of which there are units, such as last week's; of a ratio, give `joint.ratio`.

    Raises:
        DataError: There are less than two units.
    """
    require(arm, "the traffic before the experiment")
    mean, deviation = float(arm.mean), math.sqrt(float(arm.variance))
    return of_share(mean, **asked) if is_share else replace(Design(mean, deviation), **asked)  # type: ignore[arg-type]


def power(design: Design, effect: float, units: float) -> float:
    """The probability of finding an effect with this many units in both arms together.

    Shares: the z test with pooled variance (Fleiss, Levin and Paik, "Statistical methods for rates and proportions",
    2003, chapter 4). Means and ratios: Student's t with the noncentral t distribution.

    Args:
        design: What is known, and the level.
        effect: The treatment's mean minus the control's, in the metric's units.
        units: The units of both arms together.

    Raises:
        UserError: The effect makes a share leave 0 to 1, or there are less than four units.
    """
    if not units >= 4:
        raise UserError(f"an experiment with {units!r} units has no power", fix="give four units or more")
    return _of_share(design, effect, units) if design.is_share else _of_mean(design, effect, units)


def _of_share(design: Design, effect: float, units: float) -> float:
    other = design.mean + effect
    if not 0 <= other <= 1:
        raise UserError(f"an effect of {effect:+g} makes the share {other:g}", fix="give the difference of two shares")
    pooled = design.mean * (1 - design.treated) + other * design.treated
    control, treated = units * (1 - design.treated), units * design.treated
    under_none = math.sqrt(pooled * (1 - pooled) * (1 / control + 1 / treated))
    under_effect = math.sqrt(design.mean * (1 - design.mean) / control + other * (1 - other) / treated)
    needed = float(ndtri(1 - design.level / design.comparisons / 2)) * under_none
    return float(ndtr((effect - needed) / under_effect) + ndtr((-effect - needed) / under_effect))


def _of_mean(design: Design, effect: float, units: float) -> float:
    from scipy.stats import nct

    free = units - 2
    away = effect / (design.deviation * math.sqrt(1 / units / design.treated + 1 / units / (1 - design.treated)))
    needed = float(stdtrit(free, 1 - design.level / design.comparisons / 2))
    if abs(away) > 30:
        return 1.0
    return float(nct.sf(needed, free, away) + nct.cdf(-needed, free, away))


def sample_size(design: Design, effect: float) -> int:
    """The units of both arms together that find an effect with the power asked for.

    Raises:
        UserError: The effect is 0, or needs more than a million million units.
    """
    if effect == 0 or not math.isfinite(effect):
        raise UserError("no size finds an effect of 0", fix="give the least difference that matters")
    return math.ceil(_where(lambda units: power(design, effect, units), design.power, 4.0, _LARGEST) - 1e-6)


def least_detectable_effect(design: Design, units: float, *, down: bool = False) -> float:
    """The least effect that this many units find with the power asked for, in the metric's units.

    Args:
        design: What is known, and what is asked.
        units: The units of both arms together.
        down: Whether the effect is a fall; of a share it is not the same.
    """
    sign = -1.0 if down else 1.0
    largest = (design.mean if down else 1 - design.mean) if design.is_share else design.deviation * 1e6
    return sign * _where(lambda effect: power(design, sign * effect, units), design.power, 0.0, largest)


def _where(rising: Callable[[float], float], wanted: float, low: float, high: float) -> float:
    """Where a rising function reaches a value."""
    if rising(high) < wanted:
        raise UserError("no size or effect is large enough for that power", fix="ask for a larger effect or more units")
    for _ in range(200):
        middle = (low + high) / 2 if low == 0 or high / low < 2 else math.sqrt(low * high)
        low, high = (middle, high) if rising(middle) < wanted else (low, middle)
    return high


def days(units: float, traffic: float | Sequence[float], part: float = 1.0) -> int:
    """How many days it takes until that many units have come.

    Args:
        units: The units of both arms together.
        traffic: The units that come for the first time each day: one number, or one of each day of a past period. After
            it the mean of its last seven days goes on: users come back, so first visits become fewer.
        part: The share of them that takes part.

    Raises:
        UserError: Nothing comes.
    """
    daily: list[float] = np.atleast_1d(traffic).astype(float).tolist()
    last = sum(daily[-7:]) / max(len(daily[-7:]), 1)
    if not (0 < part <= 1 and last > 0 and min(daily) >= 0):
        raise UserError("no units come", fix="give units a day above 0 and a share above 0, at most 1")
    left = float(units)
    for number, each in enumerate(daily, 1):
        left -= each * part
        if left <= 0:
            return number
    return len(daily) + math.ceil(left / (last * part))


class Interval(Protocol):
    """A difference with its interval, by whatever method."""

    @property
    def low(self) -> Numbers:
        """The lower end."""

    @property
    def difference(self) -> Numbers:
        """Treatment minus control."""

    @property
    def high(self) -> Numbers:
        """The upper end."""


def impact(comparison: Interval, units: float) -> tuple[float, float, float]:
    """What shipping the treatment to this many units, such as a month's, would add: low, likeliest, high."""
    return tuple(float(each) * units for each in (comparison.low, comparison.difference, comparison.high))  # type: ignore[return-value]
