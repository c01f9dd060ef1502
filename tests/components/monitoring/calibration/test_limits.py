"""Measures stay under their limits in 95 % of windows, at every size."""

from __future__ import annotations

import numpy as np
import pytest

from components.monitoring.calibration.limits import limits
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


def test_smaller_windows_have_higher_limits() -> None:
    reference = _summary(CATEGORIES, np.full(20, 500))
    assert limits(reference, 100)["psi"] > limits(reference, 1000)["psi"] > limits(reference, 10_000)["psi"]


def test_a_column_without_values_has_no_limits() -> None:
    assert limits(_summary(CATEGORIES, np.zeros(20, dtype=int)), 100) == {}
