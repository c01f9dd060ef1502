"""Each test against scipy's, and its level where normal approximations fail."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats as st

from components.monitoring.calibration import statistics as own


def _counts(*values: float) -> np.ndarray:
    return np.array(values, dtype=float)


@pytest.mark.parametrize(("k", "n", "m", "total"), [(5, 100, 20, 2000), (30, 1000, 100, 10_000), (0, 50, 400, 9000)])
def test_shares_are_tested_nearly_as_by_fishers_exact_test(k: int, n: int, m: int, total: int) -> None:
    tails = st.hypergeom(n + total, k + m, n)
    exact = min(1.0, 2 * min(tails.cdf(k), tails.sf(k - 1)))
    found = own.share(_counts(k), _counts(n), _counts(m), _counts(total))
    assert found.p_value[0] == pytest.approx(exact, rel=0.35)
    assert found.effect[0] == pytest.approx(k / n - m / total)


def test_shares_far_in_the_tail() -> None:
    exact = st.hypergeom.sf(19, 11_000, 20, 1000) * 2
    found = own.share(_counts(20), _counts(1000), _counts(0), _counts(10_000)).p_value[0]
    assert exact / 100 < found < exact * 100


def test_chi_square_of_frequent_groups_is_scipys() -> None:
    window, reference = _counts(200, 300, 520), _counts(2100, 2900, 5000)
    exact = st.chi2_contingency(np.stack([window, reference]), correction=False)
    assert own.chi_square(window, reference).p_value == pytest.approx(exact.pvalue, rel=0.02)


def test_kolmogorov_smirnov_is_scipys() -> None:
    chance = np.random.default_rng(1)
    window, reference = chance.integers(60, size=800), chance.integers(64, size=9000)
    exact = st.ks_2samp(window, reference, method="asymp")
    found = own.kolmogorov_smirnov(*(np.bincount(each, minlength=64).astype(float) for each in (window, reference)))
    assert found.effect == pytest.approx(exact.statistic)
    assert found.p_value == pytest.approx(exact.pvalue, rel=0.2)


def test_location_is_the_permutation_test_of_normal_scores() -> None:
    chance = np.random.default_rng(2)
    window, reference = chance.normal(0.15, size=1000), chance.normal(size=10_000)
    edges = np.quantile(reference, np.arange(1, 64) / 64)
    counts = [np.bincount(np.searchsorted(edges, each), minlength=64).astype(float) for each in (window, reference)]
    found = own.location(*counts)
    assert found.effect == pytest.approx(window.mean() - reference.mean(), abs=0.02)
    assert found.p_value == pytest.approx(st.mannwhitneyu(window, reference).pvalue, rel=2)


@pytest.mark.parametrize("rows", [50, 1000])
@pytest.mark.parametrize("shares", [[0.995, 0.005], [0.5, 0.5], [0.97, 0.01, 0.01, 0.01], [1 / 64] * 64])
def test_levels_hold_with_ties_and_rare_groups(shares: list[float], rows: int) -> None:
    chance = np.random.default_rng(3)
    window = chance.multinomial(rows, shares, size=4000).astype(float)
    reference = chance.multinomial(10_000, shares, size=4000).astype(float)
    for p_value in (
        own.location(window, reference).p_value,
        own.kolmogorov_smirnov(window, reference).p_value,
        own.chi_square(window, reference).p_value,
        own.largest_share(window, reference),
    ):
        assert (p_value <= 0.01).mean() < 0.03
        assert (p_value <= 0.05).mean() < 0.075


@pytest.mark.parametrize("window", [[0, 0], [5, 0], [0, 5]])
@pytest.mark.parametrize("reference", [[0, 0], [9, 0], [9, 9]])
def test_empty_and_constant_columns_have_p_values(window: list[int], reference: list[int]) -> None:
    pair = _counts(*window), _counts(*reference)
    found = [own.location(*pair), own.kolmogorov_smirnov(*pair), own.chi_square(*pair)]
    p_values = [*(each.p_value for each in found), own.largest_share(*pair)]
    assert all(0 < p_value <= 1 for p_value in p_values)
    assert np.isfinite([each.effect for each in found]).all()
    if not sum(window) or not sum(reference):
        assert p_values == pytest.approx([1, 1, 1, 1])
