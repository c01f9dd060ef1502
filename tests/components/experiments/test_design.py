"""Sizes that find what they promise, in the time that they say."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats as st

from components.contract.errors import DataError, UserError
from components.experiments import arms
from components.experiments.compare import means, proportions
from components.experiments.design import (
    Design,
    days,
    impact,
    least_detectable_effect,
    of_arm,
    of_share,
    power,
    sample_size,
)


def test_known_sizes() -> None:
    """Cohen (1988): 64 an arm for half a deviation; Fleiss, Levin and Paik (2003) for shares."""
    assert sample_size(Design(0.0, 1.0), 0.5) == pytest.approx(128, abs=1)
    assert sample_size(of_share(0.1), 0.02) == pytest.approx(2 * 3841, abs=2)
    assert sample_size(of_share(0.6, level=0.01, power=0.95), 0.1) == pytest.approx(2 * 814, rel=0.02)


@pytest.mark.parametrize("treated", [0.5, 0.1])
def test_the_power_of_shares_is_what_simulation_finds(treated: float) -> None:
    chance, units, design = np.random.default_rng(1), 4000, of_share(0.1, treated=treated)
    n, m = round(units * (1 - treated)), round(units * treated)
    pair = [arms.of_counts(chance.binomial(size, p, 8000), np.full(8000, size)) for size, p in ((n, 0.1), (m, 0.13))]
    found = np.asarray(proportions.z(*pair).p_value) < 0.05
    assert found.mean() == pytest.approx(power(design, 0.03, units), abs=0.02)


def test_the_power_of_means_is_what_simulation_finds() -> None:
    chance, design = np.random.default_rng(2), Design(5.0, 2.0)
    pair = []
    for mean in (5.0, 6.0):
        values = chance.normal(mean, 2.0, size=(8000, 30))
        pair.append(arms.of_sums(np.full(8000, 30), values.sum(-1), (values**2).sum(-1)))
    assert (means.welch(*pair).p_value < 0.05).mean() == pytest.approx(power(design, 1.0, 60), abs=0.02)


@pytest.mark.parametrize("design", [Design(3.0, 2.0), of_share(0.2), of_share(0.01, treated=0.2, power=0.9)])
@pytest.mark.parametrize("units", [2_000, 1_000_000])
def test_size_effect_and_power_are_one_equation(design: Design, units: int) -> None:
    for down in (False, True):
        try:
            effect = least_detectable_effect(design, units, down=down)
        except UserError:
            assert down and units == 2_000 and design.mean == 0.01
            continue
        assert (effect < 0) == down
        assert power(design, effect, units) == pytest.approx(design.power, abs=1e-6)
        assert sample_size(design, effect) == pytest.approx(units, abs=2)


def test_more_comparisons_need_more_units() -> None:
    assert sample_size(of_share(0.1, comparisons=3), 0.02) > 1.2 * sample_size(of_share(0.1), 0.02)


def test_a_design_is_made_from_past_traffic() -> None:
    values = np.random.default_rng(3).gamma(2, 3, size=5000)
    found = of_arm(arms.of_values(values), power=0.9)
    assert (found.mean, found.deviation, found.power) == pytest.approx((values.mean(), values.std(ddof=1), 0.9))
    assert of_arm(arms.of_counts(31, 1000), is_share=True) == of_share(0.031)
    with pytest.raises(DataError, match="the traffic before the experiment has 1 units"):
        of_arm(arms.of_values([3.0]))


def test_the_impact_is_the_interval_times_the_units() -> None:
    found = means.welch(arms.of_values([1.0, 2, 3]), arms.of_values([2.0, 3, 5]))
    assert impact(found, 1000) == pytest.approx((1000 * found.low, 1000 * found.difference, 1000 * found.high))


def test_days_come_from_real_traffic() -> None:
    assert days(1000, 100) == 10
    assert days(1000, 100, part=0.5) == 20
    assert days(1001, 100) == 11
    assert days(250, [100, 100, 100, 100]) == 3
    # Users come back, so first visits become fewer.
    assert days(400, [100, 80, 60, 40, 20, 10, 10, 10]) == 8 + 3
    assert days(1, [0, 0, 5]) == 3


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Design(1.0, 0.0), "does not vary"),
        (lambda: Design(1.0, float("nan")), "does not vary"),
        (lambda: Design(1.0, 1.0, level=0), "the level must be"),
        (lambda: Design(1.0, 1.0, treated=1), "the treatment's share must be"),
        (lambda: Design(1.0, 1.0, comparisons=0), "there are 0 comparisons"),
        (lambda: of_share(1.2), "the share must be"),
        (lambda: sample_size(of_share(0.1), 0), "no size finds an effect of 0"),
        (lambda: sample_size(of_share(0.1), 0.95), "makes the share 1.05"),
        (lambda: power(of_share(0.1), 0.01, 0), "0 units has no power"),
        (lambda: power(of_share(0.1), 0.01, float("nan")), "nan units has no power"),
        (lambda: sample_size(Design(1.0, 1.0), 1e-9), "no size or effect is large enough"),
        (lambda: days(10, 0), "no units come"),
        (lambda: days(10, []), "no units come"),
        (lambda: days(10, [5, -1]), "no units come"),
    ],
)
def test_designs_that_make_no_sense_are_refused(make: object, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        make()  # type: ignore[operator]
    assert caught.value.fix


def test_the_power_of_means_is_that_of_the_noncentral_t() -> None:
    needed, away = st.t.ppf(0.975, 58), 0.5 * np.sqrt(15)
    expected = st.nct.sf(needed, 58, away) + st.nct.cdf(-needed, 58, away)
    assert power(Design(0.0, 1.0), 0.5, 60) == pytest.approx(expected)
