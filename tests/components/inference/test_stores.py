"""Object stores and folders that are away: told soon, in words, with what to look at."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from components.contract.errors import ServiceError
from components.inference import reading, stores, table
from components.monitoring.labels import add as labels
from components.monitoring.store import Store
from tests.components.inference.test_table import DAY, rows
from tests.object_store import ENVIRONMENT, ObjectStore

ROOT = "s3://taxiway-tables/watch/m"
LABELS = pa.table({"request_id": ["a"], "tips": [1.0]})
CALLS = {
    "append": lambda: table.append(ROOT, rows(DAY, input_n=[1])),
    "compact": lambda: table.compact(ROOT),
    "retain": lambda: table.retain(ROOT, 3),
    "changed": lambda: reading.changed(ROOT, None),
    "read": lambda: Store(ROOT).read("windows"),
    "version": lambda: Store(ROOT).version("windows"),
    "labels": lambda: labels.add(Store(ROOT), LABELS),
    "labels from a table": lambda: labels.add(Store(ROOT), f"{ROOT}/labels"),
}


@pytest.fixture
def closed(monkeypatch: pytest.MonkeyPatch) -> int:
    """A port that nobody listens on, where the store should be."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    for name, value in {**ENVIRONMENT, "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}"}.items():
        monkeypatch.setenv(name, value)
    return port


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_a_closed_port_is_told_soon_and_in_words(closed: int, call: Callable[[], object]) -> None:
    began = time.monotonic()
    with pytest.raises(ServiceError) as raised:
        call()
    assert time.monotonic() - began < 5
    text = str(raised.value)
    assert text.startswith(ROOT) and f"127.0.0.1:{closed}" in text and "Connection refused" in text
    assert "AWS_ENDPOINT_URL" in raised.value.fix and "\x1b" not in text and len(text.splitlines()) == 2


def test_a_store_that_goes_away_after_a_table_was_opened_is_told_alike(object_store: ObjectStore) -> None:
    import boto3

    with pytest.raises(ServiceError, match="NoSuchBucket: The specified bucket does not exist"):
        table.append(ROOT, rows(DAY, input_n=[1]))
    boto3.resource("s3").create_bucket(Bucket="taxiway-tables")
    assert Store(ROOT).version("windows") is None and reading.changed(ROOT, None) == (-1, [])
    table.append(ROOT, rows(DAY, input_n=[1]))
    opened = table.opened(ROOT)
    assert opened
    object_store.stop()
    with pytest.raises(ServiceError, match="Connection refused"), stores.reached(ROOT):
        opened.to_pyarrow_table()
    object_store.start()
    assert opened.to_pyarrow_table().num_rows == 1


def test_a_folder_that_cannot_be_written_is_told_with_a_fix(tmp_path: Path) -> None:
    (tmp_path / "m").write_text("not a folder")
    with pytest.raises(ServiceError, match="cannot be read or written") as raised:
        Store(str(tmp_path / "m")).append("labels", LABELS)
    assert "disk" in raised.value.fix
