"""CUPED takes out what was known before, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest

from components.contract.errors import DataError
from components.experiments import joint
from components.experiments.compare import cuped, means
from components.experiments.joint import Joint


def _pair(chance: np.random.Generator, runs: int, n: int, correlation: float) -> list[Joint]:
    made = []
    for effect in (0.0, 0.1):
        before = chance.normal(size=(runs, n))
        value = correlation * before + np.sqrt(1 - correlation**2) * chance.normal(size=(runs, n)) + effect
        columns = (value, before)
        products = [[(a * b).sum(-1) for b in columns] for a in columns]
        made.append(joint.of_sums(np.full(runs, n), [each.sum(-1) for each in columns], products))
    return made


def test_the_variance_that_is_left_is_one_minus_the_squared_correlation() -> None:
    pair = _pair(np.random.default_rng(1), 4000, 400, 0.7)
    found = cuped.means(*pair)
    difference = np.asarray(found.treatment.mean) - found.control.mean
    plain = pair[1].means[:, 0] - pair[0].means[:, 0]
    assert difference.mean() == pytest.approx(0.1, abs=0.003)
    assert difference.var() / plain.var() == pytest.approx(0.51, rel=0.06)
    assert np.asarray(found.kept).mean() == pytest.approx(0.51, rel=0.01)
    assert (means.welch(found.control, found.treatment).p_value < 0.05).mean() > (
        means.welch(pair[0].combined([1, 0]), pair[1].combined([1, 0])).p_value < 0.05
    ).mean() + 0.2


def test_several_covariates_are_least_squares() -> None:
    chance = np.random.default_rng(2)
    table = chance.normal(size=(500, 3)) @ np.array([[1, 0.5, 0.2], [0, 1, 0.3], [0, 0, 1]])
    half = [joint.of_columns(*table[part].T) for part in (slice(0, 250), slice(250, 500))]
    found = cuped.means(*half)
    centred = table - table.mean(0)
    expected = np.linalg.lstsq(centred[:, 1:], centred[:, 0], rcond=None)[0]
    np.testing.assert_allclose(found.slopes, expected, rtol=1e-9)


def test_a_covariate_that_does_not_vary_changes_nothing() -> None:
    values = np.random.default_rng(3).normal(size=100)
    found = cuped.means(joint.of_columns(values[:50], np.ones(50)), joint.of_columns(values[50:], np.ones(50)))
    assert found.kept == pytest.approx(1)
    assert found.control.mean == pytest.approx(values[:50].mean())


def test_ratios_are_adjusted_by_ratios() -> None:
    chance = np.random.default_rng(4)
    liking = chance.beta(2, 6, size=2000)
    views = [chance.poisson(5, 2000) + 1 for _ in range(2)]
    clicks = [chance.binomial(each, liking) for each in views]
    columns = [clicks[0], views[0], clicks[1], views[1]]
    pair = [joint.of_columns(*(each[part] for each in columns)) for part in (slice(0, 1000), slice(1000, 2000))]
    found = cuped.ratios(*pair)
    plain = means.delta(
        *(joint.of_columns(*(each[part] for each in columns[:2])) for part in (slice(0, 1000), slice(1000, 2000)))
    )
    adjusted = means.welch(found.control, found.treatment)
    assert adjusted.high - adjusted.low < 0.95 * (plain.high - plain.low)
    assert adjusted.low < 0 < adjusted.high


def test_too_few_columns_are_refused() -> None:
    one, zero = joint.of_columns([1.0, 2.0]), joint.of_columns([1, 2], [1, 1], [1, 2], [0, 0])
    with pytest.raises(DataError, match="needs 2 columns or more, not 1"):
        cuped.means(one, one)
    with pytest.raises(DataError, match="below a ratio is not above 0"):
        cuped.ratios(zero, zero)
