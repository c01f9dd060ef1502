"""Ranks, tables of counts and corrections, beside scipy's."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats as st

from components.contract.errors import DataError, UserError
from components.experiments.compare.categories import chi_square
from components.experiments.compare.corrections import benjamini_hochberg, bonferroni, corrected, holm
from components.experiments.compare.ranks import mann_whitney

P_VALUES = [0.01, 0.04, 0.03, 0.005, 0.5]


def test_mann_whitney_is_scipys() -> None:
    chance = np.random.default_rng(1)
    control, treatment = chance.normal(size=80), np.round(chance.normal(0.5, 2, size=90), 1)
    found, expected = mann_whitney(control, treatment), st.mannwhitneyu(treatment, control)
    assert found.p_value == expected.pvalue
    assert found.treatment == pytest.approx(expected.statistic / 80 / 90)
    brunner = st.brunnermunzel(control, treatment)
    error = (found.high - found.low) / 2 / st.t.ppf(0.975, 100)
    assert found.difference / error == pytest.approx(brunner.statistic, rel=0.02)


def test_the_probability_of_being_above_is_covered() -> None:
    chance, truth = np.random.default_rng(2), st.norm.cdf(0.5 / np.sqrt(5))
    found = [mann_whitney(chance.normal(size=60), chance.normal(0.5, 2, size=60)) for _ in range(500)]
    assert np.mean([each.low + 0.5 < truth < each.high + 0.5 for each in found]) == pytest.approx(0.95, abs=0.03)


@pytest.mark.parametrize(
    ("control", "treatment", "message"),
    [
        ([1.0, 1.0], [1.0, 1.0], "all values of both arms are the same"),
        ([1.0], [1.0, 2.0], "the control has 1 units"),
        ([1.0, 2.0], [], "the treatment has 0 units"),
        ([1.0, np.nan], [1.0, 2.0], "NaN"),
    ],
)
def test_ranks_need_units_that_differ(control: list[float], treatment: list[float], message: str) -> None:
    with pytest.raises(DataError, match=message):
        mann_whitney(control, treatment)


def test_separated_arms_have_an_interval_within_the_possible() -> None:
    found = mann_whitney([1.0, 2.0, 3.0], [4.0, 5.0, 6.0])
    assert found.treatment == 1
    assert -0.5 <= found.low <= found.high <= 0.5


def test_chi_square_is_scipys() -> None:
    table = [[10, 20, 30], [6, 9, 17], [8, 30, 3]]
    found, expected = chi_square(table), st.chi2_contingency(table)
    assert (found.statistic, found.p_value, found.degrees) == pytest.approx(expected[:3])
    assert found.cramers_v == pytest.approx(st.contingency.association(table))
    assert found.fewest_expected == expected.expected_freq.min()


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ([1, 2], r"has the shape \(2,\)"),
        ([[1, 2]], r"has the shape \(1, 2\)"),
        ([[1, 0], [2, 0]], "an arm or an outcome has no units"),
        ([[1, -1], [2, 3]], "must be 0 or more, not -1"),
    ],
)
def test_tables_that_are_none_are_refused(table: list, message: str) -> None:
    with pytest.raises(DataError, match=message):
        chi_square(table)


def test_corrections_have_the_values_of_the_textbook() -> None:
    assert holm(P_VALUES) == pytest.approx([0.04, 0.09, 0.09, 0.025, 0.5])
    assert benjamini_hochberg(P_VALUES) == pytest.approx(st.false_discovery_control(P_VALUES))
    assert bonferroni(P_VALUES) == pytest.approx([0.05, 0.2, 0.15, 0.025, 1.0])
    assert holm([]).size == 0


def test_corrections_keep_the_names() -> None:
    found = corrected({("clicks", "b"): 0.01, ("clicks", "c"): 0.04})
    assert found == pytest.approx({("clicks", "b"): 0.02, ("clicks", "c"): 0.04})
    with pytest.raises(UserError, match="there is no correction 'none'"):
        corrected({}, "none")
    with pytest.raises(UserError, match="not between 0 and 1"):
        holm([1.5])


def test_holm_makes_any_false_finding_rare() -> None:
    p_values = np.random.default_rng(3).random((2000, 20))
    assert np.mean([holm(each).min() < 0.05 for each in p_values]) == pytest.approx(0.05, abs=0.015)
