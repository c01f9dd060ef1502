from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.contract.artifacts import Examples
from components.contract.errors import DataError, UserError
from components.data import examples as examples_module
from components.data.examples import (
    PARQUET,
    PAYLOAD_FORMATS,
    TF_EXAMPLE,
    SplitWriter,
    describe,
    payload_format,
    read_batches,
    row_count,
    split_files,
    to_tfxio_form,
)

SCHEMA = pa.schema(
    {
        "int": pa.large_list(pa.int64()),
        "float": pa.large_list(pa.float32()),
        "bytes": pa.large_list(pa.large_binary()),
        "nothing": pa.null(),
    }
)
ROWS = [
    {"int": [1], "float": [0.5], "bytes": [b"a"], "nothing": None},
    {"int": None, "float": [], "bytes": [b"\xff", b""], "nothing": None},
    {"int": [-(2**63), 2**63 - 1], "float": None, "bytes": None, "nothing": None},
]


def batch(rows: list[dict] = ROWS, schema: pa.Schema = SCHEMA) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist(rows, schema)


def write(folder: Path, payload: str, batches: Iterable[pa.RecordBatch]) -> Examples:
    written = Examples(folder)
    with SplitWriter(written, "train", payload) as writer:
        for each in batches:
            writer.write(each)
    describe(written, ["train"], payload)
    return written


@pytest.mark.parametrize("payload", [PARQUET, TF_EXAMPLE])
def test_both_payload_formats_return_the_written_rows(tmp_path: Path, payload: str) -> None:
    written = write(tmp_path / "examples", payload, [batch(), batch()])
    (back,) = read_batches(written, "train")
    assert back.select(SCHEMA.names).to_pylist() == ROWS * 2
    assert {name: back.schema.field(name).type for name in SCHEMA.names} == dict(
        zip(SCHEMA.names, SCHEMA.types, strict=True)
    )
    assert row_count(written, "train") == 6


@pytest.mark.parametrize("payload", [PARQUET, TF_EXAMPLE])
def test_equal_rows_give_identical_files(tmp_path: Path, payload: str) -> None:
    files = [split_files(write(tmp_path / name, payload, [batch()]), "train")[0] for name in ("one", "two")]
    assert files[0].read_bytes() == files[1].read_bytes()


@pytest.mark.parametrize("payload", [PARQUET, TF_EXAMPLE])
def test_columns_and_batch_size_can_be_selected(tmp_path: Path, payload: str) -> None:
    written = write(tmp_path / "examples", payload, [batch()] * 3)
    batches = list(read_batches(written, "train", columns=["bytes", "unknown"], batch_rows=4))
    assert [b.num_rows for b in batches] == [4, 4, 1]
    assert all(b.schema.names == ["bytes"] for b in batches)


def test_batches_of_long_rows_have_fewer_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(examples_module, "BATCH_BYTES", 30_000)
    rows = [{**ROWS[0], "bytes": [bytes([i]) * 10_000]} for i in range(20)]
    for payload in PAYLOAD_FORMATS:
        batches = list(read_batches(write(tmp_path / payload, payload, [batch(rows)]), "train"))
        assert max(b.num_rows for b in batches) <= 10
        assert sum(b.num_rows for b in batches) == 20


def test_small_batches_share_row_groups(tmp_path: Path) -> None:
    (file,) = split_files(write(tmp_path / "examples", PARQUET, [batch()] * 1000), "train")
    assert pq.read_metadata(file).num_row_groups == 1


@pytest.mark.parametrize("payload", [PARQUET, TF_EXAMPLE])
def test_a_failure_leaves_no_file(tmp_path: Path, payload: str) -> None:
    def batches() -> Iterator[pa.RecordBatch]:
        yield batch()
        raise RuntimeError("on purpose")

    with pytest.raises(RuntimeError, match="on purpose"):
        write(tmp_path / "examples", payload, batches())
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_flat_columns_become_lists() -> None:
    flat = pa.record_batch(
        {
            "int": pa.array([1, None], pa.int8()),
            "bool": [True, None],
            "float": pa.array([None, 0.5], pa.float64()),
            "text": ["ü", None],
            "list": pa.array([[1], None], pa.list_(pa.int32())),
        }
    )
    assert to_tfxio_form(flat).to_pydict() == {
        "int": [[1], None],
        "bool": [[1], None],
        "float": [None, [0.5]],
        "text": [["ü".encode()], None],
        "list": [[1], None],
    }


def test_properties_are_those_of_tfx(tmp_path: Path) -> None:
    written = write(tmp_path / "examples", PARQUET, [batch()])
    assert written.metadata == {
        "split_names": json.dumps(["train"]),
        "payload_format": "FORMAT_PARQUET",
        "file_format": "parquet",
    }


@pytest.mark.parametrize("payload", [PARQUET, TF_EXAMPLE])
def test_the_payload_format_is_detected_from_files(tmp_path: Path, payload: str) -> None:
    written = write(tmp_path / "examples", payload, [batch()])
    assert payload_format(Examples(written.path)) == payload
    assert [b.num_rows for b in read_batches(Examples(written.path), "train")] == [3]


def test_an_unknown_payload_format_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="has payload_format FORMAT_PROTO"):
        payload_format(Examples(tmp_path, {"payload_format": "FORMAT_PROTO"}))


def test_an_unknown_split_is_refused(tmp_path: Path) -> None:
    written = write(tmp_path / "examples", PARQUET, [batch()])
    with pytest.raises(UserError, match="there is no split 'evil'"):
        list(read_batches(written, "evil"))


def test_a_damaged_parquet_file_is_named(tmp_path: Path) -> None:
    written = write(tmp_path / "examples", PARQUET, [batch()])
    (file,) = split_files(written, "train")
    file.write_bytes(file.read_bytes()[:-20])
    with pytest.raises(DataError, match=f"{file} is not a readable Parquet file"):
        list(read_batches(written, "train"))


def test_a_record_that_is_not_an_example_is_named(tmp_path: Path) -> None:
    from components.data import tfrecord

    folder = tmp_path / "Split-train"
    folder.mkdir()
    with (folder / "data_tfrecord-00000-of-00001").open("wb") as file:
        tfrecord.write_records(file, [b"\xff\xff"])
    with pytest.raises(DataError, match=r"record 1: is not a tf\.Example"):
        list(read_batches(Examples(tmp_path), "train"))
