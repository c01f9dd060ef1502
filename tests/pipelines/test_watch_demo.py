"""`make watch-demo`."""

import csv
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from components.monitoring.store import Store
from taxiway.monitoring import demo
from taxiway.monitoring.demo import COLUMN, MODEL, Watching
from tests.pipelines.conftest import Taxi


def test_each_trip_is_replayed_once_and_every_part_has_every_month(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "DATA", Path(__file__).parents[2] / demo.DATA)
    trips = demo.trips()
    assert len({id(each) for each in trips}) == len(trips) == 15_002
    assert {each["trip_start_month"] for each in trips[:1000]} == {str(month) for month in range(1, 13)}


def test_miles_become_kilometres_and_missing_ones_stay_missing(tmp_path: Path) -> None:
    trips = [{COLUMN: "2.0", "fare": "5"}, {COLUMN: "", "fare": "6"}]
    with demo.written(tmp_path / "trips.csv", trips, 1.609344).open(newline="") as file:
        assert list(csv.DictReader(file)) == [{COLUMN: "3.218688", "fare": "5"}, {COLUMN: "", "fare": "6"}]


def test_a_monitor_that_ends_is_told_with_its_last_words(tmp_path: Path) -> None:
    ended: Any = SimpleNamespace(poll=lambda: 1)
    replay: Any = SimpleNamespace(error="")
    (tmp_path / "log").write_text("first\ndisk full\n")
    with pytest.raises(demo.ServiceError, match="the monitor has ended: disk full"):
        Watching(tmp_path, replay, ended, tmp_path / "log").check()


@pytest.mark.slow
def test_the_demo_ends_with_the_alarm_its_picture_and_the_training_data(taxi: Taxi) -> None:
    folder = taxi.project.folder
    began = time.monotonic()
    ended = subprocess.run(
        [sys.executable, "-m", "taxiway.monitoring.demo"],
        cwd=folder,
        env=taxi.project.variables(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert time.monotonic() - began < 240
    assert ended.stderr == ""
    [tables] = Path(taxi.project.home).rglob("watch-demo")
    found = Store(f"{tables}/{MODEL}").read("alarms", [("column", "=", COLUMN), ("slice", "=", "")])
    [alarm] = [row for row in found.to_pylist() if row["state"] == "open"]
    assert alarm["sentence"] in ended.stdout
    assert f"{COLUMN}: median" in alarm["sentence"]
    lineage = f"taxiway lineage {alarm['alarm']}"
    # Preprocessing computes the label, and no label has come.
    quality = "auc is probably 0.9"
    for words in ("training  ", "now       ", "data     data/chicago_taxi", lineage, quality, "without any label"):
        assert words in ended.stdout
    assert max(map(len, ended.stdout.replace(alarm["sentence"], "").splitlines())) < 120
