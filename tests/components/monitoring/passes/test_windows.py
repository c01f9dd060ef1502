"""Which windows a pass computes, and from which rows."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable

from components.inference import table
from components.monitoring.labels import add as labels
from components.monitoring.passes.windows import silent, touched
from components.monitoring.passes.windows import window as window_at
from tests.components.monitoring.passes.watched import HOUR, START, Watched, columns, recorded, spread

MINUTE = timedelta(minutes=1)


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    return Watched(tmp_path)


def test_windows_begin_at_full_hours_and_days() -> None:
    time = datetime.fromisoformat("2026-03-01T13:45:10+02:00")
    assert window_at("m", time, "1h", HOUR).start.isoformat() == "2026-03-01T11:00:00+00:00"
    assert window_at("m", time, "1d", 24 * HOUR).end.isoformat() == "2026-03-02T00:00:00+00:00"
    ranges = [(START + 90 * MINUTE, START + 121 * MINUTE), (START + 150 * MINUTE, START + 180 * MINUTE)]
    assert list(touched(ranges, HOUR)) == [START + HOUR, START + 2 * HOUR]


def test_silence_is_looked_at_but_not_for_years() -> None:
    assert silent(START, START + 3 * HOUR, HOUR) == [START + HOUR, START + 2 * HOUR]
    assert len(silent(START, START + 10_000 * HOUR, HOUR)) == 100
    assert silent(None, START, HOUR) == []


def test_a_window_is_computed_when_it_is_over(watched: Watched) -> None:
    watched.add([*spread(START, 50), *spread(START + HOUR, 30)])
    assert watched.pass_over(START + HOUR) == []
    [first] = watched.pass_over(START + HOUR + MINUTE)
    assert (first.window.start, first.rows) == (START, 50)
    assert watched.pass_over(START + 2 * HOUR) == []
    [second] = watched.pass_over(START + 2 * HOUR + MINUTE)
    assert (second.window.start, second.rows) == (START + HOUR, 30)
    assert watched.rows() == {START: 50, START + HOUR: 30}


def test_late_rows_compute_their_own_window_again_and_the_one_that_is_compared_with_it(watched: Watched) -> None:
    watched.add([*spread(START, 50), *spread(START + HOUR, 30)])
    assert len(watched.pass_over(START + 3 * HOUR + MINUTE)) == 3
    watched.restarted()
    watched.add([START + HOUR - MINUTE, START + MINUTE])
    again, after = watched.pass_over(START + 3 * HOUR + 2 * MINUTE)
    assert (again.window.start, again.rows) == (START, 52)
    assert (after.window.start, after.rows) == (START + HOUR, 30)
    where = [("against", "=", "previous"), ("column", "=", "miles"), ("window_start", "=", START + HOUR)]
    assert set(watched.store.read("drift", where)["reference_rows"].to_pylist()) == {52}
    assert watched.rows() == {START: 52, START + HOUR: 30, START + 2 * HOUR: 0}
    assert watched.profile("miles")["rows"] == 52
    assert watched.pass_over(START + 3 * HOUR + 3 * MINUTE) == []


def test_rows_in_any_order_give_the_same(tmp_path: Path) -> None:
    times = spread(START, 120, 3 * HOUR)
    for name, parts in (("whole", [times]), ("parts", [times[80:], times[::2][:40], times[1::2][:40]])):
        each = Watched(tmp_path / name)
        for number, part in enumerate(parts):
            each.add(part)
            each.pass_over(START + (number + 1) * HOUR)
        each.pass_over(START + 4 * HOUR)
        assert each.rows() == {START: 40, START + HOUR: 40, START + 2 * HOUR: 40}


def test_hours_without_rows_are_windows(watched: Watched) -> None:
    watched.add(spread(START, 10))
    watched.add(spread(START + 4 * HOUR, 10))
    watched.pass_over(START + 6 * HOUR)
    assert list(watched.rows().values()) == [10, 0, 0, 0, 10]


def test_rows_of_the_future_wait(watched: Watched) -> None:
    watched.add(spread(START, 10))
    watched.add(spread(START + 20 * HOUR, 20))
    assert [each.rows for each in watched.pass_over(START + 2 * HOUR)] == [10]
    watched.restarted()
    watched.add(spread(START + HOUR, 5))
    assert [each.rows for each in watched.pass_over(START + 3 * HOUR)] == [5]
    computed = watched.pass_over(START + 22 * HOUR)
    assert {each.window.start: each.rows for each in computed}[START + 20 * HOUR] == 20
    assert sum(watched.rows().values()) == 35


def test_compaction_computes_nothing_again(watched: Watched) -> None:
    for number in range(4):
        watched.add(spread(START + number * MINUTE, 10, MINUTE))
    stream = watched.watch.pass_over(START + 2 * HOUR)
    table.compact(watched.store.root)
    assert [each.rows for each in stream] == [40]
    table.compact(watched.store.root)
    assert watched.pass_over(START + 2 * HOUR) == []


def test_a_table_that_is_compacted_between_windows_of_a_pass_is_read_as_it_was(watched: Watched) -> None:
    for number in range(6):
        watched.add(spread(START + number * HOUR / 2, 10, HOUR / 2))
    found = []
    for computed in watched.watch.pass_over(START + 4 * HOUR):
        found.append(computed.rows)
        watched.add(spread(START, 7))
        table.compact(watched.store.root)
    assert found == [20, 20, 20]
    again, _ = watched.pass_over(START + 4 * HOUR)
    assert (again.window.start, again.rows) == (START, 41)


def test_a_table_that_was_made_anew_is_computed_anew(watched: Watched, tmp_path: Path) -> None:
    for number in range(3):
        watched.add(spread(START + number * HOUR, 10))
    watched.pass_over(START + 4 * HOUR)
    (tmp_path / "tables/m/inference").rename(tmp_path / "away")
    assert watched.pass_over(START + 4 * HOUR) == []
    watched.add(spread(START, 3))
    watched.pass_over(START + 5 * HOUR)
    assert watched.rows()[START] == 3


def test_labels_compute_the_windows_of_their_requests_again(watched: Watched) -> None:
    times = [*spread(START, 10), *spread(START + 2 * HOUR, 10)]
    rows = recorded(times)
    table.append(watched.store.root, rows)
    watched.pass_over(START + 4 * HOUR)
    late = pa.table({"request_id": rows["request_id"].slice(12, 3), "tips": [1.0, 0.0, 1.0]})
    labels.add(watched.store, late, now=START + 5 * HOUR)
    again = watched.pass_over(START + 4 * HOUR)
    assert [each.window.start for each in again] == [START + 2 * HOUR]
    assert watched.pass_over(START + 4 * HOUR) == []
    [window] = watched.store.read("windows", [("window_start", "=", START + 2 * HOUR)]).to_pylist()
    assert window["labels_version"] is not None


def test_labels_compute_windows_again_once(watched: Watched) -> None:
    rows = recorded([*spread(START, 10), *spread(START + 2 * HOUR, 10)])
    table.append(watched.store.root, rows)
    now = START + 4 * HOUR + MINUTE
    watched.pass_over(now)
    for request, hours in ((2, 0), (12, 2), (3, 0)):
        late = pa.table({"request_id": rows["request_id"].slice(request, 1), "tips": [1.0]})
        labels.add(watched.store, late, now=now)
        assert [each.window.start for each in watched.pass_over(now)] == [START + hours * HOUR]
        now += MINUTE
    known = DeltaTable(watched.store.path("labels"))
    known.optimize.compact()
    known.vacuum(0, dry_run=False, enforce_retention_duration=False)
    labels.add(watched.store, pa.table({"request_id": rows["request_id"].slice(13, 1), "tips": [1.0]}), now=now)
    assert START + 2 * HOUR in {each.window.start for each in watched.pass_over(now)}


def test_labels_by_keys_compute_the_windows_before_them(watched: Watched) -> None:
    watched.add(spread(START, 3), {"trip": pa.array(["x", "y", "z"])})
    watched.add(spread(START + 5 * HOUR, 1), {"trip": pa.array(["later"])})
    watched.pass_over(START + 7 * HOUR)
    late = pa.table({"trip": ["y"], "at": pa.array([START + 3 * HOUR], pa.timestamp("us", "UTC")), "tips": [1.0]})
    labels.add(watched.store, late, keys=["trip"], time="at", now=START + 7 * HOUR)
    again = {each.window.start for each in watched.pass_over(START + 7 * HOUR)}
    assert START in again and START + 5 * HOUR not in again


def test_a_monitor_of_other_windows_does_not_disturb(tmp_path: Path) -> None:
    watched = Watched(tmp_path)
    watched.add(spread(START, 30, 3 * HOUR))
    watched.pass_over(START + 4 * HOUR)
    watched.settings = type(watched.settings)(window="1d")
    watched.restarted()
    assert [each.rows for each in watched.pass_over(START + 25 * HOUR)] == [30]
    lengths = watched.store.read("windows")["window"].to_pylist()
    assert sorted(lengths) == ["1d", "1h", "1h", "1h"]


def test_inputs_of_few_or_no_rows(watched: Watched) -> None:
    watched.add([START], columns(1))
    [one] = watched.pass_over(START + 2 * HOUR)
    assert (one.rows, one.signals) == (1, 0)
    assert watched.profile("miles")["rows"] == 1


def test_passes_are_compacted_and_the_old_ones_cut(watched: Watched) -> None:
    watched.add(spread(START, 3))
    at = watched.watch._at(1, None)
    for number in range(30):
        watched.watch._note(at, [], 0, 0.1, START + number * 2 * 24 * HOUR)
    found = watched.store.read("passes")
    assert found.num_rows == 16 and min(found["time"].to_pylist()) == START + 28 * 24 * HOUR
    opened = watched.store.open("passes")
    assert opened and len(opened.file_uris()) < 10
    other = Watched(watched.folder, type(watched.settings)(window="1d"), watched.versions)
    other.watch._note(at, [], 0, 0.1, START + 1000 * 24 * HOUR)
    assert watched.store.read("passes", [("window", "=", "1h")]).num_rows == 16
