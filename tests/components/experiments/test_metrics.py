"""Metrics over columns: known values."""

from __future__ import annotations

import numpy as np
import pytest

from components.contract.errors import DataError
from components.experiments import metrics

USERS = ["u", "v", "u", "w"]


def test_online_metrics_are_of_users() -> None:
    clicks = metrics.click_through(USERS, [1, 0, 2, 0], [3, 1, 4, 2])
    assert clicks.n == 3
    assert clicks.means == pytest.approx([1, 10 / 3])
    assert metrics.conversion(USERS, [1, 0, 1, 0]).mean == pytest.approx(1 / 3)
    assert metrics.time_per_user(USERS, [10, 20, 30, 0]).mean == 20
    assert metrics.lift(0.2, 0.25) == pytest.approx(0.25)
    assert np.isnan(metrics.lift(0, 1))


def test_log_loss_of_each_row() -> None:
    found = metrics.log_loss([1, 0, 1], [0.9, 0.9, 0.0])
    assert found == pytest.approx([-np.log(0.9), -np.log(0.1), -np.log(1e-15)])


def test_precision_and_recall() -> None:
    assert metrics.precision_recall([1, 1, 0, 0], [0.9, 0.2, 0.6, 0.1]) == (0.5, 0.5)
    assert np.isnan(metrics.precision_recall([1], [0.1])[0])
    assert np.isnan(metrics.precision_recall([0], [0.9])[1])


def test_ndcg_has_the_known_value() -> None:
    """The example of Wikipedia's page: gains 3, 2, 3, 0, 1, 2 in the order shown, against their best order."""
    gains, scores = [3, 2, 3, 0, 1, 2], [6, 5, 4, 3, 2, 1]
    assert metrics.ndcg(["q"] * 6, gains, scores) == pytest.approx([6.861 / 7.141], abs=1e-4)
    rows = metrics.ndcg(["q"] * 6 + ["r"] * 2 + ["s"], [*gains, 0, 1, 0], [*scores, 2, 1, 9], top=1)
    assert rows == pytest.approx([1.0, 0.0])


def test_reciprocal_ranks() -> None:
    found = metrics.reciprocal_rank(["a", "a", "b", "b", "c"], [0, 1, 1, 0, 0], [2.0, 1.0, 3.0, 1.0, 1.0])
    assert found == pytest.approx([0.5, 1.0, 0.0])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: metrics.click_through(["u"], [1, 2], [1, 2]), "differ in length"),
        (lambda: metrics.conversion(["u"], [-1]), "must be 0 or more"),
        (lambda: metrics.log_loss([2], [0.5]), "labels must be 0 or 1"),
        (lambda: metrics.log_loss([1], [1.5]), "not between 0 and 1"),
        (lambda: metrics.time_per_user(["u"], [float("nan")]), "seconds is|seconds: 1 of 1"),
    ],
)
def test_columns_that_make_no_sense_are_refused(make: object, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        make()  # type: ignore[operator]
    assert caught.value.fix
