"""Sequences hold at every look, at any burn-in, and find what is there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm

from components.contract.errors import UserError
from components.experiments import arms, joint
from components.experiments.arms import Arm
from components.experiments.compare import means, proportions
from components.experiments.sequential import GREATER, LESS, Plan, sequence, together
from tests.components.experiments.streams import looks

Draw = Callable[[np.random.Generator, tuple[int, int]], np.ndarray]
RUNS, UNITS = 200, 4000
DRAWS: dict[str, Draw] = {
    "normal": lambda chance, size: chance.normal(size=size),
    "long tail": lambda chance, size: chance.lognormal(sigma=1.5, size=size),
    "half": lambda chance, size: chance.random(size) < 0.5,
    "rare": lambda chance, size: chance.random(size) < 0.005,
    "nearly all": lambda chance, size: chance.random(size) < 0.99,
}


@pytest.mark.parametrize("name", list(DRAWS))
@pytest.mark.parametrize("treated", [0.5, 0.05])
def test_no_difference_is_found_in_more_than_a_twentieth_of_runs_looked_at_after_every_unit(
    name: str, treated: float
) -> None:
    chance = np.random.default_rng(len(name))
    values = DRAWS[name](chance, (RUNS, UNITS))
    control, treatment = looks(
        values.astype(float), chance.random((RUNS, UNITS)) < treated, is_share=values.dtype == bool
    )
    for plan in (Plan(burn_in=2, units=1000), Plan(burn_in=2, units=10_000), Plan(burn_in=2, units=1000, side=LESS)):
        found = sequence(control, treatment, plan)
        assert (found.p_value <= 0.05).any(-1).mean() <= 0.07  # 200 runs: three standard errors above 3 %
        assert ((found.low > 0) | (found.high < 0)).any(-1).mean() <= 0.07


def test_a_plain_z_test_is_wrong_in_a_third_of_them() -> None:
    chance = np.random.default_rng(1)
    hits = chance.binomial(100, 0.1, size=(2, 400, 100)).cumsum(-1)
    n = np.arange(100, 10_001, 100)
    compared = proportions.z(*(arms.of_counts(each, n) for each in hits))
    assert (compared.p_value < 0.05).any(-1).mean() > 0.3
    found = sequence(*(arms.of_counts(each, n) for each in hits))
    assert (found.p_value < 0.05).any(-1).mean() < 0.05


def test_the_evidence_is_the_mixture_of_likelihood_ratios() -> None:
    """For many units: a normal distribution of effects, of which one side has half."""
    control, treatment = Arm(1e6, 0.0, 1e6), Arm(1e6, 0.003, 1e6)
    error = np.sqrt(2e-6)
    spread = np.sqrt(-2 * np.log(0.05) + np.log(1 - 2 * np.log(0.05))) * error

    def ratio(effect: float) -> float:
        return float(np.exp(effect * 0.003 / error**2 - effect**2 / error**2 / 2) * norm.pdf(effect, scale=spread))

    both = quad(ratio, -0.02, 0.02, points=[0, 0.003])[0]
    above = 2 * quad(ratio, 0, 0.02, points=[0.003])[0]
    assert sequence(control, treatment, Plan(units=2e6)).evidence == pytest.approx(both, rel=1e-4)
    assert sequence(control, treatment, Plan(units=2e6, side=GREATER)).evidence == pytest.approx(above, rel=1e-4)
    assert sequence(treatment, control, Plan(units=2e6, side=LESS)).evidence == pytest.approx(above, rel=1e-4)


@pytest.mark.parametrize("side", ["two-sided", GREATER, LESS])
@pytest.mark.parametrize("n", [30, 400, 100_000])
def test_the_interval_ends_where_the_evidence_against_it_does(side: str, n: int) -> None:
    chance = np.random.default_rng(n)
    pair = arms.of_values(chance.normal(0, 1, n)), arms.of_values(chance.normal(0.5, 1, n))
    plan = Plan(units=1000, side=side)
    found = sequence(*pair, plan)
    ends = [end for end in (found.low, found.high) if np.isfinite(end)]
    assert len(ends) == (2 if side == "two-sided" else 1)
    for end in ends:
        assert sequence(*pair, replace(plan, margin=end)).evidence == pytest.approx(20, rel=1e-3)


def test_the_interval_is_narrowest_near_the_planned_size() -> None:
    def cost(units: float) -> float:
        arm = Arm(5000, 0.0, 5000.0)
        found = sequence(arm, arm, Plan(units=units))
        return float(found.high)

    assert cost(10_000) < min(cost(1000), cost(100_000))
    assert cost(10_000) < 1.6 * means.welch(Arm(5000, 0.0, 5000.0), Arm(5000, 0.0, 5000.0)).high


def test_a_difference_of_two_points_is_found() -> None:
    chance = np.random.default_rng(1)
    hits = [chance.binomial(100, p, size=(500, 100)).cumsum(-1) for p in (0.10, 0.12)]
    n = np.arange(100, 10_001, 100)
    rejected = sequence(*(arms.of_counts(each, n) for each in hits)).p_value < 0.05
    assert rejected.any(-1).mean() > 0.93
    assert np.median(rejected.argmax(-1)) < 50


def test_ratios_are_looked_at_too() -> None:
    chance = np.random.default_rng(3)
    views = chance.poisson(4, size=(2, 100, 1500)) + 1.0
    clicks = chance.binomial(views.astype(int), chance.beta(1, 4, views.shape)).astype(float)
    found = sequence(*(joint.ratio(joint.cumulative(c, v)) for c, v in zip(clicks + 1e-9, views, strict=True)))
    assert (found.p_value < 0.05).any(-1).mean() <= 0.08
    assert np.asarray(found.high)[:, -1].max() < 0.1


def test_what_was_known_before_stays_known() -> None:
    first = sequence(arms.of_counts(100, 1000), arms.of_counts(200, 1000))
    later = sequence(arms.of_counts(150, 1500), arms.of_counts(250, 1500))
    both = together(first, later)
    assert both.p_value == first.p_value < later.p_value
    assert both.low == max(first.low, later.low)
    assert both.difference == later.difference
    other = sequence(arms.of_counts(2000, 9000), arms.of_counts(1000, 9000))
    assert together(first, other).low == other.low


@pytest.mark.parametrize("n", [0, 1, 19, 500])
def test_nothing_is_said_before_the_burn_in_or_without_any_variance(n: int) -> None:
    found = sequence(arms.of_counts(0, n), arms.of_counts(0, n))
    assert (found.low, found.high, found.p_value, found.evidence) == (-np.inf, np.inf, 1.0, 1.0)
    assert type(found.p_value) is float


def test_constants_with_rounding_errors_have_no_variance() -> None:
    found = sequence(arms.of_values([0.1] * 3000), arms.of_values([0.1 + 1e-17] * 2999 + [0.1 + 1e-15]))
    assert found.p_value == 1


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"level": 0}, "the level must be between 0 and 1"),
        ({"side": "both"}, "there is no side 'both'"),
        ({"units": 0}, "the planned units are 0"),
        ({"units": float("nan")}, "the planned units are nan"),
    ],
)
def test_plans_that_make_no_sense_are_refused(wrong: dict[str, float], message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        Plan(**wrong)  # type: ignore[arg-type]
    assert caught.value.fix
