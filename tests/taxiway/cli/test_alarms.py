"""`taxiway alarms` on a model's real tables."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from typer.testing import CliRunner

from components.contract.errors import UserError
from components.monitoring.tables import WINDOWS
from taxiway import cli
from tests.components.monitoring.alarms.windows import Watch
from tests.components.monitoring.passes.watched import HOUR, START
from tests.taxiway.alerts.receivers import two_alarms


@pytest.fixture
def watch(tmp_path: Path) -> Watch:
    return two_alarms(tmp_path)


def alarms(watch: Watch, *arguments: str) -> Any:
    return CliRunner().invoke(cli.app, ["alarms", *arguments, "--tables", str(watch.folder)])


def test_the_open_alarms_are_listed_by_importance(watch: Watch) -> None:
    found = alarms(watch, "list", "taxi")
    assert found.exit_code == 0
    assert [line.split()[1] for line in found.stdout.splitlines()] == ["open"] * 3
    assert "payment_type: `Prcard` is 4.6 % of rows, never seen in training" in found.stdout.splitlines()[0]
    rows = json.loads(alarms(watch, "list", "taxi", "--json").stdout)
    assert [row["column"] for row in rows] == ["payment_type", "trip_miles", "gone"]
    assert rows[0]["picture"]["kind"] == "values"


def test_check_ends_with_three_while_an_alarm_is_open(watch: Watch) -> None:
    assert alarms(watch, "list", "taxi", "--check").exit_code == 3
    for alarm in watch.alarms:
        assert alarms(watch, "ack", "taxi", alarm.alarm, "--by", "ann").exit_code == 0
    assert alarms(watch, "list", "taxi", "--check").exit_code == 0
    assert "acknowledged by ann" in alarms(watch, "list", "taxi").stdout


def test_no_alarm_says_what_was_looked_at_and_what_to_do(watch: Watch) -> None:
    rows = [
        {
            "window_start": START + n * HOUR,
            "window_end": START + (n + 1) * HOUR,
            "window": "1h",
            "model": "taxi",
            "rows": 20,
        }
        for n in range(3)
    ]
    none = dict.fromkeys(WINDOWS.names)
    watch.store.append("windows", pa.Table.from_pylist([{**none, **row} for row in rows], WINDOWS))
    assert alarms(watch, "mute", "taxi", "--column", "*").exit_code == 0
    found = alarms(watch, "list", "taxi", "--check")
    assert found.exit_code == 0
    first, hidden, fix = found.stdout.splitlines()
    assert first == f"no alarm of taxi is open: 3 windows with 60 rows, {START:%Y-%m-%d %H:%M} to 2026-01-05 03:00 UTC"
    assert (
        hidden.startswith("  not shown: 3 muted; see `")
        and f"alarms list taxi --all --tables {watch.folder}`" in hidden
    )
    assert f"monitor taxi --tables {watch.folder}`" in fix
    assert json.loads(alarms(watch, "list", "taxi", "--json").stdout) == []


def test_columns_are_muted_for_a_time(watch: Watch) -> None:
    found = alarms(watch, "mute", "taxi", "--column", "trip_*", "--for", "3d", "--reason", "a new meter")
    assert found.stdout.startswith("trip_* is muted until ")
    [row] = watch.store.read("mutes").to_pylist()
    assert row["reason"] == "a new meter"
    assert row["until"] - row["since"] == timedelta(days=3)
    assert "trip_miles" not in alarms(watch, "list", "taxi").stdout
    assert "muted" in alarms(watch, "list", "taxi", "--all").stdout
    assert alarms(watch, "unmute", "taxi", "--column", "trip_*").exit_code == 0
    assert "trip_miles" in alarms(watch, "list", "taxi").stdout


def test_mutes_until_a_time_by_slice_and_kind_and_for_good(watch: Watch) -> None:
    day = (datetime.now(UTC) + timedelta(days=1)).strftime("%Y-%m-%dT%H:%M")
    options = ["--slice", "hour:3", "--kind", "drift"]
    assert alarms(watch, "mute", "taxi", "--column", "tips", "--until", day, *options).exit_code == 0
    assert alarms(watch, "mute", "taxi", "--column", "tips").stdout == "tips is muted for good\n"
    assert [(row["slice"], row["kind"]) for row in watch.store.read("mutes").to_pylist()] in (
        [("hour:3", "drift"), (None, None)],
        [(None, None), ("hour:3", "drift")],
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["list", "other"], "the monitor has not watched 'other'"),
        (["ack", "taxi", "x"], "there is no alarm 'x'"),
        (["mute", "taxi", "--column", "a", "--for", "long"], "--for is 'long'"),
        (["mute", "taxi", "--column", "a", "--until", "soon"], "--until is 'soon'"),
        (["mute", "taxi", "--column", "a", "--until", "2020-01-01"], "which is over"),
        (["mute", "taxi", "--column", "a", "--until", "2030-01-01", "--for", "1d"], "both --until and --for"),
        (["unmute", "taxi", "--column", "a"], "no column 'a' of taxi is muted by command"),
    ],
)
def test_what_is_refused(watch: Watch, arguments: list[str], said: str) -> None:
    found = alarms(watch, *arguments)
    assert isinstance(found.exception, UserError)
    assert said in str(found.exception)
