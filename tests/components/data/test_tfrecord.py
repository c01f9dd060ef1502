from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from components.contract.errors import DataError
from components.data import tfrecord

RECORDS = [b"first", b"", b"x" * 100_000]


def write(path: Path, records: list[bytes] = RECORDS, *, compressed: bool = True) -> Path:
    with gzip.open(path, "wb") if compressed else path.open("wb") as file:
        tfrecord.write_records(file, records)
    return path


@pytest.mark.parametrize("compressed", [True, False])
def test_records_are_read_back(tmp_path: Path, compressed: bool) -> None:
    assert list(tfrecord.read_records(write(tmp_path / "records", compressed=compressed))) == RECORDS


@pytest.mark.parametrize("compressed", [True, False])
def test_tensorflow_reads_our_records_and_we_read_its(tmp_path: Path, compressed: bool) -> None:
    import tensorflow as tf

    compression = "GZIP" if compressed else ""
    path = write(tmp_path / "ours", compressed=compressed)
    assert list(tf.data.TFRecordDataset(str(path), compression).as_numpy_iterator()) == RECORDS

    theirs = tmp_path / "theirs"
    with tf.io.TFRecordWriter(str(theirs), compression) as writer:
        for record in RECORDS:
            writer.write(record)
    assert list(tfrecord.read_records(theirs)) == RECORDS


def test_an_empty_file_has_no_records(tmp_path: Path) -> None:
    path = tmp_path / "empty"
    path.touch()
    assert list(tfrecord.read_records(path)) == []


@pytest.mark.parametrize("kept", [5, 14, 25, -1])
def test_a_truncated_file_is_reported(tmp_path: Path, kept: int) -> None:
    path = write(tmp_path / "records", [b"abc", b"defg"], compressed=False)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(DataError, match=f"{path} is damaged at record [12]: "):
        list(tfrecord.read_records(path))


def test_a_truncated_gzip_file_is_reported(tmp_path: Path) -> None:
    path = write(tmp_path / "records.gz")
    path.write_bytes(path.read_bytes()[:-12])
    with pytest.raises(DataError, match=r"damaged at record \d: Compressed file ended"):
        list(tfrecord.read_records(path))


@pytest.mark.parametrize(("position", "wrong"), [(0, "length"), (9, "length"), (13, "data"), (16, "data")])
def test_a_flipped_bit_is_reported(tmp_path: Path, position: int, wrong: str) -> None:
    path = write(tmp_path / "records", [b"abc"], compressed=False)
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)
    with pytest.raises(DataError, match=f"damaged at record 1: the checksum of the {wrong} is wrong"):
        list(tfrecord.read_records(path))
