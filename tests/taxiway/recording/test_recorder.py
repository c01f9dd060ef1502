"""The recorder under faults: a full disk, a store that is away or hangs, broken rows, kill -9, too much at once."""

from __future__ import annotations

import logging
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from deltalake import DeltaTable
from prometheus_client import CollectorRegistry

from components.inference import stores
from components.inference.requests import Content
from taxiway.recording.notes import Features
from taxiway.recording.recorder import Recorder
from taxiway.recording.settings import Settings
from tests.object_store import ObjectStore


class Recording:
    """A recorder, with its metrics."""

    def __init__(self, tables: Path | str, **settings: Any) -> None:
        self.registry = CollectorRegistry()
        self.recorder = Recorder(Settings(tables=str(tables), share=1.0, **settings), self.registry)

    def put(self, number: float = 1.0, model: str = "m", features: Features | None = None, **content: Any) -> None:
        note = self.recorder.begin(str(number), "Predict", "GRPC")
        note.model, note.size, note.features = model, 100, features
        note.content = Content(**content) if content else Content({"x": np.array([number])}, {"y": np.array([number])})
        self.recorder.put(note)

    def count(self, name: str, **labels: str) -> float:
        return self.registry.get_sample_value(f"taxiway_inference_{name}_total", {"model": "m", **labels}) or 0.0

    def until(self, name: str, wanted: float, **labels: str) -> None:
        deadline = time.monotonic() + 30
        while self.count(name, **labels) < wanted:
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def until_failed(self) -> None:
        """Waits until the store has not taken a write."""
        deadline = time.monotonic() + 30
        while not any(each.failed for each in list(self.recorder._conversion._pending.values())):
            assert time.monotonic() < deadline
            time.sleep(0.02)


def rows(tables: Path, model: str = "m") -> Any:
    return DeltaTable(str(tables / model / "inference")).to_pandas()


@contextmanager
def full_disk() -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def test_rows_are_written_in_the_background_and_at_the_stop(tmp_path: Path) -> None:
    recording = Recording(tmp_path, seconds=0)
    recording.put(1.0)
    recording.until("recorded", 1)
    recording.put(2.0)
    recording.recorder.stop()
    assert sorted(rows(tmp_path)["input_x"]) == [1.0, 2.0]
    assert recording.count("recorded") == 2


def test_a_full_disk_loses_nothing_until_the_limit_and_is_logged_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    recording = Recording(tmp_path, seconds=0, most_bytes=10_000)
    with full_disk():
        for number in range(3):
            recording.put(float(number))
            time.sleep(1.1)
        assert recording.registry.get_sample_value("taxiway_inference_waiting") == 3
        for _ in range(2):
            recording.put(5.0, inputs={"x": np.zeros((2000, 2))})
            time.sleep(1.1)
        recording.until("dropped", 1, reason="store")
    recording.until("recorded", 3)
    recording.recorder.stop()
    assert recording.registry.get_sample_value("taxiway_inference_waiting") == 0
    found = rows(tmp_path)
    assert {"0.0", "1.0", "2.0"} <= set(found["request_id"])
    assert found["request_id"].nunique() + recording.count("dropped", reason="store") == 5
    assert len([each for each in caplog.records if each.levelno >= logging.WARNING]) == 1


def test_a_store_that_hangs_stops_neither_requests_nor_the_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(64)
        for name, value in {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{silent.getsockname()[1]}",
            "AWS_ACCESS_KEY_ID": "a",
            "AWS_SECRET_ACCESS_KEY": "b",
            "AWS_REGION": "us-east-1",
        }.items():
            monkeypatch.setenv(name, value)
        recording = Recording("s3://bucket/tables", seconds=0, most_requests=50, stop_seconds=0.5)
        recording.put()
        time.sleep(1.5)  # the thread now waits for the store
        began = time.perf_counter()
        for _ in range(100):
            recording.put()
        assert time.perf_counter() - began < 0.2
        assert recording.count("dropped", reason="full") == 50
        began = time.perf_counter()
        recording.recorder.stop()
        assert time.perf_counter() - began < 2


def test_an_object_store_that_goes_and_comes_back_gets_every_row_once(
    object_store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    import boto3

    boto3.resource("s3").create_bucket(Bucket="comes-back")
    monkeypatch.setattr(stores, "_PATIENCE", {"timeout": "2s", "connect_timeout": "1s", "max_retries": "0"})
    recording = Recording("s3://comes-back/tables", seconds=0)
    recording.put(1.0)
    recording.until("recorded", 1)
    object_store.stop()
    recording.put(2.0)
    recording.until_failed()
    recording.put(3.0)
    object_store.start()
    recording.until("recorded", 3)
    recording.recorder.stop()
    table = stores.opened("s3://comes-back/tables/m/inference")
    assert table
    found = table.to_pandas()
    assert sorted(found["request_id"]) == ["1.0", "2.0", "3.0"]
    assert recording.count("dropped", reason="store") == 0


def test_an_unparsable_example_loses_only_its_own_inputs(tmp_path: Path) -> None:
    from components.data.serving_stubs import example_pb2

    example = example_pb2.Example()
    example.features.feature["fare"].float_list.value.append(2.5)
    good = {"examples": np.array([example.SerializeToString()], object)}
    recording = Recording(tmp_path)
    for number in range(20):
        inputs = {"examples": np.array([b"\x0a\x02\xff\xff"], object)} if number == 7 else good
        recording.put(float(number), inputs=inputs, are_examples=True)
    recording.recorder.stop()
    found = rows(tmp_path).set_index("request_id")
    assert len(found) == 20 and (found["input_fare"].dropna() == 2.5).all()
    assert found["input_fare"].isna().sum() == 1 and np.isnan(found["input_fare"]["7.0"])
    assert recording.count("left_out", what="unreadable") == 1


def test_a_feature_of_another_type_once_loses_only_its_own_inputs(tmp_path: Path) -> None:
    from components.data.serving_stubs import example_pb2

    def sent(*values: float) -> dict[str, np.ndarray]:
        example = example_pb2.Example()
        feature = example.features.feature["fare"]
        (feature.int64_list if isinstance(values[0], int) else feature.float_list).value.extend(values)
        for name in ("company", "payment_type"):
            example.features.feature[name].bytes_list.value.append(b"cash")
        return {"examples": np.array([example.SerializeToString()], object)}

    class Fares(NamedTuple):
        version: int = 1

        def read(self) -> dict[str, str]:
            return {"company": "BYTES", "fare": "FLOAT", "payment_type": "BYTES"}

    recording = Recording(tmp_path)
    for number in range(20):
        inputs = sent(7) if number == 7 else sent(2.5)
        recording.put(float(number), inputs=inputs, are_examples=True, features=Fares())
    recording.recorder.stop()
    found = rows(tmp_path).set_index("request_id")
    assert found.index[found["input_fare"].isna()].tolist() == ["7.0"]
    assert (found["input_fare"].dropna() == 2.5).all()
    assert recording.count("left_out", what="unreadable") == 1


def test_versions_with_other_types_share_a_table(tmp_path: Path) -> None:
    recording = Recording(tmp_path)
    recording.put(inputs={"x": np.array([1], np.int64)})
    recording.put(inputs={"x": np.array([b"one"], object)})
    recording.put(inputs={"x": np.array([[1, 2]], np.int64), "z": np.array([True])})
    recording.recorder.stop()
    found = rows(tmp_path)
    assert len(found) == 3 and recording.count("recorded") == 3
    assert found["input_z"].dropna().tolist() == [True]
    texts = [name for name in found if name.startswith("input_x") and "one" in map(str, found[name])]
    assert len(texts) == 1


_KILLED = """
import sys, numpy as np
from prometheus_client import CollectorRegistry
from components.inference.requests import Content
from taxiway.recording.recorder import Recorder
from taxiway.recording.settings import Settings
from tests.object_store import ObjectStore
recorder = Recorder(Settings(tables=sys.argv[1], share=1.0, seconds=0), CollectorRegistry())
number = 0
while True:
    note = recorder.begin(str(number), "Predict", "GRPC")
    note.model, note.size, note.content = "m", 100, Content({"x": np.array([number])})
    recorder.put(note)
    number += 1
    if number % 50 == 0:
        print(number, flush=True)
        import time
        time.sleep(0.01)
"""


def test_kill_9_leaves_a_readable_table_without_duplicates(tmp_path: Path) -> None:
    for _ in range(2):
        with subprocess.Popen([sys.executable, "-c", _KILLED, str(tmp_path)], stdout=subprocess.PIPE) as process:
            deadline = time.monotonic() + 30
            before = _versions(tmp_path)
            while _versions(tmp_path) < before + 2:
                assert time.monotonic() < deadline
                time.sleep(0.01)
            process.kill()
    found = rows(tmp_path)
    assert len(found) > 0
    assert found.groupby("request_id").size().max() <= 2  # one of each process
    recording = Recording(tmp_path)
    recording.put(-1.0)
    recording.recorder.stop()
    assert len(rows(tmp_path)) == len(found) + 1


def _versions(tables: Path) -> int:
    return len(list((tables / "m" / "inference" / "_delta_log").glob("*.json")))
