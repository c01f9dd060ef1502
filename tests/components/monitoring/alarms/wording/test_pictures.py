"""Pictures are small, and their shares add up to 1."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from components.monitoring.alarms.wording.pictures import bars, picture
from components.monitoring.summaries import Bins, Summary
from tests.components.monitoring.alarms.windows import TRAINING, categories, numbers


def test_numbers_have_at_most_forty_bins() -> None:
    window = numbers("trip_miles", np.random.default_rng(2).gamma(2, 1.45, 500) + 3)
    found = json.loads(picture("values", window, TRAINING["trip_miles"]))
    assert (found["kind"], len(found["bins"])) == ("numbers", 40)
    for name in ("before", "now"):
        assert sum(each[name] for each in found["bins"]) == pytest.approx(1, abs=0.01)
    middles = [(each["low"] + each["high"]) / 2 for each in found["bins"]]
    means = [np.average(middles, weights=[each[name] for each in found["bins"]]) for name in ("before", "now")]
    assert means == pytest.approx([2.9, 5.9], abs=0.25)


def test_a_value_far_out_does_not_flatten_the_picture() -> None:
    window = replace(TRAINING["trip_miles"], high=1e9)
    found = json.loads(picture("values", window, TRAINING["trip_miles"]))
    assert found["bins"][-1]["high"] < 25


def test_a_number_that_is_always_the_same() -> None:
    one = Summary("x", Bins("number", np.array([3.0])), 10, 0, np.array([10, 0]), low=3, high=3, mean=3)
    two = replace(one, counts=np.array([0, 10]), low=4, high=4, mean=4)
    found = json.loads(picture("values", two, one))
    assert [each["before"] for each in found["bins"] if each["before"]] == [1.0]
    assert [each["now"] for each in found["bins"] if each["now"]][-1] > 0
    nothing = replace(one, counts=np.array([0, 0]), low=0, high=0)
    assert json.loads(picture("values", nothing, nothing))["bins"]


def test_categories_have_the_twelve_most_frequent_and_the_rest() -> None:
    names = [f"c{number}" for number in range(30)]
    training = categories("x", dict.fromkeys(names, 100), names)
    window = categories("x", {**dict.fromkeys(names, 10), "new": 700}, names)
    found = json.loads(picture("unseen", window, training))
    assert (found["kind"], len(found["values"])) == ("values", 12)
    assert found["values"][0] == {"value": "new", "before": 0.0, "now": 0.7, "is_new": True}
    assert found["rest"]["before"] == pytest.approx(19 / 30, abs=0.001)


def test_missing_is_one_share() -> None:
    window = replace(TRAINING["tips"], rows=1000, missing=60)
    assert json.loads(picture("missing", window, TRAINING["tips"])) == {
        "kind": "shares",
        "column": "tips",
        "label": "missing",
        "before": 0.000999,
        "now": 0.06,
    }


def test_the_float_next_to_zero_is_zero_in_a_picture() -> None:
    found = json.loads(bars("miles", [math.nextafter(0, -1), 1.0], [1.0], [1.0]))
    assert found["bins"] == [{"low": 0.0, "high": 1.0, "before": 1.0, "now": 1.0}]
