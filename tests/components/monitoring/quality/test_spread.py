"""Intervals: they cover the true value as often as they say, for few rows and for requests with several rows."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy import special, stats

from components.monitoring.quality.spread import Interval, Spread, correlation, difference, interval, p_value, spread
from components.monitoring.quality.terms import Numbers, of


def made(class_name: str, label: Numbers, prediction: Numbers, units: Numbers | None = None) -> Spread | None:
    terms = of(class_name, label[:, None], prediction[:, None], {})
    assert terms is not None
    ids, places = np.unique(np.arange(len(label)) if units is None else units, return_inverse=True)
    return spread(terms, np.ones(len(label)), ids, places)


def has(found: Interval, value: float) -> bool:
    return found.low is not None and found.high is not None and found.low <= value <= found.high


def scored(random: np.random.Generator, count: int) -> tuple[Numbers, Numbers]:
    """Labels and scores whose area under the curve is 0.76, and whose accuracy at 0.5 is 0.69."""
    label = (random.random(count) < 0.5).astype(float)
    return label, special.ndtr(random.normal(size=count) + label - 0.5)


def regression(random: np.random.Generator, count: int) -> tuple[Numbers, Numbers]:
    return random.normal(size=count), np.zeros(count)


TRUTHS: list[tuple[str, Callable[..., tuple[Numbers, Numbers]], float]] = [
    ("BinaryAccuracy", scored, float(stats.norm.cdf(0.5))),
    ("Precision", scored, float(stats.norm.cdf(0.5))),
    ("AUC", scored, float(stats.norm.cdf(1 / np.sqrt(2)))),
    ("MeanAbsoluteError", regression, float(np.sqrt(2 / np.pi))),
    ("RootMeanSquaredError", regression, 1.0),
]


@pytest.mark.parametrize("count", [40, 400])
@pytest.mark.parametrize(("name", "rows", "truth"), TRUTHS, ids=[each[0] for each in TRUTHS])
def test_an_interval_covers_the_true_value(
    name: str, rows: Callable[..., tuple[Numbers, Numbers]], truth: float, count: int
) -> None:
    random = np.random.default_rng(3)
    found = [made(name, *rows(random, count)) for _ in range(600)]
    hits = [has(interval(each), truth) for each in found if each]
    assert 0.92 <= np.mean(hits) <= 0.985


def test_rows_of_a_request_do_not_count_as_independent() -> None:
    random = np.random.default_rng(4)
    hits, naive = [], []
    for _ in range(400):
        right = np.repeat((random.random(60) < 0.7).astype(float), 5)
        found = made("BinaryAccuracy", np.ones(300), right, np.repeat(np.arange(60), 5))
        alone = made("BinaryAccuracy", np.ones(300), right)
        assert found and alone
        hits.append(has(interval(found), 0.7))
        naive.append(has(interval(alone), 0.7))
    assert np.mean(hits) >= 0.92 and np.mean(naive) < 0.75


@pytest.mark.parametrize("paired", [True, False])
def test_the_interval_of_a_difference_covers_it(paired: bool) -> None:
    random = np.random.default_rng(5)
    hits, widths = [], []
    for _ in range(500):
        label, score = scored(random, 300)
        other, worse = (label, score) if paired else scored(random, 300)
        noisy = special.ndtr(special.ndtri(worse) + 0.5 * random.normal(size=300))
        one, two = made("AUC", label, score), made("AUC", other, noisy)
        assert one and two
        two = two if paired else Spread(two.value, two.units + 1000, two.influence, two.shape, two.count)
        found = difference(one, two)
        hits.append(has(found, float(stats.norm.cdf(1 / np.sqrt(2)) - stats.norm.cdf(1 / np.sqrt(2.5)))))
        widths.append(found.high - found.low)  # type: ignore[operator]
    assert 0.92 <= np.mean(hits) <= 0.985
    assert (np.mean(widths) < 0.08) == paired


def test_the_p_value_is_uniform_where_nothing_has_changed() -> None:
    random = np.random.default_rng(6)
    p = []
    for _ in range(500):
        before, now = made("BinaryAccuracy", *scored(random, 600)), made("BinaryAccuracy", *scored(random, 200))
        assert before and now
        p.append(p_value(now, before.value, 600, 200))
    assert 0.02 <= np.mean(np.array(p) < 0.05) <= 0.08


def test_the_area_equals_that_of_delong() -> None:
    """Against the definition: placements of every positive among the negatives and the other way round."""
    random = np.random.default_rng(7)
    label, score = scored(random, 80)
    score = np.round(score, 1)
    found = made("AUC", label, score)
    wins = np.array([[(x > y) + (x == y) / 2 for y in score[label == 0]] for x in score[label == 1]])
    assert found is not None
    assert found.value == pytest.approx(wins.mean())
    expected = wins.mean(1).var() / wins.shape[0] + wins.mean(0).var() / wins.shape[1]
    assert float(np.sum(found.influence**2)) == pytest.approx(expected)


def test_what_cannot_be_said_is_none() -> None:
    assert made("AUC", np.ones(5), np.arange(5) / 5) is None
    assert made("Precision", np.ones(5), np.zeros(5)) is None
    alone = made("MeanAbsoluteError", np.ones(1), np.zeros(1))
    assert alone and interval(alone) == Interval() and p_value(alone, 1.0, 10, 1) is None


def test_perfect_answers_leave_room_for_errors() -> None:
    perfect = made("BinaryAccuracy", np.ones(20), np.ones(20))
    order = made("AUC", np.repeat([0.0, 1.0], 10), np.repeat([0.2, 0.9], 10))
    assert perfect and order
    assert interval(perfect).low == pytest.approx(0.8389, abs=1e-3) and interval(perfect).high == 1.0
    assert 0.5 < interval(order).low < 0.95  # type: ignore[operator]
    assert correlation(perfect, order) == 0.0
