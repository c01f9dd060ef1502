"""Measures stay under their limits in 95 % of windows, at every size."""

from __future__ import annotations

import tracemalloc
import weakref

import numpy as np
import pytest

from components.monitoring.calibration.limits import _drawn, limits
from components.monitoring.drift import distances
from components.monitoring.drift.measures import measures, of_numbers, scaled_places
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


@pytest.mark.parametrize("rows", [60, 1000, 100_000])
@pytest.mark.parametrize("edges", [3, 199, 999])
def test_limits_of_numbers_are_those_of_samples_that_are_drawn_one_by_one(rows: int, edges: int) -> None:
    chance = np.random.default_rng(edges)
    bins = Bins("number", np.linspace(-2, 2, edges))
    reference = _summary(bins, chance.multinomial(20_000, chance.dirichlet(np.full(bins.size, 5.0))))
    found, shares = limits(reference, rows), reference.counts / reference.counts.sum()
    then, now = (chance.multinomial(size, shares, size=4000).astype(float) for size in (20_000, rows))
    groups = distances.groups(reference.counts.astype(float))
    drawn = of_numbers(then, now, groups, scaled_places(reference, reference))
    assert drawn
    for name, values in drawn.items():
        assert 0.02 < np.mean(values > found[name]) < 0.08, name


def test_very_many_categories_are_drawn_in_little_memory() -> None:
    bins = Bins("category", values=("a",) * 150_000)
    tracemalloc.start()
    found = limits(_summary(bins, np.ones(150_000, dtype=int)), 10_000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found.keys() == {"l_infinity", "jensen_shannon", "psi", "chi_square"}
    assert peak < 200e6


def test_limits_do_not_keep_their_column() -> None:
    reference = _summary(CATEGORIES, np.full(20, 500))
    limits(reference, 100)
    kept = weakref.ref(reference)
    del reference
    assert kept() is None


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
