"""`taxiway monitor`: a model without provenance, a store that is away, wrong settings, piped output."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from rich.console import Console

from components.contract.errors import ServiceError, UserError
from components.inference import table
from components.monitoring.passes.compute import Computed
from taxiway.lineage.monitoring import windows
from taxiway.lineage.store import LineageStore
from taxiway.monitoring.monitor import Monitor, Passed
from taxiway.monitoring.printing import Teller
from taxiway.monitoring.settings import Settings, load
from tests.components.monitoring.passes.watched import HOUR, START, recorded, spread
from tests.object_store import ObjectStore


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TAXIWAY_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def taxiway(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "taxiway", "monitor", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.slow
def test_a_model_without_provenance_is_counted_told_and_set_up(home: Path, tmp_path: Path) -> None:
    table.append(str(home / "monitoring/taxi"), recorded(spread(START, 50)))
    settings = tmp_path / "monitor.yaml"
    written = taxiway("init", "taxi", "-o", str(settings))
    assert written.returncode == 0, written.stderr
    assert "miles" in settings.read_text() and load(settings).watched.window
    again = taxiway("init", "taxi", "-o", str(settings))
    assert again.returncode == 2 and "exists" in again.stderr
    done = taxiway("taxi", "--window", "1h", "--check")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert "2026-01-05 00:00:00Z  1h  50 rows" in lines
    told = [line for line in lines if "is not compared with its training data" in line]
    assert len(told) == 1 and "taxi" in told[0]
    report = tmp_path / "report.html"
    assert taxiway("report", "taxi", "-o", str(report)).returncode == 0
    assert report.read_text().startswith("<!")


def test_a_monitor_that_runs_on_ends_by_ctrl_c(home: Path) -> None:
    table.append(str(home / "monitoring/taxi"), recorded(spread(START, 50)))
    command = [sys.executable, "-m", "taxiway", "monitor", "taxi", "--window", "366d", "--every", "1h"]
    monitor = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONUNBUFFERED": "1"})
    assert monitor.stdout
    assert monitor.stdout.readline()
    monitor.send_signal(signal.SIGINT)
    assert monitor.wait(30) == 0
    monitor.stdout.close()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("windw: 1h", "window"),
        ("window: 1 hour", "such as 1h"),
        ("level: 5", "share"),
        ("floors: {shft: 1}", "shift"),
        ("mute: [{colum: a}]", "column"),
        ("mute: [{column: a, until: soon}]", "time"),
        ("- a", "map"),
        ("alerts: {webhoks: []}", "webhooks"),
        ("privacy: {colums: {}}", "columns"),
    ],
)
def test_mistakes_in_the_settings_are_told_with_what_is_right(tmp_path: Path, text: str, told: str) -> None:
    file = tmp_path / "monitor.yaml"
    file.write_text(text)
    with pytest.raises(UserError) as raised:
        load(file)
    assert told in str(raised.value) and raised.value.fix


def test_a_store_that_is_away_is_told_once_and_loses_nothing(home: Path, tmp_path: Path) -> None:
    tables, start = tmp_path / "tables", datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - 4 * HOUR
    table.append(str(tables / "taxi"), recorded(spread(start, 20)))
    console = Console(record=True, width=300)
    teller, monitor, stopped = Teller(console), Monitor("taxi", str(tables), Settings(), None), threading.Event()
    failures = 0
    log = tables / "taxi/inference/_delta_log/00000000000000000000.json"
    content = log.read_bytes()

    def passed(each: Passed | ServiceError) -> None:
        nonlocal failures
        teller.passed(each)
        if isinstance(each, ServiceError):
            failures += 1
            if failures == 3:
                log.write_bytes(content)
                table.append(str(tables / "taxi"), recorded(spread(start + HOUR, 30)))
        elif failures:
            stopped.set()
        else:
            log.write_text("not there")

    monitor.every(timedelta(milliseconds=10), teller.window, passed, stopped)
    text = console.export_text()
    assert text.count("cannot be read or written") == 1 and text.count("the monitor goes on") == 1
    rows = monitor.store.read("windows", [("rows", ">", 0)])["rows"].to_pylist()
    assert sorted(rows) == [20, 30]


def test_an_object_store_that_is_away_for_hours_is_waited_for_and_each_row_counts_once(
    home: Path, object_store: ObjectStore
) -> None:
    import boto3

    boto3.resource("s3").create_bucket(Bucket="watch")
    root, start = "s3://watch/taxi", datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - 5 * HOUR
    table.append(root, recorded([*spread(start, 20), *spread(start + HOUR, 25)]))
    console = Console(record=True, width=300)
    teller, monitor, stopped = Teller(console), Monitor("taxi", "s3://watch", Settings(), None), threading.Event()
    passes: list[Passed | ServiceError] = []

    def told(computed: Computed) -> None:
        teller.window(computed)
        if not passes:
            object_store.stop()

    def passed(each: Passed | ServiceError) -> None:
        teller.passed(each)
        passes.append(each)
        if len(passes) == 2:
            # A server keeps its rows while the store is away.
            object_store.start()
            table.append(root, recorded([*spread(start + 2 * HOUR, 30), *spread(start + 3 * HOUR, 35)]))
        if len(passes) == 3:
            stopped.set()

    monitor.every(timedelta(milliseconds=10), told, passed, stopped)
    assert [isinstance(each, ServiceError) for each in passes] == [True, True, False]
    text = console.export_text()
    assert text.count("Connection refused") == 1 and text.count("the monitor goes on") == 1
    found = {row["window_start"]: row["rows"] for row in monitor.store.read("windows", [("rows", ">", 0)]).to_pylist()}
    assert found == {start + number * HOUR: rows for number, rows in enumerate((20, 25, 30, 35))}
    where = [("column", "=", ""), ("rows", ">", 0)]
    assert sorted(monitor.store.read("profile", where)["requests"].to_pylist()) == [20, 25, 30, 35]


def seen(**changed: object) -> windows.Seen:
    facts = {
        "model": "taxi",
        "start": START,
        "end": START + HOUR,
        "rows": 10,
        "signals": 1,
        "tables": "/tables/taxi",
        "table_version": 3,
        "alarms": [{"event": "opened", "alarm": "0123456789ab", "sentence": "miles moved"}],
        "settings": {},
    }
    return windows.Seen(**{**facts, **changed})  # type: ignore[arg-type]


def test_a_window_leads_to_model_and_data_and_the_same_content_is_one_run(tmp_path: Path) -> None:
    store, now = LineageStore.open(str(tmp_path / "lineage.db")), datetime.now(UTC)
    version = windows.Watched(1, "/served/taxi/1", "sha256:" + "a" * 64, "/data", "sha256:" + "b" * 64)
    windows.record(store, seen(), [version], now)
    windows.record(store, seen(table_version=9), [version], now)
    assert len(store.runs()) == 1
    windows.record(store, seen(rows=11, alarms=[]), [version], now)
    assert len(store.runs()) == 2
    [found] = windows.of_alarm(store, "0123456789ab")
    assert found.metadata["rows"] == 10
