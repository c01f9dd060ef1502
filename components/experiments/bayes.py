"""Bayesian comparison of arms: how probable it is that each is best, and what choosing it would cost.

Nothing is simulated: all probabilities are integrals of one variable. Posteriors may be looked at whenever one likes,
but stopping as soon as one of them is 95 % is wrong in more than 5 % of experiments without a difference.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from scipy.special import betainc, betaincinv, betaln, gammainc, gammaincinv, gammaln, ndtr, ndtri, xlog1py, xlogy

from components.contract.errors import UserError
from components.experiments.arms import Arm, require
from components.experiments.numbers import Array, counted, share

_TAIL = 1e-12
_PANELS = 24
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(8)
_HALVINGS = 80


class Posterior(Protocol):
    """What is believed of an arm's value after its data."""

    @property
    def mean(self) -> float:
        """The mean."""

    def density(self, x: Array) -> Array:
        """The density."""

    def below(self, x: Array) -> Array:
        """The probability that the value is below."""

    def quantile(self, part: Any) -> Any:
        """The value that is above this part of the probability."""


@dataclass(frozen=True)
class Beta:
    """A share: a prior and an arm's successes and failures are added. Beta(1, 1) takes all shares as equally likely.

    Attributes:
        a: Successes.
        b: Failures.
    """

    a: float = 1.0
    b: float = 1.0

    def __post_init__(self) -> None:
        _require_positive(a=self.a, b=self.b)

    @property
    def mean(self) -> float:
        """The mean share."""
        return self.a / (self.a + self.b)

    def density(self, x: Array) -> Array:
        """The density."""
        return np.asarray(np.exp(xlogy(self.a - 1, x) + xlog1py(self.b - 1, -x) - betaln(self.a, self.b)))

    def below(self, x: Array) -> Array:
        """The probability that the share is below."""
        return np.asarray(betainc(self.a, self.b, np.clip(x, 0.0, 1.0)))

    def quantile(self, part: Any) -> Any:
        """The share that is above this part of the probability."""
        return betaincinv(self.a, self.b, part)

    def after(self, arm: Arm) -> Beta:
        """The posterior after an arm of successes; see `arms.of_counts`.

        Raises:
            UserError: The arm has units with other values than 0 and 1.
        """
        total, units = float(arm.total), float(arm.n)
        if (
            total < 0
            or total > units
            or abs(float(arm.squares) - total * (1 - float(arm.mean))) > 1e-6 * max(total, 1.0)
        ):
            raise UserError("a Beta prior is for shares, and the arm has other values than 0 and 1", fix="use Normal")
        return Beta(self.a + total, self.b + units - total)


@dataclass(frozen=True)
class Gamma:
    """A rate of events, such as orders per user: Gamma prior and Poisson counts.

    Attributes:
        a: Events.
        b: Units, or hours, that they took; the mean rate is a / b.
    """

    a: float = 1.0
    b: float = 0.01

    def __post_init__(self) -> None:
        _require_positive(a=self.a, b=self.b)

    @property
    def mean(self) -> float:
        """The mean rate."""
        return self.a / self.b

    def density(self, x: Array) -> Array:
        """The density."""
        log = xlogy(self.a - 1, x) + self.a * math.log(self.b) - self.b * x - gammaln(self.a)
        return np.where(x >= 0, np.exp(log), 0.0)

    def below(self, x: Array) -> Array:
        """The probability that the rate is below."""
        return np.asarray(gammainc(self.a, self.b * np.maximum(x, 0.0)))

    def quantile(self, part: Any) -> Any:
        """The rate that is above this part of the probability."""
        return gammaincinv(self.a, part) / self.b

    def after(self, events: float, exposure: float) -> Gamma:
        """The posterior after this many events in this many units or hours.

        Raises:
            DataError: One of them is negative.
        """
        return Gamma(self.a + float(counted(events, "events")), self.b + float(counted(exposure, "the exposure")))


@dataclass(frozen=True)
class Normal:
    """A mean or a ratio: Normal prior, and an arm whose mean is normal with its standard error.

    Attributes:
        mean: The mean.
        deviation: The standard deviation; infinite where nothing is known before.
    """

    mean: float = 0.0
    deviation: float = math.inf

    def __post_init__(self) -> None:
        _require_positive(deviation=self.deviation)

    def density(self, x: Array) -> Array:
        """The density."""
        z = (x - self.mean) / self.deviation
        return np.asarray(np.exp(-(z**2) / 2) / (self.deviation * math.sqrt(2 * math.pi)))

    def below(self, x: Array) -> Array:
        """The probability that the mean is below."""
        return np.asarray(ndtr((x - self.mean) / self.deviation))

    def quantile(self, part: Any) -> Any:
        """The value that is above this part of the probability."""
        return self.mean + self.deviation * ndtri(part)

    def after(self, arm: Arm) -> Normal:
        """The posterior after an arm; of a ratio, `joint.ratio` of it.

        Raises:
            DataError: The arm has less than two units.
            UserError: All its units are the same.
        """
        require(arm, "an arm")
        error = float(arm.variance) / float(arm.n)
        if not error > 0:
            raise UserError("all units of an arm have the same value", fix="use Beta for shares, or wait")
        known = 1 / self.deviation**2
        precision = known + 1 / error
        return Normal((known * self.mean + float(arm.mean) / error) / precision, precision**-0.5)


def _require_positive(**values: float) -> None:
    for name, value in values.items():
        if not value > 0:
            raise UserError(f"a prior's {name} is {value!r}", fix="use a number above 0; Beta(1, 1) is a flat prior")


@dataclass(frozen=True)
class Standing:
    """How an arm stands among all.

    Attributes:
        name: The arm.
        mean: The posterior mean, in the metric's units.
        low: The lower end of its credible interval, with equal tails.
        high: The upper end.
        best: The probability that no other arm is better.
        loss: The expected loss of choosing it: by how much the best arm is better, in the mean, in the metric's units.
    """

    name: str
    mean: float
    low: float
    high: float
    best: float
    loss: float


def standings(
    arms: Mapping[str, Posterior], level: float = 0.05, *, less_is_better: bool = False
) -> tuple[Standing, ...]:
    """How each arm stands, in the order given.

    Args:
        arms: The posterior of each arm.
        level: One minus the intervals' coverage.
        less_is_better: Whether the best arm is the one with the lowest value, as of errors.

    Raises:
        UserError: There are less than two arms, or one has no data and no prior.
    """
    share(level, "the level")
    _require_known(arms)
    sign = -1 if less_is_better else 1
    x, weights = _nodes(list(arms.values()))
    below = np.stack([each.below(x) for each in arms.values()])
    beaten = below if sign > 0 else 1 - below
    densities = np.stack([each.density(x) for each in arms.values()])
    others = np.stack([np.delete(beaten, index, 0).prod(0) for index in range(len(arms))])
    best = (densities * others * weights).sum(-1)
    best = best / best.sum()
    top = (densities * others * x * weights).sum()
    return tuple(
        Standing(
            name,
            mean=each.mean,
            low=float(each.quantile(level / 2)),
            high=float(each.quantile(1 - level / 2)),
            best=float(best[index]),
            loss=max(float(sign * (top - each.mean)), 0.0),
        )
        for index, (name, each) in enumerate(arms.items())
    )


def _require_known(arms: Mapping[str, Posterior]) -> None:
    if len(arms) < 2:
        raise UserError(f"there are {len(arms)} arms to compare", fix="give two or more")
    for name, each in arms.items():
        if isinstance(each, Normal) and not math.isfinite(each.deviation):
            raise UserError(f"nothing is known of arm {name!r}", fix="give it units, or a prior with a deviation")


def _nodes(posteriors: Sequence[Posterior]) -> tuple[Array, Array]:
    """Points and weights of an integral over all values: panels between the quantiles of every arm."""
    steps = ndtr(np.linspace(ndtri(_TAIL), -ndtri(_TAIL), _PANELS + 1))
    edges = np.unique(np.concatenate([np.asarray(each.quantile(steps)) for each in posteriors]))
    middles, halves = (edges[1:] + edges[:-1]) / 2, np.diff(edges) / 2
    return (middles[:, None] + halves[:, None] * _NODES).ravel(), (halves[:, None] * _WEIGHTS).ravel()


@dataclass(frozen=True)
class Difference:
    """What is believed of a difference, treatment minus control.

    Attributes:
        mean: The posterior mean.
        low: The lower end of the credible interval, with equal tails.
        high: The upper end.
        above: The probability that it is above 0.
    """

    mean: float
    low: float
    high: float
    above: float


def difference(control: Posterior, treatment: Posterior, level: float = 0.05) -> Difference:
    """What is believed of the difference of two arms."""
    share(level, "the level")
    _require_known({"control": control, "treatment": treatment})
    x, weights = _nodes([control])
    mass = control.density(x) * weights
    mass = mass / mass.sum()

    def below(value: float) -> float:
        return float((mass * treatment.below(x + value)).sum())

    mean = treatment.mean - control.mean
    ends = [_inverse(below, part, treatment, control) for part in (level / 2, 1 - level / 2)]
    return Difference(mean, ends[0], ends[1], 1 - below(0.0))


def _inverse(below: Any, part: float, treatment: Posterior, control: Posterior) -> float:
    low = float(treatment.quantile(_TAIL) - control.quantile(1 - _TAIL))
    high = float(treatment.quantile(1 - _TAIL) - control.quantile(_TAIL))
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if below(middle) < part else (low, middle)
    return (low + high) / 2
