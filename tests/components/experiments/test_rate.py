"""Rates of rare events: exact at any look, whatever the shares of the arms do."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from components.contract.errors import DataError, UserError
from components.experiments.rate import GRID, RatePlan, Rates, look
from components.experiments.sequential import GREATER, LESS

STEPS = (0.01, 0.05, 0.25, 0.5)


def _seen(
    rate: float, ratio: float, plan: RatePlan, runs: int = 400, looks: int = 200
) -> tuple[np.ndarray, np.ndarray]:
    """Whether runs ever found something, and whether the interval ever left the true ratio out."""
    chance = np.random.default_rng(int(rate * 1000) + runs)
    rates, found, left = Rates(), np.zeros(runs, dtype=bool), np.zeros(runs, dtype=bool)
    for number in range(looks):
        m = chance.binomial(200, STEPS[number * len(STEPS) // looks], runs)
        rates = rates.after(chance.binomial(200 - m, rate), 200 - m, chance.binomial(m, rate * ratio), m)
        seen = look(rates, plan)
        found |= seen.p_value <= plan.level
        left |= (seen.low > ratio) | (seen.high < ratio)
    return found, left


@pytest.mark.parametrize("rate", [0.001, 0.01, 0.1])
@pytest.mark.parametrize("side", ["two-sided", GREATER, LESS])
def test_equal_rates_differ_in_at_most_a_twentieth_of_canaries(rate: float, side: str) -> None:
    found, left = _seen(rate, 1.0, RatePlan(side=side))
    assert found.mean() <= 0.06
    assert left.mean() <= 0.06


def test_an_allowed_ratio_is_allowed() -> None:
    found, left = _seen(0.01, 1.5, RatePlan(side=GREATER, allowed=1.5))
    assert found.mean() <= 0.06
    assert left.mean() <= 0.06
    assert _seen(0.01, 3.0, RatePlan(side=GREATER, allowed=1.5))[0].mean() > 0.9


def test_two_percent_of_errors_are_seen_within_some_hundred_requests() -> None:
    rates, requests = Rates(), 0
    chance = np.random.default_rng(1)
    while look(rates, RatePlan(side=GREATER)).p_value > 0.05:
        requests += 50
        rates = rates.after(0, 950, int(chance.binomial(50, 0.02)), 50)
    assert requests <= 500


def test_the_likelihood_is_that_of_the_events_arms() -> None:
    rates = Rates().after(3, 900, 5, 100).after(2, 500, 4, 500)
    for log_ratio, found in list(zip(GRID, np.asarray(rates.likelihood), strict=True))[::10]:
        ratio, expected = np.exp(log_ratio), 0.0
        for control, treatment, part in ((3, 5, 0.1), (2, 4, 0.5)):
            chosen = part * ratio / (part * ratio + 1 - part)
            expected += treatment * np.log(chosen / part) + control * np.log((1 - chosen) / (1 - part))
        assert found == pytest.approx(expected, abs=1e-9)
    seen = look(rates)
    assert (seen.control, seen.treatment) == pytest.approx((5 / 1400, 9 / 600))
    assert seen.low < seen.ratio < seen.high


def test_rates_can_be_kept_as_json() -> None:
    rates = Rates().after(1, 90, 2, 10)
    kept = json.loads(json.dumps(dataclasses.asdict(rates)))
    assert Rates(**kept | {"likelihood": tuple(kept["likelihood"])}) == rates


@pytest.mark.parametrize("counts", [(0, 0, 0, 0), (0, 100, 0, 0), (0, 0, 0, 5), (0, 100, 0, 100)])
def test_nothing_is_known_without_events(counts: tuple[int, int, int, int]) -> None:
    seen = look(Rates().after(*counts))
    assert (seen.low, seen.high) == (0.0, np.inf)
    assert seen.p_value == pytest.approx(1)


def test_events_of_one_arm_alone_say_nothing() -> None:
    assert look(Rates().after(50, 1000, 0, 0)).p_value == pytest.approx(1)
    assert look(Rates().after(0, 0, 50, 1000)).p_value == pytest.approx(1)


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ((2, 1, 0, 1), "more events than requests"),
        ((-1, 1, 0, 1), "the control's events must be 0 or more"),
        ((0, 1, float("nan"), 1), "the treatment's events is nan"),
    ],
)
def test_counts_that_make_no_sense_are_refused(counts: tuple[float, ...], message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        Rates().after(*counts)
    assert caught.value.fix


@pytest.mark.parametrize("wrong", [{"allowed": 0}, {"spread": float("nan")}, {"side": "up"}, {"level": 2}])
def test_plans_that_make_no_sense_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(UserError) as caught:
        RatePlan(**wrong)  # type: ignore[arg-type]
    assert caught.value.fix
