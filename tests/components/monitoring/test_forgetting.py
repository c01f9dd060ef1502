"""A customer is forgotten in tables, logs and spans: no byte of the store has the value afterwards."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
import threading
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, write_deltalake

from components.contract.errors import ServiceError, UserError
from components.data import tfrecord
from components.inference.privacy import keys as privacy_keys
from components.inference.privacy.privacy import Privacy
from components.monitoring.forgetting import files, forget, keys, pending
from components.monitoring.forgetting.forget import Result
from components.monitoring.forgetting.pending import Pending, Request
from components.monitoring.store import INFERENCE, LABELS, Store
from components.monitoring.tables import ALARMS, PROFILE

START = datetime(2026, 1, 1, tzinfo=UTC)
WHO = "jane.doe-7391"
OTHER = "zoe.last-9999"
TABLES = ("inference", "labels", "profile", "alarms", "forgotten")


def _rows(day: int, who: list[str]) -> pa.Table:
    count = len(who)
    return pa.table(
        {
            "request_id": [f"r{day}-{each}" for each in range(count)],
            "time": pa.array([START + timedelta(days=day)] * count, pa.timestamp("us", "UTC")),
            "date": pa.array([date(2026, 1, 1 + day)] * count),
            "input_customer": who,
            "input_tags": pa.array([[each.encode(), b"\xff"] for each in who], pa.list_(pa.binary())),
            "input_raw": pa.array([each.encode() for each in who], pa.binary()),
            "input_fare": [float(each) for each in range(count)],
            "input_area": list(range(count)),
        }
    )


@pytest.fixture
def root(tmp_path: Path) -> str:
    """The tables of a model, in which the customer is everywhere."""
    store = Store(str(tmp_path / "taxi"))
    for day in range(3):
        write_deltalake(store.path(INFERENCE), _rows(day, ["amy", WHO, OTHER]), mode="append", partition_by=["date"])
    ids = [f"r{day}-{each}" for day in range(3) for each in range(3)]
    labels = pa.table({"request_id": ids, "tip": [1.0] * 9, "time": pa.array([START] * 9, pa.timestamp("us", "UTC"))})
    store.append(LABELS, labels)
    counts = [{"value": WHO, "count": 3}, {"value": "amy", "count": 3}]
    window = {"window_start": START, "window_end": START + timedelta(days=1), "slice": "", "model": "taxi", "rows": 9}
    profile = [
        {**window, "column": "customer", "top_values": counts, "unseen_values": counts[:1]},
        {**window, "column": "fare"},
        {**window, "column": "fare", "slice": f"customer:{WHO}"},
    ]
    store.append("profile", pa.Table.from_pylist(profile, PROFILE))
    alarm = {
        "alarm": "a1",
        "column": "customer",
        "slice": "",
        "state": "open",
        "sentence": f"customer has {WHO} in 33 %",
        "picture": json.dumps({"values": [WHO, "amy"]}),
    }
    store.append("alarms", pa.Table.from_pylist([alarm], ALARMS))
    return store.root


def _request(root: str, *texts: str, **others: Any) -> Request:
    return Request(pending.new_id(), "taxi", root, tuple(keys.parse(texts)), **others)


def _forget(root: str, *texts: str, ring: Any = None, **others: Any) -> Result:
    return forget.forget(Pending(_request(root, *texts, **others), Path(root).parent / "state"), ring)


def _traces(folder: str | Path, value: str = WHO) -> list[str]:
    """The files that have the value, also in compressed columns and in old checkpoints."""
    found = []
    for path in Path(folder).rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            text = str(pq.read_table(path).to_pylist()) if path.suffix == ".parquet" else ""
            if value.encode() in content or value in text:
                found.append(str(path))
    return found


def test_no_file_has_the_value_afterwards(root: str) -> None:
    assert _traces(root)
    result = _forget(root, f"customer={WHO}")
    assert {each.name: each.rows for each in result.places if each.rows} == {"inference": 3, "labels": 3, "profile": 1}
    assert result.is_whole
    assert _traces(root) == []
    store = Store(root)
    assert sorted(store.read(INFERENCE).column("input_customer").to_pylist()) == ["amy"] * 3 + [OTHER] * 3
    assert store.read(LABELS).num_rows == 6
    [alarm] = store.read("alarms").to_pylist()
    assert alarm["sentence"] == "customer has (forgotten) in 33 %"
    assert json.loads(alarm["picture"]) == {"values": ["(forgotten)", "amy"]}
    profile = store.read("profile").to_pylist()
    assert len(profile) == 2
    assert [each["value"] for each in profile[0]["top_values"] or profile[1]["top_values"]] == ["(forgotten)", "amy"]


def test_old_versions_cannot_bring_it_back(root: str) -> None:
    newest = DeltaTable(f"{root}/inference").version()
    DeltaTable(f"{root}/inference").create_checkpoint()
    _forget(root, f"customer={WHO}")
    for version in range(newest + 1):
        with pytest.raises(Exception, match=r"(?i)not found|no such file|invalid"):
            DeltaTable(f"{root}/inference", version=version).to_pyarrow_table()
    assert _traces(root) == []


def test_versions_after_it_can_be_read_and_appended_to(root: str) -> None:
    _forget(root, f"customer={WHO}")
    write_deltalake(f"{root}/inference", _rows(5, ["new"]), mode="append")
    table = DeltaTable(f"{root}/inference")
    assert table.to_pyarrow_table().num_rows == 7
    assert [each for each in table.history() if each.get("forgotten")]


@pytest.mark.parametrize(
    ("key", "left"),
    [
        (f"tags={WHO}", 6),
        (f"raw={WHO}", 6),
        ("area=1", 6),
        ("fare=1", 6),
        ("area=none", 9),
        ("customer=o'clock", 9),
        ("request_id=r1-0", 8),
    ],
)
def test_keys_are_found_in_columns_of_any_type(key: str, left: int, root: str) -> None:
    assert sum(each.rows for each in forget.preview(_request(root, key), None) if each.name == INFERENCE) == 9 - left
    _forget(root, key)
    assert Store(root).read(INFERENCE).num_rows == left


def test_all_columns_of_a_row_of_a_keys_file_have_to_hold(root: str, tmp_path: Path) -> None:
    file = tmp_path / "customers.csv"
    file.write_text("customer,area\namy,0\namy,1\n")
    request = Request(pending.new_id(), "taxi", root, tuple(keys.read(file)))
    forget.forget(Pending(request, tmp_path / "state"), None)
    assert set(Store(root).read(INFERENCE).column("input_customer").to_pylist()) == {WHO, OTHER}


def test_hashes_of_every_key_are_found(root: str, tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    folder.mkdir()
    for name in ("k1", "k2"):
        (folder / name).write_text(f"{name}-0123456789abcdef")
        rules = Privacy.of({"columns": {"customer": "hash"}, "keys": str(folder)})
        write_deltalake(f"{root}/inference", rules.apply(_rows(7, [WHO])), mode="append")
    ring = privacy_keys.read(folder)
    assert _forget(root, f"customer={WHO}", ring=ring).places[0].rows == 5
    assert [_traces(root, each) for each in ring.every_hash(WHO.encode())[:1]] == [[]]


def test_the_record_has_a_keyed_hash_and_digests_and_no_value(root: str) -> None:
    result = _forget(root, f"customer={WHO}", reason="asked by letter")
    rows = Store(root).read("forgotten").to_pylist()
    assert {each["request"] for each in rows} == {result.request.id}
    [customer] = json.loads(rows[0]["what"])["customers"]
    assert customer["input_customer"].startswith("record:")
    for row in rows:
        assert row["before"] != row["after"]
        assert row["reason"] == "asked by letter"


def test_a_preview_changes_nothing(root: str, tmp_path: Path) -> None:
    version = DeltaTable(f"{root}/inference").version()
    found = forget.preview(_request(root, f"customer={WHO}"), None)
    assert {each.name: each.rows for each in found} == {"inference": 3, "labels": 3, "profile": 1}
    assert DeltaTable(f"{root}/inference").version() == version
    assert not (tmp_path / "state").exists()


def test_what_is_old_is_deleted_in_all_tables(root: str) -> None:
    result = _forget(root, before=START + timedelta(days=1))
    assert {each.name: each.rows for each in result.places if each.rows} == {"inference": 3, "labels": 9}
    result = _forget(root, before=START + timedelta(days=9))
    assert {each.name: each.rows for each in result.places if each.rows} == {"inference": 6, "profile": 3}
    assert json.loads(result.what) == {"older_than": (START + timedelta(days=9)).isoformat()}
    assert Store(root).read("alarms").num_rows == 1  # it is open


_KILLED = """
import os, sys
from pathlib import Path
from components.monitoring.forgetting import delta, files, forget, keys, pending

left = int(sys.argv[3])

def step(function):
    def call(*arguments, **named):
        global left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), 9)
        made = function(*arguments, **named)
        left -= 1
        if left == 0:
            os.kill(os.getpid(), 9)
        return made
    return call

delta.delete, delta.purge, delta.delta.write = step(delta.delete), step(delta.purge), step(delta.delta.write)
files.rewrite, forget._record = step(files.rewrite), step(forget._record)
root, state = sys.argv[1], Path(sys.argv[2])
unfinished = pending.all_in(state, root)
given = pending.Request("r1", "taxi", root, tuple(keys.parse([sys.argv[4]])), spans=tuple(sys.argv[5:]))
forget.forget(unfinished[0] if unfinished else pending.Pending(given, state), None)
print("done")
"""


def test_a_killed_run_is_finished_by_the_next_and_each_row_counts_once(root: str, tmp_path: Path) -> None:
    span = tmp_path / "span.parquet"
    pq.write_table(pa.table({"customer": [WHO, "amy"]}), span)
    command = [sys.executable, "-c", _KILLED, root, str(tmp_path / "state")]
    killed = 0
    for left in (1, 2, 5, 8, 13, 0):
        ended = subprocess.run([*command, str(left), f"customer={WHO}", str(span)], capture_output=True, text=True)
        killed += ended.returncode == -9
        assert ended.returncode in (0, -9), ended.stderr
        if ended.returncode == 0:
            break
    assert killed == 5
    assert _traces(root) == _traces(tmp_path) == []
    rows = {each["place"]: each["rows"] for each in Store(root).read("forgotten").to_pylist() if each["rows"]}
    assert rows == {"inference": 3, "labels": 3, "profile": 1, str(span): 1}
    assert list((tmp_path / "state").glob("*.json")) == []


def test_a_server_may_append_meanwhile_and_late_rows_are_told(root: str) -> None:
    stop = threading.Event()
    failed: list[Exception] = []

    def append() -> None:
        while not stop.is_set():
            try:
                Store(root).append(INFERENCE, _rows(4, ["amy"]))
            except Exception as error:
                failed.append(error)

    writer = threading.Thread(target=append)
    writer.start()
    try:
        assert _forget(root, f"customer={WHO}").is_whole
    finally:
        stop.set()
        writer.join()
    assert failed == []
    assert _traces(root) == []
    assert Store(root).read(INFERENCE).num_rows > 6


def test_rows_that_arrive_late_keep_the_request_open(root: str, monkeypatch: pytest.MonkeyPatch) -> None:
    purge = forget.delta.purge

    def late(path: str) -> None:
        purge(path)
        write_deltalake(f"{root}/inference", _rows(4, [WHO]), mode="append")

    monkeypatch.setattr(forget.delta, "purge", late)
    result = _forget(root, f"customer={WHO}")
    assert result.late >= 1 and not result.is_whole
    monkeypatch.undo()
    [unfinished] = pending.all_in(Path(root).parent / "state", root)
    assert (unfinished.path.stat().st_mode & 0o777) == 0o600
    assert forget.forget(unfinished, None).is_whole
    assert _traces(root) == []


def _example(**values: bytes) -> bytes:
    from tensorflow.core.example.example_pb2 import Example

    example = Example()
    for name, value in values.items():
        example.features.feature[name].bytes_list.value.append(value)
    return bytes(example.SerializeToString())


def _log(file: Path, who: list[str], *, zipped: bool = False) -> Path:
    from tensorflow_serving.apis.prediction_log_pb2 import PredictionLog

    records = []
    for each in who:
        log = PredictionLog()
        log.classify_log.request.model_spec.name = "taxi"
        example = log.classify_log.request.input.example_list.examples.add()
        example.ParseFromString(_example(customer=each.encode()))
        records.append(log.SerializeToString())
    with gzip.open(file, "wb") if zipped else file.open("wb") as opened:
        tfrecord.write_records(opened, records)  # type: ignore[arg-type]
    return file


@pytest.mark.parametrize("zipped", [False, True])
def test_requests_are_removed_from_logs(zipped: bool, root: str, tmp_path: Path) -> None:
    log = _log(tmp_path / "logs-1.tfrecord", ["amy", WHO, "zoe"], zipped=zipped)
    log.chmod(0o640)
    result = _forget(root, f"customer={WHO}", logs=(str(tmp_path / "logs-"),))
    records = list(tfrecord.read_records(log))
    assert len(records) == 2 and all(WHO.encode() not in each for each in records)
    assert log.stat().st_mode & 0o777 == 0o640
    [place] = [each for each in result.places if each.name == str(log)]
    assert place.rows == 1 and place.before != place.after


def test_a_log_that_a_server_writes_is_left_and_told(root: str, tmp_path: Path) -> None:
    log = _log(tmp_path / "log.tfrecord", [WHO])
    with log.open("ab"):
        result = _forget(root, f"customer={WHO}", logs=(str(log),))
        assert result.open_files == [str(log)] and not result.is_whole
    [unfinished] = pending.all_in(Path(root).parent / "state", root)
    assert forget.forget(unfinished, None).is_whole
    assert list(tfrecord.read_records(log)) == []


def test_old_logs_are_removed(root: str, tmp_path: Path) -> None:
    old, new = _log(tmp_path / "a.tfrecord", ["amy"]), _log(tmp_path / "b.tfrecord", ["amy"])
    os.utime(old, (START.timestamp(), START.timestamp()))
    result = _forget(root, before=START + timedelta(hours=1), logs=(str(tmp_path / "a"), str(new)))
    assert not old.exists() and new.exists()
    assert [(each.name, each.rows, each.after) for each in result.places if each.name == str(old)] == [
        (str(old), 1, "")
    ]


def test_rows_are_removed_from_spans(root: str, tmp_path: Path) -> None:
    folder = tmp_path / "span-1" / "Split-train"
    folder.mkdir(parents=True)
    span = folder / "data_parquet-00000-of-00001.parquet"
    lists = pa.array([[b"amy"], [WHO.encode()], None, [b"x", WHO.encode()]], pa.large_list(pa.large_binary()))
    pq.write_table(pa.table({"customer": lists, "fare": [1, 2, 3, 4]}), span, row_group_size=2)
    flat = tmp_path / "span-1" / "flat.parquet"
    pq.write_table(pa.table({"customer": [WHO, None, "amy"]}), flat)
    examples = folder / "data_tfrecord-00000-of-00001.gz"
    with gzip.open(examples, "wb") as opened:
        tfrecord.write_records(opened, [_example(customer=WHO.encode()), _example(customer=b"amy")])  # type: ignore[arg-type]
    _forget(root, f"customer={WHO}", spans=(str(tmp_path / "span-1"),))
    assert pq.read_table(span).column("fare").to_pylist() == [1, 3]
    assert pq.read_table(span).schema.field("customer").type == pa.large_list(pa.large_binary())
    assert pq.read_table(flat).column("customer").to_pylist() == [None, "amy"]
    assert list(tfrecord.read_records(examples)) == [_example(customer=b"amy")]
    assert _traces(tmp_path / "span-1") == []


def test_tables_that_do_not_exist_are_no_error(tmp_path: Path) -> None:
    assert _forget(str(tmp_path / "none"), "customer=x").is_whole


def test_a_store_that_fails_is_an_error_and_the_request_stays(root: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise OSError("connection refused")

    monkeypatch.setattr(forget.delta.DeltaTable, "delete", broken)
    with pytest.raises(ServiceError, match="connection refused\n  fix: see whether the store answers"):
        _forget(root, f"customer={WHO}")
    assert len(pending.all_in(Path(root).parent / "state", root)) == 1


@pytest.mark.parametrize(("text", "fix"), [("customer", "--key customer=..."), ("=x", "--key COLUMN=...")])
def test_a_key_of_another_form_is_refused(text: str, fix: str) -> None:
    with pytest.raises(UserError, match=fix):
        keys.parse([text])


@pytest.mark.parametrize("content", ["", "customer\n", "customer,area\na\n", "customer\na,b\n"])
def test_a_keys_file_of_another_form_is_refused(content: str, tmp_path: Path) -> None:
    (tmp_path / "keys.csv").write_text(content)
    with pytest.raises(UserError, match=r"keys\.csv"):
        keys.read(tmp_path / "keys.csv")


def test_a_column_that_many_customers_share_is_refused() -> None:
    rules = Privacy.of({"columns": {"customer": {"cut": 2}}})
    with pytest.raises(UserError, match="which many customers may share"):
        keys.require_findable(keys.parse(["customer=jane"]), rules)
    keys.require_findable(keys.parse(["fare=1"]), rules)


def test_paths_without_a_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no file at"):
        files.under([str(tmp_path / "none")])


def test_logs_that_are_imported_are_protected(tmp_path: Path) -> None:
    from components.inference import logs

    rules = Privacy.of({"columns": {"customer": {"cut": 2}}})
    logs.take(str(tmp_path / "tables"), [_log(tmp_path / "log.tfrecord", [WHO])], rules)
    assert Store(str(tmp_path / "tables" / "taxi")).read(INFERENCE).column("input_customer").to_pylist() == [WHO[:2]]
    assert _traces(tmp_path / "tables") == []
