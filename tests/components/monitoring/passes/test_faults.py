"""Monitors that are killed, that run at once, and whose store is away: each row counts once."""

from __future__ import annotations

import multiprocessing
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from components.monitoring.passes import references
from components.monitoring.passes.compute import At
from components.monitoring.passes.references import known
from components.monitoring.passes.settings import Settings
from components.monitoring.passes.trained import Trained
from tests.components.monitoring.passes.watched import HOUR, START, Watched, spread

NOW = START + 6 * HOUR
_PROCESSES = multiprocessing.get_context("forkserver")
_PROCESSES.set_forkserver_preload([Watched.__module__])


def passes(folder: Path, versions: dict[int, Trained], started: Any) -> None:
    """Passes until it is killed."""
    watched = Watched(folder, versions=versions)
    while True:
        started.set()
        watched.pass_over(NOW)


@pytest.mark.parametrize("kills", [3, pytest.param(100, marks=pytest.mark.faults)])
def test_each_row_counts_once_though_the_monitor_is_killed_again_and_again(tmp_path: Path, kills: int) -> None:
    watched, chance, number = Watched(tmp_path), random.Random(0), 0
    for _ in range(kills):
        started = _PROCESSES.Event()
        monitor = _PROCESSES.Process(target=passes, args=(tmp_path, watched.versions, started))
        monitor.start()
        assert started.wait(60)
        for _ in range(chance.randrange(1, 4)):
            start = START + chance.randrange(4) * HOUR
            watched.add([each.replace(microsecond=number) for each in spread(start, 20)])
            number += 1
        monitor.join(chance.uniform(0, 1.0))
        assert monitor.exitcode is None
        monitor.kill()
        monitor.join()
    watched.pass_over(NOW)
    assert sum(watched.rows().values()) == number * 20
    assert_once(watched)


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


def test_two_monitors_at_once_write_the_same_once(tmp_path: Path) -> None:
    watched = Watched(tmp_path)
    events = [_PROCESSES.Event() for _ in range(2)]
    monitors = [_PROCESSES.Process(target=passes, args=(tmp_path, watched.versions, event)) for event in events]
    for each in monitors:
        each.start()
    for number in range(10):
        watched.add([each.replace(microsecond=number) for each in spread(START + number % 3 * HOUR, 20)])
    assert all(event.wait(60) for event in events)
    for each in monitors:
        each.join(1.0)
        assert each.exitcode is None
        each.kill()
        each.join()
    watched.pass_over(NOW)
    assert sum(watched.rows().values()) == 200
    assert_once(watched)


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


def test_what_a_slower_monitor_overwrote_is_computed_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    watched = Watched(tmp_path)
    watched.add(spread(START, 10))
    monkeypatch.setattr(watched.watch, "_is_behind", lambda *_: False)
    slow = watched.watch._all([START], references_at(watched), START + 2 * HOUR)
    watched.add([START])
    Watched(tmp_path, versions=watched.versions).pass_over(START + 2 * HOUR)
    assert [each.rows for each in slow] == [10] and watched.rows()[START] == 10
    watched.watch._note(references_at(watched, -1), [], 1, 7200.0, START + HOUR)
    assert watched.restarted() and watched.pass_over(START + 2 * HOUR)[0].rows == 11


def references_at(watched: Watched, back: int = 0) -> Any:
    """The tables as they are, or were."""
    version = watched.store.version("inference")
    assert version is not None
    return At(version + back, None)


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
