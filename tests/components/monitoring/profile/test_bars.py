"""Distributions are drawn on one scale, and none of them is one bar."""

from __future__ import annotations

import numpy as np
import pytest

from components.monitoring.profile.bars import Bin, beyond, borders, is_logarithmic, shares
from components.monitoring.profile.quantiles import histogram
from tests.components.monitoring.profile.test_rows import _summary as summary


def bins(values: np.ndarray, training: np.ndarray | None = None) -> list[Bin]:
    """As the profile has them."""
    found = histogram(summary(values if training is None else training, values))
    return [(each["low"], each["high"], each["count"]) for each in found]


def test_a_few_values_far_out_are_cut_and_counted() -> None:
    random = np.random.default_rng(1)
    before = np.append(random.normal(10, 2, 5000), [2_000.0] * 3)
    training, window = bins(before), bins(random.normal(12, 2, 1000), before)
    edges = borders([training, window])
    assert (len(edges), is_logarithmic(edges)) == (41, False)
    assert 3 < edges[0] < 8 and 14 < edges[-1] < 19
    for each, middle in ((training, 10), (window, 12)):
        found = shares(each, edges)
        assert sum(found) == pytest.approx(1)
        assert max(found) < 0.15
        assert np.average((edges[:-1] + edges[1:]) / 2, weights=found) == pytest.approx(middle, abs=0.2)
    low, high = beyond(training, edges)
    assert low == pytest.approx(0.01, abs=0.003) and 0.0005 < high < 0.01


@pytest.mark.parametrize("factor", [1.609, 1000.0, 0.001])
def test_a_skewed_column_and_one_in_another_unit_are_both_seen(factor: float) -> None:
    """On a logarithmic axis a changed unit is a shift: no bar has most of either distribution."""
    random = np.random.default_rng(2)
    before = np.append(random.lognormal(0, 1.5, 9000), 1_710.0)
    training, window = bins(before), bins(random.lognormal(0, 1.5, 1000) * factor, before)
    edges = borders([training, window])
    assert is_logarithmic(edges) and np.all(np.diff(edges) > 0)
    for each in (training, window):
        assert max(shares(each, edges)) < 0.25
        assert sum(share > 0.01 for share in shares(each, edges)) >= 8


def test_far_from_zero_the_axis_is_fine_where_the_narrow_distribution_is() -> None:
    random = np.random.default_rng(3)
    before, now = random.normal(41.9, 0.02, 5000), np.append(random.normal(41.9, 0.02, 900), [0.0] * 100)
    training, window = bins(before), bins(now, before)
    edges = borders([training, window])
    assert max(shares(training, edges)) < 0.3
    assert shares(window, edges)[0] == pytest.approx(0.1, abs=0.02)


def test_few_evenly_spaced_values_have_a_bar_each() -> None:
    hours = [(float(hour), float(hour), float(hour + 1)) for hour in range(24)]
    edges = borders([hours, hours[3:20]])
    assert edges.tolist() == [hour - 0.5 for hour in range(25)]
    assert shares(hours, edges) == pytest.approx([(hour + 1) / 300 for hour in range(24)])


def test_nothing_one_value_and_uneven_values() -> None:
    assert len(borders([[], []])) == 41 and shares([], borders([])) == [0.0] * 40
    one = [(7.0, 7.0, 3.0)]
    edges = borders([one])
    assert edges[0] == pytest.approx(6.5) and sum(shares(one, edges)) == 1.0
    uneven = [(float(value), float(value), 1.0) for value in (0, 1, 10, 1000)]
    found = shares(uneven, borders([uneven]))
    assert sum(found) == pytest.approx(1) and max(found) <= 0.5


def test_the_profiles_bins_are_narrow_where_values_are() -> None:
    values = np.random.default_rng(4).lognormal(0, 1, 3000)
    found = histogram(summary(values, values))
    assert len(found) <= 40 and sum(each["count"] for each in found) == pytest.approx(3000)
    assert (found[0]["low"], found[-1]["high"]) == (values.min(), values.max())
    assert max(each["count"] for each in found) < 300
    edges = np.quantile(values, [0, 0.1, 0.5, 0.9, 1])
    bars = shares([(each["low"], each["high"], each["count"]) for each in found], edges)
    assert bars == pytest.approx([0.1, 0.4, 0.4, 0.1], abs=0.04)
