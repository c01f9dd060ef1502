"""The Examples artifact as Arrow: how stages read and write rows.

Every batch has TFXIO's form, in memory and in Parquet: a column is `large_list<int64 | float | large_binary>`, with one
list per row. A null is a missing feature; an empty list is a feature that is present and has no values. TFX, TFDV, TFT
and TFMA accept such batches unchanged. The request logs of a model server are Examples too, but read-only.
"""

from __future__ import annotations

import functools
import gzip
import json
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from components.contract import files
from components.contract.artifacts import Artifact, split_names, split_path
from components.contract.errors import DataError, UserError
from components.data import prediction_logs, tf_example, tfrecord
from components.data.column_names import require_distinct

PARQUET = "parquet"
TF_EXAMPLE = "tf_example"
PREDICTION_LOG = "prediction_log"
PAYLOAD_FORMATS = {PARQUET: "FORMAT_PARQUET", TF_EXAMPLE: "FORMAT_TF_EXAMPLE"}
"""The values of a stage's `payload_format`, and TFX's names for them."""

_READABLE = {**PAYLOAD_FORMATS, PREDICTION_LOG: "FORMAT_PREDICTION_LOG"}

BATCH_ROWS = 10_000
"""Rows per batch: enough to amortize the cost of Python, but few enough to keep memory use constant."""

BATCH_BYTES = 64 << 20
"""The size limit of a batch: batches of long rows (images, text) have fewer rows."""

_ROW_GROUP_ROWS = 128_000


def payload_format(examples: Artifact) -> str:
    """`parquet`, `tf_example` or `prediction_log`: from TFX's property, or else from the files."""
    named = examples.metadata.get("payload_format")
    if named in (None, ""):
        return _format_of_files(examples)
    for ours, tfx in _READABLE.items():
        if named == tfx:
            return ours
    raise UserError(f"{examples.path} has payload_format {named}", fix=f"use one of {', '.join(_READABLE.values())}")


def _format_of_files(examples: Artifact) -> str:
    if any(examples.path.glob("Split-*/*.parquet")):
        return PARQUET
    folders = sorted(folder for folder in examples.path.glob("Split-*") if folder.is_dir())
    records = (record for folder in folders for file in _data_files(folder) for record in tfrecord.read_records(file))
    return PREDICTION_LOG if prediction_logs.is_log(next(records, b"")) else TF_EXAMPLE


def written_format(examples: Artifact) -> str:
    """The default payload format for output made from these examples: their own, or Parquet for logs."""
    found = payload_format(examples)
    return found if found in PAYLOAD_FORMATS else PARQUET


def require_payload_format(name: str) -> None:
    """Refuses an unknown payload format.

    Raises:
        UserError: It is not one of `PAYLOAD_FORMATS`.
    """
    if name not in PAYLOAD_FORMATS:
        raise UserError(f"payload_format is {name!r}", fix=f"use one of {', '.join(PAYLOAD_FORMATS)}")


def require_splits(examples: Artifact, wanted: list[str]) -> list[str]:
    """The wanted splits, or all splits if none are named.

    Raises:
        UserError: The artifact has no such split.
    """
    there = split_names(examples)
    for name in wanted:
        if name not in there:
            raise UserError(f"there is no split {name!r} in {examples.path}", fix=f"it has {', '.join(there)}")
    return wanted or there


def split_files(examples: Artifact, split: str) -> list[Path]:
    """The data files of a split, sorted.

    Raises:
        UserError: There is no such split.
        DataError: The split has no folder.
    """
    require_splits(examples, [split])
    folder = split_path(examples, split)
    if not folder.is_dir():
        raise DataError(f"there is no folder {folder}", fix=f"put the files of the split {split!r} there")
    return _data_files(folder)


def _data_files(folder: Path) -> list[Path]:
    return sorted(file for file in folder.iterdir() if file.is_file() and not file.name.startswith((".", "_")))


def row_count(examples: Artifact, split: str) -> int:
    """The number of rows of a split."""
    files = split_files(examples, split)
    found = payload_format(examples)
    if found == PARQUET:
        return sum(pq.read_metadata(file).num_rows for file in files)
    if found == PREDICTION_LOG:
        return sum(1 for _ in prediction_logs.read_rows(files))
    return sum(1 for file in files for _ in tfrecord.read_records(file))


def read_batches(
    examples: Artifact,
    split: str,
    *,
    columns: list[str] | None = None,
    batch_rows: int = BATCH_ROWS,
    schema: bytes | None = None,
) -> Iterator[pa.RecordBatch]:
    """Streams a split's rows in TFXIO's form.

    Args:
        examples: An Examples artifact of any payload format, ours or TFX's.
        split: The split's name.
        columns: The features to read; default: all. Batches leave out features that their file lacks.
        batch_rows: The maximum number of rows in a batch.
        schema: A serialized tensorflow_metadata Schema that determines the types of tf.Example features.

    Raises:
        DataError: A file is damaged.
    """
    files, found = split_files(examples, split), payload_format(examples)
    if found == PREDICTION_LOG:
        # All files together: logs are many small files, and a feature must have one type in all of them.
        yield from prediction_logs.read_batches(files, columns, batch_rows, BATCH_BYTES, schema)
        return
    for file in files:
        yield from read_piece(Piece(file, found), columns=columns, batch_rows=batch_rows, schema=schema)


@dataclass(frozen=True)
class Piece:
    """A part of a split that can be read on its own.

    Attributes:
        file: One of the split's files.
        payload_format: The file's payload format.
        row_group: The row group of a Parquet file; default: all.
    """

    file: Path
    payload_format: str
    row_group: int | None = None


def pieces(examples: Artifact, split: str) -> list[Piece]:
    """The pieces that several readers can share: the row groups of Parquet files, or whole TFRecord files.

    Raises:
        UserError: There is no such split.
    """
    files, found = split_files(examples, split), payload_format(examples)
    if found != PARQUET:
        return [Piece(file, found) for file in files]
    return [
        Piece(file, found, row_group=number)
        for file in files
        for number in range(pq.read_metadata(file).num_row_groups)
    ]


def read_piece(
    piece: Piece, *, columns: list[str] | None = None, batch_rows: int = BATCH_ROWS, schema: bytes | None = None
) -> Iterator[pa.RecordBatch]:
    """Streams a piece's rows in TFXIO's form; for the arguments see `read_batches`."""
    if piece.payload_format == PARQUET:
        yield from map(to_tfxio_form, read_parquet(piece.file, columns, batch_rows, piece.row_group))
    elif piece.payload_format == PREDICTION_LOG:
        yield from prediction_logs.read_batches([piece.file], columns, batch_rows, BATCH_BYTES, schema)
    else:
        yield from read_tf_examples(piece.file, columns, batch_rows, schema)


def read_parquet(
    file: Path, columns: list[str] | None = None, batch_rows: int = BATCH_ROWS, row_group: int | None = None
) -> Iterator[pa.RecordBatch]:
    """Streams the rows of a Parquet file or of one row group, with the file's own types.

    Raises:
        DataError: The file is damaged.
    """
    try:
        with pq.ParquetFile(file) as opened:
            names = opened.schema_arrow.names
            require_distinct(file, names)
            kept = names if columns is None else [name for name in columns if name in names]
            groups = None if row_group is None else [row_group]
            yield from opened.iter_batches(_batch_rows(opened.metadata, batch_rows), groups, kept)
    except (pa.ArrowInvalid, OSError) as error:
        raise DataError(f"{file} is not a readable Parquet file: {error}", fix="write the file again") from error


def _batch_rows(file: pq.FileMetaData, wanted: int) -> int:
    held: int = sum(file.row_group(number).total_byte_size for number in range(file.num_row_groups))
    rows: int = file.num_rows
    return max(1, min(wanted, BATCH_BYTES * rows // max(held, 1)))


def read_tf_examples(
    file: Path,
    columns: list[str] | None = None,
    batch_rows: int = BATCH_ROWS,
    schema: bytes | None = None,
    *,
    is_checked: bool = False,
) -> Iterator[pa.RecordBatch]:
    """Streams a TFRecord file of tf.Example in TFXIO's form.

    Without a schema, a batch has the features of its own records; a feature without values has Arrow's null type.
    `is_checked` skips the check that records are tf.Examples, for files that were checked before.

    Raises:
        DataError: The file is damaged, a record is not a tf.Example, or a feature changes its type within a batch.
    """
    from tfx_bsl.coders.example_coder import ExamplesToRecordBatchDecoder

    decoder = ExamplesToRecordBatchDecoder(schema)
    first = 1
    for records in tfrecord.chunks(tfrecord.read_records(file), batch_rows, BATCH_BYTES, size=len):
        if not is_checked:
            _require_tf_examples(file, records, first)
        try:
            batch = decoder.DecodeBatch(records)
        except RuntimeError as error:
            raise DataError(
                f"{file}, records {first} to {first + len(records) - 1}: {error}",
                fix="write every record as a tf.Example, and every feature with a single type",
            ) from error
        yield batch if columns is None else batch.select([c for c in columns if c in batch.schema.names])
        first += len(records)


def require_tf_examples(file: Path) -> None:
    """Checks a TFRecord file that other code reads.

    Raises:
        DataError: The file is damaged, or a record is not a tf.Example; names the record.
    """
    _require_tf_examples(file, tfrecord.read_records(file), 1)


def _require_tf_examples(file: Path, records: Iterable[bytes], first: int) -> None:
    if found := tf_example.first_fault(records):
        raise DataError(
            f"{file}, record {first + found[0]}: {found[1]}",
            fix="write each record as one tf.Example, with the lists of a tf.SequenceExample as features",
        )


def column_of(batch: pa.RecordBatch, field: pa.Field) -> pa.Array:
    """The batch's column of a field's name; nulls of the field's type where it is missing or has no type."""
    index = batch.schema.get_field_index(field.name)
    if index < 0 or pa.types.is_null(batch.column(index).type):
        return pa.nulls(batch.num_rows, field.type)
    return batch.column(index)


def to_tfxio_form(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Converts flat columns (one value per row) and narrower types to TFXIO's lists; keeps other columns unchanged."""
    return pa.RecordBatch.from_arrays([as_lists(column) for column in batch.columns], names=batch.schema.names)


def as_lists(column: pa.Array) -> pa.Array:
    """A column of integers, booleans, floats, strings, or lists of these, in TFXIO's form."""
    kind = column.type
    if pa.types.is_null(kind):
        return column
    settled = pa.types.is_large_list(kind) and kind.value_type in (pa.int64(), pa.float32(), pa.large_binary())
    # Parquet names a list's values "element", but some code in tfx_bsl expects the name "item".
    if settled and kind.value_field.name == "item":
        return column
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return column.cast(pa.large_list(_value_type(kind.value_type)))
    present = pc.is_valid(column)
    offsets = pc.cumulative_sum(pc.cast(present, pa.int64()))
    return pa.LargeListArray.from_arrays(
        pa.concat_arrays([pa.array([0], pa.int64()), offsets]),
        column.drop_null().cast(_value_type(kind)),
        mask=pc.invert(present) if column.null_count else None,
    )


def _value_type(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_integer(kind) or pa.types.is_boolean(kind):
        return pa.int64()
    if pa.types.is_floating(kind):
        return pa.float32()
    return pa.large_binary()


def encode_tf_examples(batch: pa.RecordBatch) -> list[bytes]:
    """Serializes rows in TFXIO's form as tf.Examples, with features sorted by name as in deterministic protobuf.

    tfx_bsl's encoder writes the features of a row in arbitrary order. But given a single column, it writes one map
    entry per row, and a tf.Example is just the length of its entries followed by the entries.
    """
    from tfx_bsl.coders.example_coder import RecordBatchToExamplesEncoder

    encoder = RecordBatchToExamplesEncoder()
    names = sorted(batch.schema.names, key=str.encode)
    columns = [encoder.encode(encodable(batch.select([name]))) for name in names]
    bodies = (b"".join(map(_without_length, entries)) for entries in zip(*columns, strict=True))
    return [_FEATURES_TAG + _varint(len(body)) + body for body in bodies]


_FEATURES_TAG = b"\n"
"""Field 1 of tf.Example, length-delimited."""


def encodable(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The batch for tfx_bsl's encoder, which only accepts lists: columns without any value get a type."""
    # The encoder turns a null of any type into a feature without a kind.
    nulls = pa.large_list(pa.int64())
    columns = [each.cast(nulls) if pa.types.is_null(each.type) else each for each in batch.columns]
    return pa.RecordBatch.from_arrays(columns, names=batch.schema.names)


def _without_length(record: bytes) -> bytes:
    start = 1
    while record[start] & 0x80:
        start += 1
    return record[start + 1 :]


@functools.lru_cache(maxsize=1 << 16)
def _varint(number: int) -> bytes:
    low, rest = number & 0x7F, number >> 7
    return bytes([low | 0x80]) + _varint(rest) if rest else bytes([low])


class SplitWriter:
    """Writes one split of an Examples artifact as a single shard; a context manager.

    The file gets its final name when the block ends without an error.
    """

    def __init__(self, examples: Artifact, split: str, payload_format: str = PARQUET) -> None:
        self.rows = 0
        self._folder = split_path(examples, split)
        name = "data_parquet-00000-of-00001.parquet" if payload_format == PARQUET else "data_tfrecord-00000-of-00001.gz"
        self._target = self._folder / name
        self._payload_format = payload_format
        self._shard: _ParquetShard | _TfExampleShard | None = None
        self._at_end = ExitStack()

    def __enter__(self) -> SplitWriter:
        self._folder.mkdir(parents=True, exist_ok=True)
        return self

    def write(self, batch: pa.RecordBatch) -> None:
        """Appends rows in TFXIO's form; every batch must have the same columns and types."""
        self.rows += batch.num_rows
        self._shard = self._shard or self._opened()
        self._shard.write(batch)

    def _opened(self) -> _ParquetShard | _TfExampleShard:
        # Readers ignore the temporary name, which starts with a dot. The stage syncs the whole artifact at its end.
        partial = self._at_end.enter_context(files.whole(self._target))
        shard = _ParquetShard(partial) if self._payload_format == PARQUET else _TfExampleShard(partial)
        self._at_end.push(shard)
        return shard

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._at_end.__exit__(kind, error, tb)


class _ParquetShard:
    """Collects batches into row groups: one group per small batch would make the file large and slow to read."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: pq.ParquetWriter | None = None
        self._waiting: list[pa.RecordBatch] = []
        self._rows = self._bytes = 0

    def write(self, batch: pa.RecordBatch) -> None:
        self._waiting.append(batch)
        self._rows += batch.num_rows
        self._bytes += batch.nbytes
        if self._rows >= _ROW_GROUP_ROWS or self._bytes >= BATCH_BYTES:
            self._write_group()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        try:
            if kind is None and self._waiting:
                self._write_group()
        finally:
            if self._file is not None:
                self._file.close()

    def _write_group(self) -> None:
        table = pa.Table.from_batches(self._waiting)
        self._waiting = []
        self._rows = self._bytes = 0
        if self._file is None:
            self._file = pq.ParquetWriter(self._path, table.schema, compression="zstd")
        self._file.write_table(table)


class _TfExampleShard:
    def __init__(self, path: Path) -> None:
        # No timestamp in the header, so that equal rows make equal files.
        self._file = gzip.GzipFile(path, "wb", compresslevel=6, mtime=0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._file.close()

    def write(self, batch: pa.RecordBatch) -> None:
        tfrecord.write_records(self._file, encode_tf_examples(batch))


def describe(examples: Artifact, splits: list[str], payload_format: str) -> None:
    """Sets TFX's properties of an Examples artifact."""
    examples.metadata["split_names"] = json.dumps(splits)
    examples.metadata["payload_format"] = PAYLOAD_FORMATS[payload_format]
    examples.metadata["file_format"] = "parquet" if payload_format == PARQUET else "tfrecords_gzip"
