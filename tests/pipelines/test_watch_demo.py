"""The trips that the demo of monitoring replays."""

import csv
from pathlib import Path

import pytest

from pipelines.chicago_taxi import watch_demo
from pipelines.chicago_taxi.watch_demo import COLUMN


def test_each_trip_is_replayed_once_and_every_part_has_every_month(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch_demo, "DATA", Path(__file__).parents[2] / watch_demo.DATA)
    trips = watch_demo._trips()
    assert len({id(each) for each in trips}) == len(trips) == 15_002
    assert {each["trip_start_month"] for each in trips[:1000]} == {str(month) for month in range(1, 13)}


def test_miles_become_kilometres_and_missing_ones_stay_missing(tmp_path: Path) -> None:
    trips = [{COLUMN: "2.0", "fare": "5"}, {COLUMN: "", "fare": "6"}]
    with watch_demo._written(tmp_path / "trips.csv", trips, 1.609344).open(newline="") as file:
        assert list(csv.DictReader(file)) == [{COLUMN: "3.218688", "fare": "5"}, {COLUMN: "", "fare": "6"}]
