"""What alarms say, in the units of the column."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from components.monitoring.alarms.alarm import Key
from components.monitoring.alarms.schema_changes import schema_changes
from components.monitoring.alarms.wording import words
from components.monitoring.alarms.wording.sentences import sentence, what_moved
from components.monitoring.summaries import Bins, Summary
from tests.components.monitoring.alarms.windows import START, TRAINING, Decided, categories, numbers

MILES = TRAINING["trip_miles"]
PAYMENT = TRAINING["payment_type"]


def test_the_mean_of_a_number_moves() -> None:
    window = replace(MILES, mean=5.1)
    assert what_moved(Decided("trip_miles", 0), window, replace(MILES, mean=2.9, variance=4.84)) == (
        "trip_miles: mean 2.9 -> 5.1 (+0.42 standard deviations by rank)"
    )


def test_means_that_round_to_the_same_get_more_digits() -> None:
    window = replace(MILES, mean=29.04)
    assert "mean 29.01 -> 29.04" in what_moved(Decided("x", 0), window, replace(MILES, mean=29.01, variance=0.01))


def test_a_constant_that_moves() -> None:
    found = what_moved(Decided("x", 0), numbers("x", [2.0] * 9), numbers("x", [1.0] * 9))
    assert found == "x: median 1 -> 2 (it was always the same)"


def test_the_centre_that_moves_as_the_effect_says_is_told_with_that_effect_alone() -> None:
    """One value far out pulls the mean the other way, and by more deviations than the values moved."""
    before = numbers("x", [*[2.0, 4.0, 6.0] * 30, 19.5])
    now = numbers("x", [*[4.0, 6.0, 8.0] * 30])
    now = replace(now, mean=before.mean - 1)
    found = what_moved(Decided("x", 0, effect=0.27), now, before)
    assert found == "x: median 4 -> 6 (+0.27 standard deviations by rank)"
    assert "median 6 -> 4 (-0.27 " in what_moved(Decided("x", 0, effect=-0.27), before, now)
    # The median stands still, as that of a flag does.
    flags = [numbers("x", [0.0] * zeros + [1.0] * (10 - zeros)) for zeros in (8, 6)]
    assert what_moved(Decided("x", 0, effect=0.5), flags[1], flags[0]).startswith("x: mean 0.2 -> 0.4 (+0.50 ")


def test_the_effect_of_a_changed_shape_is_the_difference_of_the_shares_in_the_sentence() -> None:
    before, now = numbers("x", [9.0, 11.0] * 50), numbers("x", [9.0, 11.0] * 35 + [15.0] * 30)
    shape = Decided("x", 0, effect=0.3, effect_unit="share of rows")
    assert what_moved(shape, now, before) == "x: 30.0 % of values are above 11, was 0 %"


def test_the_shape_of_a_number_changes_at_the_same_mean() -> None:
    before = numbers("x", [9.0, 11.0] * 50)
    now = numbers("x", [5.0, 15.0] * 50)
    found = what_moved(Decided("x", 0, effect=0.06), replace(now, mean=10.0), before)
    assert found == "x: 50.0 % of values are above 11, was 0 % (+0.06 standard deviations by rank)"


def test_the_share_of_a_category_moves() -> None:
    now = categories("payment_type", {"Cash": 610, "Credit Card": 390}, PAYMENT.bins.values)
    assert what_moved(Decided("payment_type", 0), now, PAYMENT) == (
        "payment_type: `Cash` is 61.0 % of values, was 48.0 %"
    )


def test_missing_values() -> None:
    now = replace(TRAINING["tips"], rows=1000, missing=60)
    assert what_moved(Decided("tips", 0, "missing"), now, TRAINING["tips"]) == (
        "tips is missing in 6.0 % of rows, was 0.1 %"
    )


@pytest.mark.parametrize(
    ("new", "told"),
    [
        ({"Prcard": 41}, "`Prcard` is 4.1 % of rows, never seen in training"),
        (
            {"Prcard": 31, "Mobile": 10},
            "`Prcard` is 3.1 % of rows, never seen in training (with 1 other new value: 4.1 %)",
        ),
        ({"a\n" * 40: 41}, f"`{'a ' * 19}a…` is 4.1 % of rows, never seen in training"),
    ],
)
def test_values_never_seen(new: dict[str, int], told: str) -> None:
    now = categories("payment_type", {"Cash": 959, **new}, PAYMENT.bins.values)
    assert what_moved(Decided("payment_type", 0, "unseen"), now, PAYMENT) == f"payment_type: {told}"


def test_types_and_shapes() -> None:
    now = replace(MILES, rows=1000, type_errors=30)
    assert what_moved(Decided("trip_miles", 0, "types"), now, MILES) == (
        "trip_miles has another type than in training in 3.0 % of rows, was 0 %"
    )
    now = replace(MILES, rows=1000, shape_errors=30)
    assert "another number of values than in training" in what_moved(Decided("trip_miles", 0, "types"), now, MILES)


def test_answers_and_all_columns_together() -> None:
    now = replace(MILES, mean=5.1)
    found = what_moved(Decided("output_scores", 0), now, replace(MILES, mean=2.9, variance=4.84))
    assert found == "the model's answers (scores): mean 2.9 -> 5.1 (+0.42 standard deviations by rank)"
    together = Decided("*", 0, "all columns together", effect=0.12, effect_unit="AUC above 0.5")
    assert what_moved(together, None, None) == (
        "the columns together differ from the training data: "
        "a classifier tells the rows apart with AUC 0.62 (0.5 is chance)"
    )


def test_a_column_without_any_value() -> None:
    empty = Summary("x", Bins("category"), rows=10, missing=10, counts=np.zeros(0, np.int64))
    assert "differ" in what_moved(Decided("x", 0), empty, empty)
    nothing = replace(MILES, counts=np.zeros_like(MILES.counts), mean=0.0)
    assert what_moved(Decided("trip_miles", 0), nothing, MILES) == "trip_miles: no row has a value"


def test_the_whole_sentence() -> None:
    key = Key(3, "trip_start_hour:3", "drift", "trip_miles", "1h")
    assert sentence("taxi", key, "trip_miles: mean 2.9 -> 5.1", START, 0.312) == (
        "taxi version 3: trip_miles: mean 2.9 -> 5.1, since 2026-01-05 00:00 UTC, where trip_start_hour:3; "
        "the model's answers move by 0.312 standard deviations with it"
    )
    key = Key(None, "", "silence", "requests", "1h")
    assert sentence("taxi", key, "there is no request", START, None) == (
        "taxi: there is no request, since 2026-01-05 00:00 UTC"
    )
    key = Key(3, "", "drift", "trip_miles", "1h")
    assert sentence("taxi", key, "x", START, 0.001).endswith("; the model's answers hardly move with it")


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (5.1, "5.1"),
        (1234.5, "1,230"),
        (0.00042, "0.00042"),
        (3e-7, "3.00e-07"),
        (-0.5, "-0.5"),
        (0, "0"),
        (2e12, "2.00e+12"),
    ],
)
def test_numbers(value: float, written: str) -> None:
    assert words.number(value) == written


@pytest.mark.parametrize(
    ("value", "written"),
    [(0.06, "6.0 %"), (0.001, "0.1 %"), (0.00004, "0.004 %"), (0, "0 %"), (1, "100 %"), (0.5, "50.0 %")],
)
def test_shares(value: float, written: str) -> None:
    assert words.share(value) == written


def test_schema_changes_between_versions() -> None:
    after = {"trip_miles": categories("trip_miles", {"1": 5}, ["1"]), "tips": TRAINING["tips"], "new": MILES}
    assert schema_changes(TRAINING, after) == {
        "new": "the version before had no such column",
        "payment_type": "only the version before had this column",
        "trip_miles": "it is a category, and was a number in the version before",
    }
