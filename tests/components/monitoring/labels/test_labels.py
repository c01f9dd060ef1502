"""Labels: taken in once each, and joined to the right requests."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from deltalake import write_deltalake
from hypothesis import given, settings
from hypothesis import strategies as st

from components.contract.errors import DataError, UserError
from components.monitoring.labels.add import Added, add
from components.monitoring.labels.counts import Day, count
from components.monitoring.labels.join import labels_of
from components.monitoring.store import Store

START = datetime(2026, 1, 1, tzinfo=UTC)
NOW = START + timedelta(days=2)


def at(minutes: float) -> datetime:
    return START + timedelta(minutes=minutes)


def requests(*rows: tuple[str, float, int, bytes], row: int = 0) -> pa.Table:
    """Requests by id, minute and the inputs `number` and `text`."""
    return pa.table(
        {
            "request_id": [each[0] for each in rows],
            "row": pa.array([row] * len(rows), pa.int32()),
            "time": pa.array([at(each[1]) for each in rows], pa.timestamp("us", "UTC")),
            "date": pa.array([at(each[1]).date() for each in rows], pa.date32()),
            "input_number": pa.array([each[2] for each in rows], pa.int64()),
            "input_text": pa.array([each[3] for each in rows], pa.binary()),
        }
    )


@pytest.fixture
def store(tmp_path: Path) -> Store:
    made = Store(str(tmp_path / "taxi"))
    made.append("inference", requests(("a", 1, 1, b"x"), ("b", 2, 1, b"y"), ("c", 3, 2, b"z")))
    return made


def found(store: Store, start: float = 0, end: float = 60) -> dict[tuple[str, int], object]:
    rows = labels_of(store, at(start), at(end)).to_pylist()
    return {(each["request_id"], each["row"]): each.get("label_tips") for each in rows}


TABLE = pa.table({"request_id": ["a", "007"], "tips": [1.5, 2.0]})


def as_csv(folder: Path) -> str:
    pyarrow.csv.write_csv(TABLE, folder / "l.csv")
    return str(folder / "l.csv")


def as_parquet(folder: Path) -> str:
    pq.write_table(TABLE, folder / "l.parquet")
    return str(folder / "l.parquet")


def as_delta(folder: Path) -> str:
    write_deltalake(folder / "delta", TABLE, mode="overwrite")
    return str(folder / "delta")


def as_sql(folder: Path) -> str:
    return f"SELECT request_id, tips FROM '{as_parquet(folder)}' WHERE tips > 0;"


@pytest.mark.parametrize("source", [as_csv, as_parquet, as_delta, as_sql])
def test_labels_come_from_files_tables_and_sql(source, store: Store, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    assert add(store, source(tmp_path), now=NOW) == Added(rows=2, added=2)
    assert found(store) == {("a", 0): 1.5, ("007", 0): 2.0}
    assert add(store, source(tmp_path), now=NOW) == Added(rows=2, added=0, same=2)


def test_a_database_that_needs_a_download_is_refused_with_the_way_round(store: Store, tmp_path: Path) -> None:
    sqlite3.connect(tmp_path / "x.db").close()
    with pytest.raises(UserError, match="downloads no extension: export the rows to Parquet or CSV"):
        add(store, f"SELECT * FROM sqlite_scan('{tmp_path}/x.db', 't')")
    assert store.open("labels") is None


def test_the_value_that_became_known_later_counts(store: Store) -> None:
    def dated(value: float, minute: float) -> pa.Table:
        return pa.table({"request_id": ["a"], "tips": [value], "when": [at(minute)]})

    assert add(store, dated(1, 10), time="when", now=NOW).added == 1
    assert add(store, dated(2, 30), time="when", now=NOW) == Added(rows=1, added=1, changed=1)
    assert add(store, dated(3, 20), time="when", now=NOW) == Added(rows=1, added=1, changed=1)
    assert found(store) == {("a", 0): 2.0}
    assert count(store).conflicting == 1


def test_a_file_that_is_taken_in_again_does_not_undo_a_correction(store: Store) -> None:
    first, second = (pa.table({"request_id": ["a"], "tips": [value]}) for value in (1.0, 2.0))
    add(store, first, now=NOW)
    add(store, second, now=NOW + timedelta(hours=1))
    assert add(store, first, now=NOW + timedelta(hours=2)) == Added(rows=1, added=0, same=1)
    assert found(store) == {("a", 0): 2.0}


def test_labels_from_the_future_are_set_to_now(store: Store) -> None:
    ahead = pa.table({"request_id": ["a"], "tips": [1.0], "when": [NOW + timedelta(days=300)]})
    assert add(store, ahead, time="when", now=NOW) == Added(rows=1, added=1, early=1)
    later = pa.table({"request_id": ["a"], "tips": [2.0]})
    add(store, later, now=NOW + timedelta(hours=1))
    assert found(store) == {("a", 0): 2.0}


def test_unknown_ids_are_kept_for_requests_that_come_later(store: Store) -> None:
    add(store, pa.table({"request_id": ["a", "late"], "tips": [1.0, 2.0]}), now=NOW)
    counts = count(store)
    assert counts.days == [Day(START.date(), 3, 1)] and counts.unknown == 1
    store.append("inference", requests(("late", 5, 1, b"x")))
    assert count(store).unknown == 0 and count(store).days == [Day(START.date(), 4, 2)]


def test_rows_of_a_request_have_labels_of_their_own(store: Store) -> None:
    store.append("inference", requests(("a", 1, 1, b"x"), row=1))
    add(store, pa.table({"request_id": ["a", "a"], "row": [0, 1], "tips": [1.0, 2.0]}), now=NOW)
    assert found(store) == {("a", 0): 1.0, ("a", 1): 2.0}


def test_incomplete_rows_are_counted_and_left_out(store: Store) -> None:
    table = pa.table({"request_id": ["a", None, "b"], "tips": [1.0, 1.0, None]})
    assert add(store, table, now=NOW) == Added(rows=3, added=1, incomplete=2)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"id": "trip"}, "no column 'trip'"),
        ({"keys": ["number"]}, "need the time of the outcome"),
        ({"keys": ["number"], "id": "request_id"}, "either a request id or keys"),
        ({"labels": ["time=tips"]}, "cannot have the name 'time'"),
    ],
)
def test_options_that_do_not_fit_are_refused(options: dict[str, object], text: str, store: Store) -> None:
    with pytest.raises(UserError, match=text):
        add(store, TABLE, **options)  # type: ignore[arg-type]


def test_an_outcome_of_another_type_is_refused(store: Store) -> None:
    add(store, TABLE, now=NOW)
    with pytest.raises(DataError, match="'tips' is string, and earlier labels have double"):
        add(store, pa.table({"request_id": ["a"], "tips": ["high"]}), now=NOW)


def test_a_key_that_is_no_input_is_refused(store: Store) -> None:
    add(store, pa.table({"trip": [1], "tips": [1.0], "when": [at(5)]}), keys=["trip"], time="when", now=NOW)
    with pytest.raises(UserError, match="the key 'trip', which is no input") as refused:
        found(store)
    assert "number, text" in refused.value.fix


def test_keys_are_compared_as_their_inputs_type(store: Store) -> None:
    table = pa.table({"number": ["1.0"], "tips": [7.0], "when": [at(2.5)]})
    add(store, table, keys=["number"], time="when", now=NOW)
    add(store, pa.table({"t": ["z"], "tips": [8.0], "when": [at(9)]}), keys=["text=t"], time="when", now=NOW)
    assert found(store) == {("b", 0): 7.0, ("c", 0): 8.0}


def test_a_request_after_the_window_takes_the_label(store: Store) -> None:
    """The join looks at later requests even if only the earlier window is measured."""
    add(store, pa.table({"number": [1], "tips": [7.0], "when": [at(30)]}), keys=["number"], time="when", now=NOW)
    assert found(store, 0, 1.5) == {}
    assert found(store, 1.5, 60) == {("b", 0): 7.0}


REQUESTS = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 10)), min_size=1, max_size=12)
OUTCOMES = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 16)), min_size=1, max_size=8, unique=True)


@settings(max_examples=25, deadline=None)
@given(asked=REQUESTS, outcomes=OUTCOMES, age=st.integers(0, 12), start=st.integers(0, 6))
def test_the_join_equals_brute_force(
    asked: Sequence[tuple[int, int]],
    outcomes: Sequence[tuple[int, int]],
    age: int,
    start: int,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    store = Store(str(tmp_path_factory.mktemp("join")))
    rows = [(f"r{i:02}", minute, key, b"") for i, (key, minute) in enumerate(asked)]
    store.append("inference", requests(*rows))
    known = {"number": [k for k, _ in outcomes], "tips": [float(i) for i in range(len(outcomes))]}
    known["when"] = [at(minute) for _, minute in outcomes]  # type: ignore[assignment]
    add(store, pa.table(known), keys=["number"], time="when", now=NOW)
    labels = labels_of(store, at(start), at(8), max_age=timedelta(minutes=age))
    got = {each["request_id"]: each["label_tips"] for each in labels.to_pylist()}
    expected: dict[str, float] = {}
    for number, (key, minute) in sorted(enumerate(outcomes), key=lambda each: each[1][1]):
        before = [(m, id) for id, m, k, _ in rows if k == key and m <= minute]
        if before and max(before)[0] >= minute - age and start <= max(before)[0] < 8:
            expected[max(before)[1]] = float(number)
    assert got == expected


KILLED = """
import sys, pyarrow as pa
from components.monitoring.labels.add import add
from components.monitoring.store import Store
print("ready", flush=True)
for i in range(1000):
    add(Store(sys.argv[1]), pa.table({"request_id": [f"{i}-{j}" for j in range(50)], "tips": [1.0] * 50}))
    print(i, flush=True)
"""


def test_a_kill_leaves_whole_files_and_the_next_run_completes_them(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "killed"))
    child = subprocess.Popen([sys.executable, "-c", KILLED, store.root], stdout=subprocess.PIPE, env=os.environ)
    assert child.stdout is not None
    while child.stdout.readline().strip() != b"3":
        pass
    child.send_signal(signal.SIGKILL)
    child.wait()
    child.stdout.close()
    before = store.read("labels").num_rows
    assert before >= 200 and before % 50 == 0
    last = before // 50 - 1
    table = pa.table({"request_id": [f"{last}-{j}" for j in range(50)], "tips": [1.0] * 50})
    assert add(store, table) == Added(rows=50, added=0, same=50)
