"""Measures stay under their limits in 95 % of windows, at every size."""

from __future__ import annotations

import numpy as np
import pytest

from components.monitoring.calibration.limits import _drawn, limits
from components.monitoring.drift.measures import measures
from components.monitoring.summaries import Bins, Summary

NUMBERS = Bins("number", np.linspace(-2, 2, 199))
CATEGORIES = Bins("category", values=tuple(f"{number}" for number in range(20)))


def _summary(bins: Bins, counts: np.ndarray) -> Summary:
    rows = int(counts.sum())
    return Summary("a", bins, rows, 0, counts, variance=1.0, low=-4.0, high=4.0)


@pytest.mark.parametrize("rows", [50, 1000, 30_000])
@pytest.mark.parametrize("bins", [NUMBERS, CATEGORIES])
def test_measures_of_clean_windows_stay_under_their_limits(bins: Bins, rows: int) -> None:
    chance = np.random.default_rng(rows)
    shares = chance.dirichlet(np.full(bins.size, 5.0))
    above: dict[str, list[bool]] = {}
    for _ in range(25):
        reference = _summary(bins, chance.multinomial(10_000, shares))
        found = limits(reference, rows)
        for _ in range(8):
            measured = measures(reference, _summary(bins, chance.multinomial(rows, shares)))
            assert {name for name, value in measured.items() if value is not None} == found.keys()
            for name, limit in found.items():
                above.setdefault(name, []).append(measured[name] > limit)
    assert len(above) == 4
    for name, values in above.items():
        assert 0.0 < np.mean(values) < 0.13, name


def test_limits_are_those_of_multinomial_counts() -> None:
    """Of rare and of frequent values, with some that are in neither."""
    shares = np.concatenate([np.full(100, 0.0098), np.full(100, 0.0002), np.zeros(3)])
    drawn = _drawn(np.random.default_rng(1), 5_000, shares, 20_000)
    exact = np.random.default_rng(2).multinomial(5_000, shares, size=20_000)
    assert np.allclose(drawn.sum(-1), 5_000)
    assert np.allclose(drawn.mean(0), exact.mean(0), atol=0.5)
    assert np.allclose(np.cov(drawn.T), np.cov(exact.T), atol=2.5)
    assert np.allclose(np.quantile(drawn[:, 0], (0.01, 0.99)), np.quantile(exact[:, 0], (0.01, 0.99)), atol=2)


def test_smaller_windows_have_higher_limits() -> None:
    reference = _summary(CATEGORIES, np.full(20, 500))
    assert limits(reference, 100)["psi"] > limits(reference, 1000)["psi"] > limits(reference, 10_000)["psi"]


def test_a_column_without_values_has_no_limits() -> None:
    assert limits(_summary(CATEGORIES, np.zeros(20, dtype=int)), 100) == {}
