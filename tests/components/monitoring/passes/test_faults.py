"""Monitors that are killed, that run at once, and whose store is away: each row counts once."""

from __future__ import annotations

import multiprocessing
import os
import random
import time
from collections import Counter
from contextlib import nullcontext
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from components.inference import table
from components.monitoring.alarms import update
from components.monitoring.alarms.acknowledge import acknowledge
from components.monitoring.passes import references
from components.monitoring.passes.references import known
from components.monitoring.passes.settings import Settings
from tests.components.monitoring.passes.watched import HOUR, START, Watched, columns, spread

NOW = START + 6 * HOUR
_PROCESSES = multiprocessing.get_context("forkserver")
_PROCESSES.set_forkserver_preload([Watched.__module__])


def passes(environment: dict[str, str], watched: dict[str, Any], now: datetime, started: Any, busy: Any) -> None:
    """Passes until it is killed."""
    os.environ.update(environment)
    monitor = Watched(**watched)
    while True:
        started.set()
        busy.value = 1
        monitor.pass_over(now)
        busy.value = 0


class Monitor:
    """A monitor in a process of its own."""

    def __init__(self, watched: Watched, now: datetime = NOW) -> None:
        self.started, self._busy = _PROCESSES.Event(), _PROCESSES.Value("b", 0)
        made = {"folder": watched.folder, "versions": watched.versions, "root": watched.store.root}
        self.process = _PROCESSES.Process(target=passes, args=(dict(os.environ), made, now, self.started, self._busy))
        self.process.start()

    def kill(self) -> bool:
        """Kills it; returns whether it was in the middle of a pass."""
        assert self.process.exitcode is None
        self.process.kill()
        self.process.join()
        return bool(self._busy.value)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("kills", [3, pytest.param(100, marks=pytest.mark.faults)])
def test_each_row_counts_once_though_the_monitor_is_killed_again_and_again(tmp_path: Path, kills: int) -> None:
    watched, chance, number, amid = Watched(tmp_path), random.Random(0), 0, 0
    for _ in range(kills):
        monitor = Monitor(watched)
        assert monitor.started.wait(60)
        for _ in range(chance.randrange(1, 4)):
            start = START + chance.randrange(4) * HOUR
            watched.add([each.replace(microsecond=number) for each in spread(start, 20)])
            number += 1
        monitor.process.join(chance.uniform(0, 1.0))
        amid += monitor.kill()
    watched.pass_over(NOW)
    assert sum(watched.rows().values()) == number * 20
    assert_once(watched)
    assert_as_if_alone(watched, tmp_path / "alone", NOW)
    assert amid > kills // 4
    print(f"{kills} kills, {amid} in the middle of a pass; {number * 20} rows, each counted once")


def assert_once(watched: Watched) -> None:
    """Every window is in every table as often as if it had been computed once."""
    rows, where = watched.rows(), [("slice", "=", ""), ("column", "=", "miles")]
    counted = {each["window_start"]: each["rows"] for each in watched.store.read("profile", where).to_pylist()}
    assert {start: count for start, count in rows.items() if count} == counted
    for name in ("profile", "drift", "signals"):
        keys = ("window_start", "version", "slice", "column", "kind", "against", "test")
        found = watched.store.read(name)
        there = [key for key in keys if key in found.column_names]
        times = Counter(zip(*(found[key].to_pylist() for key in there), strict=True))
        assert not [key for key, count in times.items() if count > 1], name


def assert_as_if_alone(watched: Watched, folder: Path, now: datetime) -> None:
    """The tables have what one monitor finds that is never killed and comes when all rows are there."""
    alone = Watched(folder, versions=watched.versions)
    table.append(alone.store.root, watched.store.read("inference"))
    alone.pass_over(now)
    for name, left_out in (("profile", ["computed"]), ("drift", ["computed"]), ("signals", []), ("alarms", TIMES)):
        # What is compared with the window before is not computed again when late rows change that one.
        where = [("against", "=", "training")] if name == "drift" else ()
        found, expected = (rows_of(each, name, where, left_out) for each in (watched, alone))
        assert found == expected, name


TIMES = ["alarm", "opened", "changed", "closed", "acknowledged", "acknowledged_by", "state", "picture", "evidence"]


def rows_of(watched: Watched, name: str, where: Any, left_out: list[str]) -> list[str]:
    """The rows of a table as texts, in order; numbers are rounded, because sums depend on the order of rows."""
    rows = watched.store.read(name, where).drop_columns(left_out).to_pylist()
    return sorted(repr({key: rounded(value) for key, value in row.items()}) for row in rows)


def rounded(value: Any) -> Any:
    if isinstance(value, list):
        return [rounded(each) for each in value]
    return float(f"{value:.6g}") if isinstance(value, float) else value


def test_two_monitors_at_once_write_the_same_once(tmp_path: Path) -> None:
    watched = Watched(tmp_path)
    monitors = [Monitor(watched) for _ in range(2)]
    for number in range(10):
        watched.add([each.replace(microsecond=number) for each in spread(START + number % 3 * HOUR, 20)])
    for each in monitors:
        assert each.started.wait(60)
        each.process.join(1.0)
        each.kill()
    watched.pass_over(NOW)
    assert sum(watched.rows().values()) == 200
    assert_once(watched)
    assert_as_if_alone(watched, tmp_path / "alone", NOW)


@pytest.mark.slow
@pytest.mark.usefixtures("object_store")
def test_two_monitors_at_once_on_an_object_store_lose_no_state_of_an_alarm(tmp_path: Path) -> None:
    import boto3

    boto3.resource("s3").create_bucket(Bucket="two-monitors")
    watched, now = Watched(tmp_path, root="s3://two-monitors/m"), START + 3 * HOUR + HOUR / 30
    watched.add(spread(START, 200), columns(200, 1))
    monitors = [Monitor(watched, now) for _ in range(2)]
    for number in range(1, 4):
        shifted = [each.replace(microsecond=number) for each in spread(START + HOUR, 200, 2 * HOUR)]
        watched.add(shifted, columns(200, number, 2.0))
        if number == 2:
            alarm = opened(watched, monitors)
            acknowledge(watched.store, alarm, "ann", now)
    for each in monitors:
        each.process.join(1.0)
        each.kill()
    watched.pass_over(now)
    assert list(watched.rows().values()) == [200, 300, 300]
    assert_once(watched)
    assert_as_if_alone(watched, tmp_path / "alone", now)
    [found] = watched.store.read("alarms", [("alarm", "=", alarm)]).to_pylist()
    assert (found["state"], found["acknowledged_by"]) == ("acknowledged", "ann")


def opened(watched: Watched, monitors: list[Monitor]) -> str:
    """The alarm on the shifted column, once a monitor has raised it."""
    end = time.monotonic() + 60
    while time.monotonic() < end and all(each.process.is_alive() for each in monitors):
        where = [("column", "=", "miles"), ("kind", "=", "drift"), ("state", "=", "open")]
        if found := watched.store.read("alarms", where)["alarm"].to_pylist():
            return str(found[0])
        time.sleep(0.1)
    raise AssertionError("no alarm was raised")


def test_a_slower_monitor_does_not_undo_what_another_has_computed_from_later_rows(tmp_path: Path) -> None:
    watched = Watched(tmp_path)
    watched.add(spread(START, 10, 2 * HOUR))
    slow = watched.watch.pass_over(NOW)
    assert next(slow).rows == 5
    watched.add([START, START + HOUR])
    other = Watched(tmp_path, versions=watched.versions)
    other.pass_over(NOW.replace(second=1))
    assert list(slow) == []
    assert list(watched.rows().values())[:2] == [6, 6]


@pytest.mark.parametrize("killed", [False, True])
def test_a_slower_monitor_cannot_write_over_later_rows_and_computes_what_a_killed_one_began(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, killed: bool
) -> None:
    watched, now = Watched(tmp_path), START + 2 * HOUR + HOUR / 30
    watched.add(spread(START, 10, 2 * HOUR))
    # It has looked before the other wrote.
    monkeypatch.setattr(watched.watch, "_is_behind", lambda *_: False)
    slow = watched.watch.pass_over(now)
    assert next(slow).rows == 5
    watched.add([START, START + HOUR])
    other, newest = Watched(tmp_path, versions=watched.versions), watched.store.version("inference") or 0
    with monkeypatch.context() as patch:
        if killed:
            patch.setattr(update, "update", die)
        with pytest.raises(InterruptedError) if killed else nullcontext():
            list(other.watch._all([START + HOUR], other.watch._at(newest, None), now))
    assert list(slow) == []
    assert watched.profile("miles", START + HOUR)["rows"] == 6
    assert watched.store.read("passes")["pending"].to_pylist() == [[START + HOUR]]
    assert watched.restarted() and watched.pass_over(now)
    assert list(watched.rows().values()) == [6, 6]
    assert_once(watched)


def die(*_: object, **__: object) -> None:
    raise InterruptedError


def test_a_full_disk_leaves_no_half_reference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    watched = Watched(tmp_path)
    watched.add(spread(START, 10))
    with monkeypatch.context() as patch:
        patch.setattr(references, "save", full)
        with pytest.raises(OSError, match="No space left"):
            watched.pass_over(NOW)
    cache = tmp_path / "references"
    assert not [each for each in cache.rglob("*") if each.is_file() and each.suffix == ".parquet"]
    assert len(watched.pass_over(NOW)) > 0 and watched.rows()[START] == 10


def test_references_are_read_from_the_cache(tmp_path: Path) -> None:
    watched = Watched(tmp_path)
    first = known(watched.versions[1], Settings(), tmp_path / "references")
    (tmp_path / "examples-1/Split-train/data-00000.parquet").unlink()
    again = known(watched.versions[1], Settings(), tmp_path / "references")
    assert again.whole.columns.keys() == first.whole.columns.keys()


def test_training_data_that_are_gone_are_told_with_a_fix(tmp_path: Path) -> None:
    watched = Watched(tmp_path)
    (tmp_path / "examples-1/Split-train/data-00000.parquet").unlink()
    watched.add(spread(START, 10))
    [computed, *_] = watched.pass_over(NOW)
    assert computed.rows == 10
    assert "fix: " in watched.watch.unknown[1]
