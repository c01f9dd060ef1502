"""Measures of drift, beside scipy's on the same values."""

from __future__ import annotations

import math

import numpy as np
import pyarrow as pa
import pytest
from scipy import stats
from scipy.special import rel_entr

from components.monitoring.drift import distances
from components.monitoring.drift.measures import measures
from components.monitoring.profile.summarize import summarize
from components.monitoring.reference.build import build
from components.monitoring.summaries import Summary


def _pair(training, window) -> tuple[Summary, Summary]:
    tables = [pa.table({"x": pa.array(values)}).to_batches() for values in (training, window)]
    reference = build(1, "", tables[0])
    return reference.columns["x"], summarize(tables[1], reference)["x"]


@pytest.fixture
def random() -> np.random.Generator:
    return np.random.default_rng(3)


@pytest.mark.parametrize("kind", [np.int64, np.float32, np.float64])
def test_ks_and_wasserstein_are_those_of_scipy_where_each_value_has_a_bin(random, kind) -> None:
    training, window = (random.binomial(40, share, size).astype(kind) for share, size in ((0.5, 5_000), (0.55, 400)))
    window = np.clip(window, training.min(), training.max())
    found = measures(*_pair(training, window))
    training, window = training.astype(np.float64), window.astype(np.float64)
    assert found["ks"] == pytest.approx(stats.ks_2samp(training, window).statistic, abs=1e-12)
    distance = stats.wasserstein_distance(training, window) / training.std()
    assert found["wasserstein"] == pytest.approx(distance, rel=1e-9)


def test_ks_and_wasserstein_are_nearly_those_of_scipy_in_quantile_bins(random) -> None:
    training, window = random.normal(size=30_000), random.normal(0.2, 1.3, size=2_000)
    found = measures(*_pair(training, window))
    assert found["ks"] == pytest.approx(stats.ks_2samp(training, window).statistic, abs=2e-3)
    assert found["wasserstein"] == pytest.approx(
        stats.wasserstein_distance(training, window) / training.std(), abs=0.01
    )


@pytest.mark.parametrize("factor", [1_000, -1_000, 10, 0.001])
def test_wasserstein_of_another_unit(random, factor) -> None:
    training = random.normal(50, 10, size=20_000)
    window = training[:3_000] * factor
    found = measures(*_pair(training, window))
    distance = stats.wasserstein_distance(training, window) / training.std()
    assert found["wasserstein"] == pytest.approx(distance, rel=0.05)


def test_chi_square_and_psi_are_those_of_scipy(random) -> None:
    training, window = (random.choice(list("abcdefg"), size) for size in (5_000, 300))
    first, second = _pair(training, window)
    table = np.stack([first.counts, second.counts])
    found = measures(first, second)
    assert found["chi_square"] == pytest.approx(stats.chi2_contingency(table, correction=False).statistic, rel=1e-9)
    p, q = table / table.sum(1, keepdims=True)
    assert found["psi"] == pytest.approx((rel_entr(p, q) + rel_entr(q, p)).sum(), rel=1e-9)


def test_unseen_categories_are_in_chi_square(random) -> None:
    first, second = _pair(["a"] * 90 + ["b"] * 10, ["a"] * 9 + ["new"])
    expected = stats.chi2_contingency([[90, 10, 0], [9, 0, 1]], correction=False).statistic
    assert measures(first, second)["chi_square"] == pytest.approx(expected)


def test_psi_of_numbers_is_of_ten_groups(random) -> None:
    training, window = random.normal(size=10_000), random.normal(0.3, size=5_000)
    borders = np.quantile(training, np.linspace(0, 1, 11)[1:-1])
    p, q = (np.bincount(np.searchsorted(borders, each), minlength=10) / len(each) for each in (training, window))
    assert measures(*_pair(training, window))["psi"] == pytest.approx(((q - p) * np.log(q / p)).sum(), rel=0.05)


def test_measures_of_many_windows_at_once_are_those_of_each(random) -> None:
    reference = random.integers(1, 50, 30).astype(float)
    windows = random.integers(0, 50, (4, 30)).astype(float)
    for measure in (distances.l_infinity, distances.jensen_shannon, distances.ks, distances.chi_square, distances.psi):
        together = measure(reference, windows)
        assert together.shape == (4,)
        assert np.allclose(together, [measure(reference, window) for window in windows])


@pytest.mark.parametrize("window", [[], [None, None], [math.nan]])
def test_nothing_is_measured_where_there_are_no_values(window) -> None:
    found = measures(*_pair([1.0, 2.0, 3.0], pa.array(window, pa.float64())))
    assert {name: found[name] for name in ("ks", "wasserstein", "chi_square")} == {
        "ks": None,
        "wasserstein": None,
        "chi_square": None,
    }


def test_a_constant_has_no_wasserstein_distance() -> None:
    assert measures(*_pair([5.0] * 10, [6.0] * 10))["wasserstein"] is None
    assert measures(*_pair([5.0] * 10, [6.0] * 10))["ks"] == 1.0
