"""Comparisons at a fixed size: scipy's values, and errors that say what to do."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats as st
from scipy.optimize import minimize_scalar

from components.contract.errors import DataError, UserError
from components.experiments import arms, joint
from components.experiments.arms import Arm
from components.experiments.compare import means, proportions
from components.experiments.compare.comparison import Comparison

CHANCE = np.random.default_rng(1)
CONTROL, TREATMENT = CHANCE.normal(3, 1, 200), CHANCE.normal(3.2, 2, 300)


def test_welchs_t_is_scipys() -> None:
    found = means.welch(arms.of_values(CONTROL), arms.of_values(TREATMENT), 0.1)
    expected = st.ttest_ind(TREATMENT, CONTROL, equal_var=False)
    interval = expected.confidence_interval(0.9)
    assert found.p_value == pytest.approx(expected.pvalue, abs=1e-12)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high), abs=1e-12)
    assert found.relative == pytest.approx(TREATMENT.mean() / CONTROL.mean() - 1)
    assert found.relative_low < found.relative < found.relative_high


def test_relative_intervals_cover_the_ratio() -> None:
    chance = np.random.default_rng(3)
    looks = [arms.of_sums(400, each.sum(-1), (each**2).sum(-1)) for each in chance.gamma(2, 1, (2, 4000, 400))]
    found = means.welch(*looks)
    covered = (np.asarray(found.relative_low) < 0) & (np.asarray(found.relative_high) > 0)
    assert covered.mean() == pytest.approx(0.95, abs=0.012)


def test_a_relative_interval_needs_means_of_one_sign() -> None:
    opposite = means.welch(arms.of_values(CONTROL - 9), arms.of_values(TREATMENT))
    assert np.isnan([opposite.relative_low, opposite.relative_high]).all()
    zero = means.welch(arms.of_values([-1.0, 1.0]), arms.of_values([0.0, 1.0]))
    assert np.isnan(zero.relative)


def test_z_of_two_shares_is_the_chi_square_test() -> None:
    found = proportions.z(arms.of_counts(30, 1000), arms.of_counts(45, 1010))
    expected = st.chi2_contingency([[30, 970], [45, 965]], correction=False)
    assert found.p_value == pytest.approx(expected.pvalue, abs=1e-12)
    assert found.difference == pytest.approx(45 / 1010 - 0.03)


@pytest.mark.parametrize(("x", "n", "y", "m"), [(30, 1000, 45, 1010), (0, 40, 3, 60), (7, 10, 1, 12), (99, 99, 90, 98)])
def test_the_score_interval_has_what_the_score_test_keeps(x: int, n: int, y: int, m: int) -> None:
    """Its ends are where the likeliest shares with that difference are 1.96 standard errors away."""
    found = proportions.z(arms.of_counts(x, n), arms.of_counts(y, m))
    for end in (found.low, found.high):
        assert abs(_score(x, n, y, m, float(end))) == pytest.approx(st.norm.ppf(0.975), abs=2e-4)
    assert (found.low > 0 or found.high < 0) == (found.p_value < 0.05)


def _score(x: int, n: int, y: int, m: int, difference: float) -> float:
    def unlikely(share: float) -> float:
        parts = (st.binom.logpmf(x, n, share), st.binom.logpmf(y, m, share + difference))
        return -float(sum(parts))

    bounds = max(0.0, -difference), min(1.0, 1 - difference)
    share = minimize_scalar(unlikely, bounds=bounds, method="bounded", options={"xatol": 1e-11}).x
    other = share + difference
    return float((y / m - x / n - difference) / np.sqrt(share * (1 - share) / n + other * (1 - other) / m))


@pytest.mark.parametrize(("x", "y"), [(0, 0), (10, 10), (0, 10), (10, 0)])
def test_shares_of_none_and_all_have_an_interval(x: int, y: int) -> None:
    found = proportions.z(arms.of_counts(x, 10), arms.of_counts(y, 10))
    assert -1 <= found.low <= found.difference <= found.high <= 1
    assert found.high - found.low > 0.2
    assert found.p_value == 1 if x == y else found.p_value < 1e-4


def test_huge_counts_stay_exact() -> None:
    found = proportions.z(arms.of_counts(1_000_000_000, 10**12), arms.of_counts(1_000_200_000, 10**12))
    assert found.difference == pytest.approx(2e-7)
    assert found.low < found.difference < found.high
    assert found.p_value == pytest.approx(2 * st.norm.sf(200_000 / np.sqrt(2e9)), rel=1e-2)


def test_the_delta_method_is_welchs_t_where_all_have_one_view() -> None:
    views = [np.ones(200), np.ones(300)]
    found = means.delta(joint.of_columns(CONTROL, views[0]), joint.of_columns(TREATMENT, views[1]))
    expected = means.welch(arms.of_values(CONTROL), arms.of_values(TREATMENT))
    assert (found.low, found.high, found.p_value) == pytest.approx((expected.low, expected.high, expected.p_value))


def test_users_with_many_views_are_not_independent_views() -> None:
    """Users differ in how often they click: a z test of views finds differences that are none."""
    chance = np.random.default_rng(4)
    views = chance.poisson(20, size=(2, 1000, 300)) + 1
    clicks = chance.binomial(views, chance.beta(1, 4, views.shape))
    looks = [
        joint.of_sums(
            300, [c.sum(-1), v.sum(-1)], [[(c * c).sum(-1), (c * v).sum(-1)], [(c * v).sum(-1), (v * v).sum(-1)]]
        )
        for c, v in zip(clicks, views, strict=True)
    ]
    assert (means.delta(*looks).p_value < 0.05).mean() == pytest.approx(0.05, abs=0.02)
    naive = proportions.z(*(arms.of_counts(c.sum(-1), v.sum(-1)) for c, v in zip(clicks, views, strict=True)))
    assert (naive.p_value < 0.05).mean() > 0.3


@pytest.mark.parametrize("compare", [means.welch, proportions.z])
@pytest.mark.parametrize("level", [0, 1, -0.1, float("nan"), 5])
def test_a_level_is_a_share(compare: object, level: float) -> None:
    with pytest.raises(UserError, match="the level must be between 0 and 1"):
        compare(arms.of_counts(1, 10), arms.of_counts(2, 10), level)  # type: ignore[operator]


def _welch(control: list[float], treatment: list[float]) -> Comparison:
    return means.welch(arms.of_values(control), arms.of_values(treatment))


def test_arms_without_enough_units_are_refused() -> None:
    for control, treatment, message in (
        ([], [1.0, 2.0], "the control has 0 units, and at least 2"),
        ([1.0, 2.0], [1.0], "the treatment has 1 units, and at least 2"),
        ([1.0, 1.0], [1.0, 1.0], "all units of both arms have the same value"),
    ):
        with pytest.raises(DataError, match=message) as caught:
            _welch(control, treatment)
        assert caught.value.fix
    with pytest.raises(DataError, match="the treatment has 0 units, and at least 1"):
        proportions.z(arms.of_counts(0, 1), Arm(0, 0.0, 0.0))
