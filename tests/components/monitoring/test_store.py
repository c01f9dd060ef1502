"""The folder of a model's tables: those of an earlier build, and what is left of files that were replaced."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import write_deltalake

from components.monitoring.store import Store
from components.monitoring.tables import SCHEMAS

START = datetime(2026, 1, 5, tzinfo=UTC)


def rows(name: str, number: int) -> pa.Table:
    """A row with a value in every column that has a plain type."""
    values: dict[pa.DataType, object] = {pa.string(): str(number), pa.int64(): number, pa.float64(): number / 2}
    values |= {pa.timestamp("us", "UTC"): START + timedelta(hours=number), pa.bool_(): bool(number % 2)}
    return pa.Table.from_pylist([{each.name: values.get(each.type) for each in SCHEMAS[name]}], SCHEMAS[name])


@pytest.fixture(params=["quality", "alarms", "passes"])
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def store(tmp_path: Path, name: str) -> Store:
    """A table as an earlier build wrote it, without the two newest columns."""
    old = rows(name, 1)
    write_deltalake(str(tmp_path / name), old.select(old.column_names[:-2]))
    return Store(str(tmp_path))


def test_columns_that_an_old_table_lacks_are_read_as_null(store: Store, name: str) -> None:
    newest = SCHEMAS[name].names[-2:]
    found = store.read(name)
    assert found.schema.equals(SCHEMAS[name])
    [row] = found.to_pylist()
    assert [row[each] for each in newest] == [None, None]
    assert row[SCHEMAS[name].names[0]] == rows(name, 1).to_pylist()[0][SCHEMAS[name].names[0]]
    assert store.read(name, [(newest[0], "=", rows(name, 2)[newest[0]][0].as_py())]).num_rows == 0
    assert store.read(name, (), newest).column_names == newest


def test_rows_of_today_are_written_to_an_old_table(store: Store, name: str) -> None:
    key = SCHEMAS[name].names[0]
    store.replace(name, rows(name, 1), f"{key} = {_literal(name, 1)}")
    store.append(name, rows(name, 2))
    if pa.types.is_string(SCHEMAS[name].field(key).type):
        store.revise(name, key, lambda _: rows(name, 3))
        assert store.read(name).num_rows == 3
    assert store.read(name, [(key, "<=", rows(name, 2)[key][0].as_py())]).sort_by(key).to_pylist() == [
        *rows(name, 1).to_pylist(),
        *rows(name, 2).to_pylist(),
    ]


def test_rows_are_revised_in_an_old_table(tmp_path: Path) -> None:
    old = rows("alarms", 1)
    write_deltalake(str(tmp_path / "alarms"), old.select(old.column_names[:-2]))
    store = Store(str(tmp_path))
    store.revise("alarms", "alarm", lambda read: read(()).set_column(6, "state", pa.array(["closed"])))
    [row] = store.read("alarms").to_pylist()
    assert (row["state"], row["evidence_needed"]) == ("closed", None)


@pytest.mark.parametrize("name", ["windows"])
def test_files_that_were_replaced_a_day_ago_are_removed(tmp_path: Path, name: str) -> None:
    store = Store(str(tmp_path))
    store.append(name, rows(name, 1))
    first = set((tmp_path / name).glob("*.parquet"))
    store.replace(name, rows(name, 1), "rows = 1")
    _aged(tmp_path / name, hours=25)
    for number in range(2, 26):
        store.replace(name, rows(name, number), f"rows = {number}")
    assert not first & set((tmp_path / name).glob("*.parquet"))
    assert store.read(name).num_rows == 25


@pytest.mark.parametrize("name", ["windows"])
def test_a_reader_that_has_opened_a_table_keeps_its_files(tmp_path: Path, name: str) -> None:
    store = Store(str(tmp_path))
    store.append(name, rows(name, 1))
    opened = store.open(name)
    assert opened is not None
    for _ in range(26):
        store.replace(name, rows(name, 1), "rows = 1")
    assert opened.to_pyarrow_table().num_rows == 1


@pytest.mark.parametrize("name", ["alarms"])
def test_a_table_that_stays_as_it_is_is_not_tidied(tmp_path: Path, name: str) -> None:
    store, checkpoint = Store(str(tmp_path)), tmp_path / name / "_delta_log/_last_checkpoint"
    store.revise(name, "alarm", lambda _: SCHEMAS[name].empty_table())
    assert store.version(name) == 0 and not checkpoint.exists()
    for _ in range(25):
        store.revise(name, "alarm", lambda _: rows(name, 1))
    tidied = checkpoint.stat().st_mtime_ns
    store.revise(name, "alarm", lambda _: SCHEMAS[name].empty_table())
    assert store.version(name) == 25 and checkpoint.stat().st_mtime_ns == tidied


@pytest.mark.parametrize("name", ["deliveries"])
def test_rows_are_cut_by_age(tmp_path: Path, name: str) -> None:
    store = Store(str(tmp_path))
    store.cut(name, "changed", START)
    assert store.open(name) is None
    for number in range(3):
        store.append(name, rows(name, number))
    store.cut(name, "changed", START + timedelta(hours=2))
    assert store.read(name)["delivery"].to_pylist() == ["2"]
    version = store.version(name)
    store.cut(name, "changed", START + timedelta(hours=2))
    assert store.version(name) == version


def _aged(folder: Path, hours: int) -> None:
    """Lets a table's log be older; Delta keeps the time of a removal in it."""
    for file in (folder / "_delta_log").glob("*.json"):
        file.write_text(re.sub(r'"deletionTimestamp":(\d+)', lambda found: _earlier(found, hours), file.read_text()))


def _earlier(found: re.Match[str], hours: int) -> str:
    return f'"deletionTimestamp":{int(found[1]) - hours * 3_600_000}'


def _literal(name: str, number: int) -> str:
    value = rows(name, number).to_pylist()[0][SCHEMAS[name].names[0]]
    return f"'{value.isoformat() if isinstance(value, datetime) else value}'"
