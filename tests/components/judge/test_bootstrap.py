"""The intervals of the paired bootstrap, on simulated rows: how often they hold the true gain."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import stats

from components.judge import bootstrap
from components.judge.verdict import BETTER, LEAST_TELLING, Gain, Rule, decide
from components.monitoring.quality.terms import Terms

ROWS, SIMULATIONS, RESAMPLES, LEVEL = 300, 400, 800, 0.05

Simulate = Callable[[np.random.Generator, int], tuple[Terms, Terms]]
"""What rows add to the metric of either model, for a number of rows."""


def shares(random: np.random.Generator, rows: int) -> tuple[Terms, Terms]:
    """Two models that are right in 80 and 76 of 100 rows, mostly in the same ones."""
    hard = random.random(rows)
    one, other = (hard + random.normal(0, 0.1, rows) < limit for limit in (0.80, 0.76))
    return tuple(Terms(each.astype(float), np.ones(rows), "share") for each in (one, other))  # type: ignore[return-value]


def losses(random: np.random.Generator, rows: int) -> tuple[Terms, Terms]:
    """Skewed losses that are alike."""
    common = random.exponential(1.0, rows)
    one, other = (common * random.gamma(4, scale, rows) / 4 for scale in (0.9, 1.0))
    return tuple(Terms(each, np.ones(rows), "mean") for each in (one, other))  # type: ignore[return-value]


def ranks(random: np.random.Generator, rows: int) -> tuple[Terms, Terms]:
    """Two scores of the same labels."""
    label = (random.random(rows) < 0.3).astype(float)
    common = random.normal(0, 1, rows)
    one, other = (shift * label + common + random.normal(0, 0.7, rows) for shift in (1.3, 1.1))
    return tuple(Terms(label, each, "rank") for each in (one, other))  # type: ignore[return-value]


def value(terms: Terms) -> float:
    if terms.shape == "rank":
        positive, negative = terms.below[terms.above > 0.5], terms.below[terms.above < 0.5]
        return float(stats.mannwhitneyu(positive, negative).statistic) / (len(positive) * len(negative))
    return float(terms.above.sum() / terms.below.sum())


def interval(simulated: tuple[Terms, Terms], seed: int, count: int = RESAMPLES) -> tuple[float, float]:
    found = bootstrap.differences(*simulated, np.ones(len(simulated[0].above)), seed=seed, count=count)
    ends = bootstrap.interval(found, LEVEL)
    assert ends is not None
    return ends


@pytest.mark.parametrize(("simulate", "rows", "count"), [(shares, 300, 800), (losses, 300, 800), (ranks, 150, 400)])
def test_intervals_hold_the_true_gain_as_often_as_they_say(simulate: Simulate, rows: int, count: int) -> None:
    truth = np.subtract(*map(value, simulate(np.random.default_rng(1), 400_000)))
    held = 0
    for seed in range(SIMULATIONS):
        low, high = interval(simulate(np.random.default_rng(100 + seed), rows), seed, count)
        held += low <= truth <= high
    # The binomial's error is 0.011; the percentile bootstrap of so few rows is a little short.
    assert 0.915 <= held / SIMULATIONS <= 0.98, held / SIMULATIONS


def test_a_pair_is_measured_far_better_than_two_independent_samples() -> None:
    one, other = shares(np.random.default_rng(3), ROWS)
    low, high = interval((one, other), 0)
    apart = 2 * 1.96 * np.sqrt(sum(v * (1 - v) for v in (value(one), value(other))) / ROWS)
    assert high - low < 0.75 * apart


def test_equal_models_are_seldom_called_better() -> None:
    """Of two models that are equally good, also if they rarely differ."""
    for differing in (0.04, 0.3):
        better = 0
        for seed in range(SIMULATIONS):
            random = np.random.default_rng(seed)
            differs, first = random.random(ROWS) < differing, random.random(ROWS) < 0.5
            common = random.random(ROWS) < 0.8
            pair = [np.where(differs, each, common).astype(float) for each in (first, ~first)]
            one, other = (Terms(each, np.ones(ROWS), "share") for each in pair)
            low, high = interval((one, other), seed, count=400)
            gain = Gain("recent", ROWS, value(one), value(other), value(one) - value(other), low, high, differs.sum())
            better += decide([gain], Rule("accuracy")).verdict == BETTER
        limit = LEVEL / 2 + 3 * np.sqrt(LEVEL / 2 / SIMULATIONS)
        assert better / SIMULATIONS <= limit, (differing, better)


def test_resamples_draw_as_many_rows_as_there_are_whatever_the_size_of_a_part(monkeypatch: Any) -> None:
    whole = np.concatenate(list(bootstrap.resamples(50, 30)))
    monkeypatch.setattr(bootstrap, "_AT_ONCE", 200)
    parts = list(bootstrap.resamples(50, 30))
    assert len(parts) == 8
    assert (np.concatenate(parts) == whole).all()
    assert (whole.sum(axis=1) == 50).all()


def test_the_area_under_the_curve_of_a_resample_is_that_of_its_rows() -> None:
    random = np.random.default_rng(5)
    label, score = (random.random(60) < 0.4).astype(float), np.round(random.random(60), 1)
    [drawn] = bootstrap.resamples(60, 20)
    found = bootstrap.differences(Terms(label, score, "rank"), Terms(label, -score, "rank"), np.ones(60), count=20)
    owns = [np.repeat(np.arange(60), counts) for counts in drawn.astype(int)]
    expected = [np.subtract(*(value(Terms(label[o], s[o], "rank")) for s in (score, -score))) for o in owns]
    assert found.tolist() == pytest.approx(expected)


def test_a_metric_without_a_value_in_many_resamples_has_no_interval() -> None:
    assert bootstrap.interval(np.array([0.1, np.nan, 0.2]), 0.05) is None
    assert bootstrap.interval(np.zeros(100), 0.05) == (0.0, 0.0)


def test_rows_that_tell_models_apart_are_counted() -> None:
    one, other = np.zeros(1000), np.zeros(1000)
    assert bootstrap.telling(one, other) == 0
    one[:7] = 0.001
    assert bootstrap.telling(one, other) == pytest.approx(7)
    one[0] = 1.0
    assert bootstrap.telling(one, other) < 1.1 < LEAST_TELLING
