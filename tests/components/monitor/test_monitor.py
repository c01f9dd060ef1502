"""The stage `monitor` on real trips: clean and broken windows, what it writes, and what it refuses."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.contract.artifacts import Examples, Model, ModelMonitoring
from components.contract.errors import DataError, UserError
from components.data.examples import PARQUET, SplitWriter, describe
from components.monitor import report, watching
from components.monitoring.store import Store
from components.reports.page import render
from components.reports.ran import Ran
from tests.components.monitor.served import HOUR, ROWS, Served, read_trips

START = datetime(2026, 3, 2, 8, tzinfo=UTC)

Stage = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def trips(taxi_csv: Path) -> pa.Table:
    """Real trips in random order."""
    return read_trips(taxi_csv)


@pytest.fixture(scope="module")
def examples(trips: pa.Table, tmp_path_factory: pytest.TempPathFactory) -> Examples:
    """The first trips as training data."""
    return written(Examples(tmp_path_factory.mktemp("examples") / "examples"), trips[:10_000])


def written(artifact: Examples, trips: pa.Table) -> Examples:
    with SplitWriter(artifact, "train") as writer:
        for batch in trips.to_batches():
            lists = [each.cast(pa.large_binary()) if each.type == pa.string() else each for each in batch.columns]
            columns = [pa.array([[v] if v is not None else None for v in each.to_pylist()]) for each in lists]
            writer.write(pa.RecordBatch.from_arrays(columns, batch.schema.names))
    describe(artifact, ["train"], PARQUET)
    return artifact


@pytest.fixture
def served(tmp_path: Path, trips: pa.Table, monkeypatch: pytest.MonkeyPatch) -> Served:
    found = Served(tmp_path / "tables", trips, START)
    monkeypatch.setattr(watching, "_now", lambda: found.now)
    return found


@pytest.fixture
def monitor(run_stage: Stage, tmp_path: Path, served: Served, examples: Examples) -> Stage:
    """`monitor(...)`: the stage's outputs; each call has its own folder."""
    count = iter(range(100))

    def run(inputs: Any = {}, **parameters: Any) -> dict[str, Any]:
        given = {"tables": str(served.tables), "model_name": "taxi", **parameters}
        folder = tmp_path / "monitor" / str(next(count))
        return run_stage("monitor", {"examples": examples, **inputs}, given, folder=folder)

    return run


def read(monitoring: ModelMonitoring, name: str) -> Any:
    return json.loads((monitoring.path / name).read_text())


def test_clean_windows_raise_no_alarm(served: Served, monitor: Stage) -> None:
    served.hours(3)
    found = monitor()
    assert found["alarms"] == 0
    assert [each["rows"] for each in read(found["monitoring"], "windows.json")] == [ROWS] * 3
    assert read(found["monitoring"], "alarms.json") == []
    assert found["monitoring"].metadata["windows"] == 3
    assert found["monitoring"].summary == [("alarms", "none open (3 windows computed)")]


def test_a_changed_unit_is_an_open_alarm_with_its_sentence_and_picture(served: Served, monitor: Stage) -> None:
    served.hours(2)
    served.hours(1, miles=1.609344)
    found = monitor()
    alarms = read(found["monitoring"], "alarms.json")
    assert [each["column"] for each in alarms] == ["trip_miles", "*"]
    assert found["alarms"] == found["monitoring"].metadata["alarms"] == 2
    alarm = alarms[0]
    assert (alarm["column"], alarm["state"], alarm["version"]) == ("trip_miles", "open", 7)
    assert "trip_miles" in alarm["sentence"] and alarm["picture"]
    assert alarm["sentence"] in found["monitoring"].summary[0][1]


def test_a_pass_without_new_requests_computes_nothing_and_the_alarm_is_still_open(
    served: Served, monitor: Stage
) -> None:
    served.hours(1, miles=1.609344)
    first, again = monitor(), monitor()
    assert (first["alarms"], again["alarms"]) == (2, 2)
    assert again["monitoring"].metadata["windows"] == 0
    assert read(again["monitoring"], "windows.json") == []
    assert Store(served.store.root).read("windows").num_rows == 1


def test_the_next_pass_goes_on_where_the_last_one_ended(served: Served, monitor: Stage) -> None:
    served.hours(2)
    monitor()
    served.hours(1)
    assert [each["start"] for each in read(monitor()["monitoring"], "windows.json")] == [(START + 2 * HOUR).isoformat()]


def test_an_open_alarm_fails_the_stage_where_that_is_asked_for(served: Served, monitor: Stage, tmp_path: Path) -> None:
    served.hours(1)
    assert monitor(on_alarm="fail")["alarms"] == 0
    served.hours(1, miles=1.609344)
    with pytest.raises(DataError, match=r"2 alarms are open for taxi:\n.*trip_miles") as error:
        monitor(on_alarm="fail")
    assert f"taxiway monitor report taxi --tables {served.tables}" in error.value.fix
    assert served.store.read("alarms", [("state", "=", "open")]).num_rows == 2
    assert not (tmp_path / "monitor/1/monitoring").exists()
    # It has not been looked at: the next pass fails as well.
    with pytest.raises(DataError, match="trip_miles"):
        monitor(on_alarm="fail")


def test_other_versions_are_not_compared_if_one_is_named(served: Served, monitor: Stage) -> None:
    served.hours(1, miles=1.609344, version=6)
    found = monitor(version=7)
    assert found["alarms"] == 0
    assert found["monitoring"].notes == ["version 6 was not compared: this pass compares version 7 only"]
    [window] = read(found["monitoring"], "windows.json")
    assert (window["rows"], window["versions"]) == (ROWS, [6])


def test_settings_are_those_of_the_file_and_numbers_may_be_doubles(served: Served, monitor: Stage) -> None:
    served.hours(2, miles=1.609344)
    ignoring = {"window": "2h", "close_after": 3.0, "ignore": ["trip_miles"], "privacy": {"columns": {"fare": "drop"}}}
    found = monitor(settings=ignoring)
    assert found["alarms"] == 0
    assert [each["rows"] for each in read(found["monitoring"], "windows.json")] == [2 * ROWS]
    drift = pq.read_table(found["monitoring"].path / "tables/drift.parquet")
    assert {"trip_seconds", "payment_type"} <= set(drift["column"].to_pylist())
    assert not {"trip_miles", "fare"} & set(drift["column"].to_pylist())


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"windows": "1h"}, "settings has no setting 'windows'\n  fix: did you mean 'window'"),
        ({"window": "1 hour"}, "settings.window is '1 hour'"),
        ({"alerts": {}}, "settings has alerts, which the stage does not send"),
        ({"privacy": {"column": {}}}, "settings.privacy has no setting 'column'"),
    ],
)
def test_wrong_settings_are_refused(settings: dict[str, Any], words: str, monitor: Stage) -> None:
    with pytest.raises(UserError, match=words.replace("'", ".")):
        monitor(settings=settings)


def test_a_table_that_does_not_exist_is_an_error_and_nothing_is_written(served: Served, monitor: Stage) -> None:
    with pytest.raises(UserError, match=r"there is no inference table in .*/tables/taxi/inference") as error:
        monitor()
    assert f"--inference-tables {served.tables} --model-name taxi" in error.value.fix
    assert not served.tables.exists()


def test_other_wrong_inputs_are_refused(served: Served, monitor: Stage, tmp_path: Path) -> None:
    served.hours(1)
    with pytest.raises(UserError, match="on_alarm is 'stop'\n  fix: use continue or fail"):
        monitor(on_alarm="stop")
    with pytest.raises(UserError, match="training"):
        monitor(train_split="training")
    (tmp_path / "model").mkdir()
    with pytest.raises(DataError, match=r"model has no saved_model\.pb"):
        monitor(inputs={"model": Model(tmp_path / "model")})


def test_the_report_shows_the_monitoring_without_the_tables(served: Served, monitor: Stage) -> None:
    served.hours(2)
    served.hours(1, miles=1.609344)
    monitoring = monitor()["monitoring"]
    served.tables.rename(served.tables.with_name("away"))
    page = render("Monitor", list(sections(monitoring)))
    for words in ("Windows computed", "At a glance", "trip_miles", "Over time", "of 1 h"):
        assert words in page


def sections(monitoring: ModelMonitoring) -> Iterator[Any]:
    for kind, renderer in report.SECTIONS:
        assert isinstance(monitoring, kind)
        yield renderer(monitoring, Ran([monitoring]))


def test_a_report_of_a_pass_before_the_first_window_says_so(served: Served, monitor: Stage) -> None:
    served.hours(1)
    served._hours = 0
    monitoring = monitor()["monitoring"]
    assert monitoring.metadata["windows"] == 0
    assert "The monitor has computed no window" in render("Monitor", list(sections(monitoring)))
