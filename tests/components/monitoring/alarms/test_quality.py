"""Metrics that are worse than in the version's evaluation."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from components.monitoring.tables import QUALITY
from tests.components.monitoring.alarms.windows import HOUR, Watch


@pytest.fixture
def watch(tmp_path: Path) -> Watch:
    return Watch(tmp_path)


def rows(watch: Watch, number: int, **given: Any) -> pa.Table:
    window = watch.window(number)
    row = {
        "window_start": window.start,
        "window_end": window.end,
        "window": "1h",
        "model": "taxi",
        "version": 1,
        "slice": "",
        "metric": "auc",
        "basis": "labels",
        "value": 0.71,
        "low": 0.69,
        "high": 0.73,
        "rows": 1000,
        "labelled": 900,
        "expected": 0.8,
        **given,
    }
    return pa.Table.from_pylist([row], schema=QUALITY)


def test_a_metric_that_got_worse(watch: Watch) -> None:
    [found] = watch.see(0, quality=rows(watch, 0))
    assert (found.event, found.alarm.kind, found.alarm.column, found.alarm.rows) == ("opened", "quality", "auc", 900)
    assert found.alarm.sentence == (
        "taxi version 1: auc is 0.71 (0.69 to 0.73), was 0.8 in the evaluation, since 2026-01-05 00:00 UTC"
    )


@pytest.mark.parametrize(
    "given",
    [
        {"expected": None},
        {"expected": 0.6},  # better
        {"expected": 0.715},  # inside the interval
        {"metric": "binary_crossentropy", "expected": 0.8},  # less is better
        {"metric": "example_count", "expected": 5.0},
        {"value": 0.800001, "low": 0.8, "high": 0.800002, "expected": 0.80001},  # too little to matter
        {"compared_with": "version 2"},
        {"value": None},
        {"low": None, "high": None},
    ],
)
def test_what_is_no_news(watch: Watch, given: dict[str, Any]) -> None:
    assert watch.see(0, quality=rows(watch, 0, **given)) == []


def test_a_loss_that_rises_and_a_metric_of_unknown_direction(watch: Watch) -> None:
    assert watch.see(0, quality=rows(watch, 0, metric="binary_crossentropy", expected=0.6))
    assert watch.see(0, quality=rows(watch, 0, metric="calibration", expected=0.6))


def test_an_estimate_is_an_alarm_of_its_own(watch: Watch) -> None:
    [found] = watch.see(0, quality=rows(watch, 0, basis="estimate"))
    assert found.alarm.column == "auc (estimate)"
    assert "by an estimate without labels" in found.alarm.sentence


def test_windows_without_labels_yet_do_not_close_it(watch: Watch) -> None:
    watch.see(0, quality=rows(watch, 0))
    for number in range(1, 6):
        watch.see(number)
    assert watch.states == ["open"]
    for number in range(1, 4):
        watch.see(number, later=timedelta(hours=9), quality=rows(watch, number, value=0.8, low=0.78, high=0.82))
    assert watch.states == ["closed"]


def test_the_p_value_of_the_row_counts(watch: Watch) -> None:
    assert watch.see(0, quality=rows(watch, 0, p_value=0.5)) == []
    assert watch.see(1, quality=rows(watch, 1, p_value=0.01), later=HOUR)[0].event == "suspected"
