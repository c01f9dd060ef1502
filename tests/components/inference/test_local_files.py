"""Tables in folders are read by Arrow alone: a process that has read one ends as it should."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import NoReturn

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake
from deltalake.fs import DeltaStorageHandler

from components.inference import reading, table
from components.inference.local_files import local_files
from components.monitoring.store import Store
from tests.components.monitoring.passes.watched import START, recorded, spread


def _refused(*_: object) -> NoReturn:
    raise AssertionError("a file is read through Python")


@pytest.mark.parametrize("name", ["taxi", "a model, 100 % ü"])
def test_files_in_a_folder_are_not_read_through_python(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    store = Store(str(tmp_path / name))
    table.append(store.root, recorded(spread(START, 50)))
    write_deltalake(store.path("other"), pa.table({"a": [1, 2]}))
    version = store.version("inference")
    assert version is not None
    for method in ("open_input_file", "open_input_stream"):
        monkeypatch.setattr(DeltaStorageHandler, method, _refused)
    found = reading.batches(store.root, version, START, START + timedelta(hours=1), ["time"])
    assert sum(batch.num_rows for batch in found) == 50
    assert store.read("other", [("a", ">", 1)]).to_pylist() == [{"a": 2}]
    with pytest.raises(AssertionError, match="through Python"):
        DeltaTable(store.path("other")).to_pyarrow_table()


def test_an_object_store_is_read_by_delta_rs() -> None:
    class Remote:
        table_uri = "s3://bucket/watch/taxi"

    assert local_files(Remote()) is None  # type: ignore[arg-type]
