"""What an arm knows of its units, and how arms add up."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from components.contract.errors import DataError
from components.experiments import arms, joint
from components.experiments.arms import Arm

VALUES = np.random.default_rng(1).gamma(2.0, 3.0, size=1000)


def _equal(found: Arm, expected: Arm) -> None:
    assert found.n == expected.n
    assert found.mean == pytest.approx(expected.mean, rel=1e-12)
    assert found.squares == pytest.approx(expected.squares, rel=1e-9)


def test_all_ways_to_an_arm_agree() -> None:
    whole = arms.of_values(VALUES)
    assert whole.variance == pytest.approx(VALUES.var(ddof=1))
    assert whole.total == pytest.approx(VALUES.sum())
    _equal(arms.of_sums(1000, VALUES.sum(), (VALUES**2).sum()), whole)
    _equal(arms.of_values(VALUES[:300]) + arms.of_values(VALUES[300:]), whole)
    _equal(whole + arms.of_values([]), whole)
    hits = VALUES > 5
    _equal(arms.of_counts(hits.sum(), 1000), arms.of_values(hits))


def test_each_look_of_a_cumulative_arm_is_the_arm_so_far() -> None:
    looks = arms.cumulative(VALUES.reshape(2, 500))
    for row, n in ((0, 1), (0, 500), (1, 77)):
        found = Arm(*(np.asarray(each)[row, n - 1] for each in (looks.n, looks.mean, looks.squares)))
        expected = arms.of_values(VALUES.reshape(2, 500)[row, :n])
        assert (found.mean, found.squares) == pytest.approx((expected.mean, expected.squares), abs=1e-9)


def test_large_values_lose_no_digits() -> None:
    parts = [arms.of_values(1e9 + VALUES[start : start + 10]) for start in range(0, 1000, 10)]
    total = parts[0]
    for part in parts[1:]:
        total += part
    assert total.variance == pytest.approx(VALUES.var(ddof=1), rel=1e-6)


def test_an_arm_can_be_kept_as_json() -> None:
    arm = arms.of_counts(np.int64(3), np.float64(10))
    assert Arm(**json.loads(json.dumps(dataclasses.asdict(arm)))) == arm


def test_joint_statistics_are_those_of_the_columns() -> None:
    x, y = VALUES, np.sqrt(VALUES) + np.arange(1000)
    whole = joint.of_columns(x, y)
    parts = joint.of_columns(x[:7], y[:7]) + joint.of_columns(x[7:], y[7:])
    sums = joint.of_sums(1000, [x.sum(), y.sum()], [[x @ x, x @ y], [x @ y, y @ y]])
    last = joint.cumulative(x, y)
    for found in (parts, sums):
        assert found.n == whole.n
        np.testing.assert_allclose(found.means, whole.means, rtol=1e-12)
        np.testing.assert_allclose(found.products, whole.products, rtol=1e-9)
    np.testing.assert_allclose(last.products[-1], whole.products, rtol=1e-9)
    np.testing.assert_allclose(whole.products / 999, np.cov(x, y), rtol=1e-12)
    assert whole.combined([1, -2]).variance == pytest.approx((x - 2 * y).var(ddof=1))
    assert whole.combined([1, -2]).mean == pytest.approx((x - 2 * y).mean())


def test_a_ratio_has_the_variance_of_the_delta_method() -> None:
    chance = np.random.default_rng(2)
    views = chance.poisson(5, size=(2000, 400)) + 1
    clicks = chance.binomial(views, 0.2)
    found = [joint.ratio(joint.of_columns(*each)) for each in zip(clicks, views, strict=True)]
    assert found[0].mean == pytest.approx(clicks[0].sum() / views[0].sum())
    errors = np.array([arm.variance / arm.n for arm in found])
    assert errors.mean() == pytest.approx(np.var([arm.mean for arm in found]), rel=0.08)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: arms.of_values([1.0, float("nan")]), "1 of 2 values are NaN or infinite"),
        (lambda: arms.of_values(["much"]), "must be numbers"),
        (lambda: arms.of_counts(5, 4), "more successes than units"),
        (lambda: arms.of_counts(-1, 4), "must be 0 or more, not -1"),
        (lambda: arms.of_counts(1, float("inf")), "units is inf"),
        (lambda: arms.of_sums(10, 100, 5), "too small for its sum"),
        (lambda: arms.of_sums(0, 1, 1), "too small for its sum"),
        (lambda: joint.of_columns([1, 2], [1]), "differ in length"),
        (lambda: joint.ratio(joint.of_columns([1, 2], [0, 0])), "below a ratio is not above 0"),
        (lambda: joint.ratio(joint.of_columns([], [])), "below a ratio is not above 0"),
    ],
)
def test_what_is_no_arm_is_refused(make: object, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        make()  # type: ignore[operator]
    assert caught.value.fix
