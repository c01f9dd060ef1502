"""The inference table: several writers, types, compaction, retention, and what readers find."""

from __future__ import annotations

import json
import multiprocessing
import os
import threading
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from deltalake import DeltaTable

from components.inference import reading, table
from components.inference.columns import REQUEST
from components.inference.table import Once

DAY = datetime(2026, 1, 1, 12, tzinfo=UTC)
ALL = (datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC))


def rows(when: datetime = DAY, **columns: Any) -> pa.Table:
    arrays = {name: values if isinstance(values, pa.Array) else pa.array(values) for name, values in columns.items()}
    count = len(next(iter(arrays.values())))
    return pa.table({"time": pa.array([when] * count, pa.timestamp("us", "UTC")), **arrays})


def read(root: Path, version: int | None = None) -> pa.Table:
    newest, _ = reading.changed(str(root), None)
    found = list(reading.batches(str(root), newest if version is None else version, *ALL))
    return pa.Table.from_batches(found) if found else pa.table({})


def values(root: Path, name: str) -> list[Any]:
    return [value for value in read(root)[name].to_pylist() if value is not None]


def test_new_columns_are_added_and_the_schema_is_documented(tmp_path: Path) -> None:
    table.append(str(tmp_path), rows(input_a=[1, 2]))
    table.append(str(tmp_path), rows(input_b=["x"]))
    found = read(tmp_path)
    assert set(REQUEST.names) < set(found.column_names)
    assert sorted(values(tmp_path, "input_a")) == [1, 2] and values(tmp_path, "input_b") == ["x"]
    assert DeltaTable(table.path(str(tmp_path))).metadata().partition_columns == ["date"]


@pytest.mark.parametrize(
    ("first", "second", "fits", "elsewhere"),
    [
        (pa.array([1.5]), pa.array([2]), [1.5, 2.0], {}),
        (pa.array([1.5], pa.float64()), pa.array([2.5], pa.float32()), [1.5, 2.5], {}),
        (pa.array([1.5], pa.float32()), pa.array([0.1], pa.float64()), [1.5], {"double": [0.1]}),
        (pa.array([1]), pa.array(["x"]), [1], {"string": ["x"]}),
        (pa.array([1]), pa.array([True]), [1], {"bool": [True]}),
        (pa.array(["a"]), pa.array([b"b", b"\xff"]), ["a", "b"], {"binary": [b"\xff"]}),
        (pa.array([b"\xff"]), pa.array(["b"]), [b"\xff", b"b"], {}),
        (pa.array([1]), pa.array([[2], [3, 4], []]), [1, 2], {"int64_list": [[3, 4], []]}),
        (pa.array([[1, 2]]), pa.array([3]), [[1, 2], [3]], {}),
        (pa.array([[1.5]]), pa.array([["x"]]), [[1.5]], {"string_list": [["x"]]}),
    ],
)
def test_values_of_another_type_go_to_a_column_of_their_own(
    tmp_path: Path, first: pa.Array, second: pa.Array, fits: list[Any], elsewhere: dict[str, list[Any]]
) -> None:
    table.append(str(tmp_path), rows(input_a=first))
    table.append(str(tmp_path), rows(input_a=second))
    names = [name for name in read(tmp_path).column_names if name.startswith("input_")]
    assert set(names) == {"input_a", *(f"input_a_{end}" for end in elsewhere)}
    assert sorted(values(tmp_path, "input_a"), key=str) == sorted(fits, key=str)
    assert {end: values(tmp_path, f"input_a_{end}") for end in elsewhere} == elsewhere
    assert len(read(tmp_path)) == len(first) + len(second)


def _write(root: str, writer: int, count: int) -> None:
    for number in range(count):
        # Each writer has a column of its own, so that the schema changes at the same time, too.
        table.append(root, rows(**{"input_n": [writer * 1000 + number], f"input_{writer % 2}": [float(number)]}))


def test_several_processes_append_while_others_compact_and_read(tmp_path: Path) -> None:
    writers, count = 3, 12
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_write, args=(str(tmp_path), number, count)) for number in range(writers)]
    for process in processes:
        process.start()
    seen, since, ranges = 0, None, []
    while any(process.is_alive() for process in processes):
        version, added = reading.changed(str(tmp_path), since)
        if version < 0:
            time.sleep(0.02)
            continue
        since = version
        ranges += added
        held = len(read(tmp_path, version))
        assert held >= seen
        seen = held
        table.compact(str(tmp_path))
    assert [process.exitcode for process in processes] == [0] * writers
    wanted = sorted(writer * 1000 + number for writer in range(writers) for number in range(count))
    assert sorted(values(tmp_path, "input_n")) == wanted
    assert {"input_0", "input_1"} < set(read(tmp_path).column_names)


def test_a_write_with_a_name_happens_once(tmp_path: Path) -> None:
    for _ in range(2):
        table.append(str(tmp_path), rows(input_a=[1]), Once("me", 1))
    table.append(str(tmp_path), rows(input_a=[2]), Once("me", 2))
    assert table.append(str(tmp_path), rows(input_a=[2]), Once("me", 2)) is None
    table.append(str(tmp_path), rows(input_a=[3]), Once("other", 1))
    assert sorted(values(tmp_path, "input_a")) == [1, 2, 3]


def test_changes_are_times_of_new_rows_only(tmp_path: Path) -> None:
    root = str(tmp_path)
    assert reading.changed(root, None) == (-1, [])
    for day in range(3):
        table.append(root, rows(DAY + timedelta(days=day), input_a=[1, 2]))
    version, every = reading.changed(root, None)
    assert [start for start, _ in every] == [DAY + timedelta(days=day) for day in range(3)]
    assert all(end - start == timedelta(milliseconds=1) for start, end in every)
    assert reading.changed(root, version) == (version, [])
    table.append(root, rows(DAY + timedelta(days=1, microseconds=999_500), input_a=[3]))
    after, [(start, end)] = reading.changed(root, version)
    assert start <= DAY + timedelta(days=1, microseconds=999_500) < end <= DAY + timedelta(days=1, seconds=1)
    table.compact(root)
    DeltaTable(table.path(root)).delete("input_a = 2")
    assert table.retain(root, days=2, today=date(2026, 1, 3)) == 1
    table.compact(root)
    newest, none = reading.changed(root, after)
    assert newest > after and none == []
    assert sorted(values(tmp_path, "input_a")) == [1, 1, 3]


def test_without_the_log_everything_counts_as_new(tmp_path: Path) -> None:
    root = str(tmp_path)
    for day in range(3):
        table.append(root, rows(DAY + timedelta(days=day), input_a=[1]))
    since, _ = reading.changed(root, None)
    table.append(root, rows(DAY + timedelta(days=3), input_a=[1]))
    log = Path(table.path(root)) / "_delta_log"
    old = time.time() - 3 * 86_400
    for file in log.glob("*.json"):
        os.utime(file, (old, old))
    table.compact(root)  # writes a checkpoint, and removes what is older than two days
    table.append(root, rows(DAY + timedelta(days=4), input_a=[1]))
    table.compact(root)
    assert not (log / f"{since + 1:020}.json").exists()
    _, ranges = reading.changed(root, since)
    assert [start for start, _ in ranges] == [DAY + timedelta(days=day) for day in range(5)]
    assert len(read(tmp_path)) == 5


def test_vacuum_spares_open_versions_and_removes_what_a_killed_writer_left(tmp_path: Path) -> None:
    root = str(tmp_path)
    for _ in range(3):
        table.append(root, rows(input_a=[1]))
    version, _ = reading.changed(root, None)
    orphan = Path(table.path(root)) / "date=2026-01-01" / "part-orphan.parquet"
    fresh = orphan.with_name("part-fresh.parquet")
    for file in (orphan, fresh):
        file.write_bytes(b"partial")
    old = time.time() - 2 * 86_400
    os.utime(orphan, (old, old))
    assert table.compact(root)["files_removed"] == 3
    assert not orphan.exists() and fresh.exists()
    assert len(read(tmp_path, version)) == 3


def test_a_time_opens_only_its_files(tmp_path: Path) -> None:
    root = str(tmp_path)
    for hour in range(4):
        table.append(root, rows(DAY + timedelta(hours=hour), input_a=[hour]))
    version, _ = reading.changed(root, None)
    for action in pa.table(DeltaTable(table.path(root)).get_add_actions(flatten=True)).to_pylist():
        if action["min.time"] != DAY + timedelta(hours=2):
            (Path(table.path(root)) / action["path"]).write_bytes(b"unreadable")
    start = DAY + timedelta(hours=2)
    [batch] = reading.batches(root, version, start, start + timedelta(hours=1), ["input_a", "input_none"])
    assert batch.to_pydict() == {"input_a": [2]}


def test_too_many_columns_are_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "MOST_COLUMNS", len(REQUEST) + 2)
    assert table.append(str(tmp_path), rows(**{f"input_{n}": [n] for n in range(5)})) == 3
    assert table.append(str(tmp_path), rows(input_0=[7], input_9=[9])) == 1
    assert sorted(values(tmp_path, "input_0")) == [0, 7]
    assert "input_9" not in read(tmp_path).column_names


def test_duckdb_reads_the_files(tmp_path: Path) -> None:
    for number in range(3):
        table.append(str(tmp_path), rows(input_a=[number]))
    files = DeltaTable(table.path(str(tmp_path))).file_uris()
    found = duckdb.sql(f"SELECT sum(input_a) FROM read_parquet({json.dumps(files).replace(chr(34), chr(39))})")
    assert found.fetchall() == [(3,)]


def test_readers_in_threads_see_whole_versions(tmp_path: Path) -> None:
    root, failures = str(tmp_path), list[BaseException]()
    table.append(root, rows(input_a=[0] * 10))

    def follow() -> None:
        try:
            for _ in range(20):
                assert len(read(tmp_path)) % 10 == 0
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=follow) for _ in range(2)]
    for thread in threads:
        thread.start()
    for number in range(10):
        table.append(root, rows(input_a=[number] * 10))
    table.compact(root)
    for thread in threads:
        thread.join()
    assert failures == []
