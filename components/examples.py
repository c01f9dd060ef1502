"""The Examples artifact as Arrow: how stages read and write rows.

Every batch has TFXIO's form, in memory and in Parquet alike: a column is `large_list<int64 | float | large_binary>`,
one list a row; a null is a missing feature, an empty list a feature that is there and empty. TFX, TFDV, TFT and TFMA
take such batches as they are.
"""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from components import tfrecord
from components.artifacts import Artifact, split_names, split_path
from components.errors import DataError, UserError

PARQUET = "parquet"
TF_EXAMPLE = "tf_example"
PAYLOAD_FORMATS = {PARQUET: "FORMAT_PARQUET", TF_EXAMPLE: "FORMAT_TF_EXAMPLE"}
"""The values of a stage's `payload_format`, and TFX's names of them."""

BATCH_ROWS = 10_000
"""Rows a batch: large enough that the work is in the libraries, small enough that memory stays flat."""


def payload_format(examples: Artifact) -> str:
    """`parquet` or `tf_example`: from TFX's property, else from the files."""
    named = examples.metadata.get("payload_format")
    if named in (None, ""):
        return PARQUET if any(examples.path.glob("Split-*/*.parquet")) else TF_EXAMPLE
    for ours, tfx in PAYLOAD_FORMATS.items():
        if named == tfx:
            return ours
    raise UserError(f"{examples.path} holds {named}", mend=f"use one of {', '.join(PAYLOAD_FORMATS.values())}")


def require_splits(examples: Artifact, wanted: list[str]) -> list[str]:
    """The wanted splits, or all where none is named.

    Raises:
        UserError: The artifact has no split of such a name.
    """
    there = split_names(examples)
    for name in wanted:
        if name not in there:
            raise UserError(f"there is no split {name!r} in {examples.path}", mend=f"it has {', '.join(there)}")
    return wanted or there


def split_files(examples: Artifact, split: str) -> list[Path]:
    """The data files of a split, sorted.

    Raises:
        UserError: There is no such split.
    """
    require_splits(examples, [split])
    folder = split_path(examples, split)
    return sorted(file for file in folder.iterdir() if file.is_file() and not file.name.startswith((".", "_")))


def row_count(examples: Artifact, split: str) -> int:
    """The number of rows of a split."""
    files = split_files(examples, split)
    if payload_format(examples) == PARQUET:
        return sum(pq.read_metadata(file).num_rows for file in files)
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
        examples: An Examples artifact of either payload format, ours or TFX's.
        split: The split's name.
        columns: The features to read; all by default. One that a file lacks is absent from its batches.
        batch_rows: The most rows in a batch.
        schema: A serialized tensorflow_metadata Schema, to settle the types of tf.Example features.

    Raises:
        DataError: A file is damaged.
    """
    for file in split_files(examples, split):
        if payload_format(examples) == PARQUET:
            yield from _read_parquet(file, columns, batch_rows)
        else:
            yield from _read_tf_examples(file, columns, batch_rows, schema)


def _read_parquet(file: Path, columns: list[str] | None, batch_rows: int) -> Iterator[pa.RecordBatch]:
    try:
        with pq.ParquetFile(file) as opened:
            names = opened.schema_arrow.names
            kept = names if columns is None else [name for name in columns if name in names]
            for batch in opened.iter_batches(batch_rows, columns=kept):
                yield to_tfxio_form(batch)
    except (pa.ArrowInvalid, OSError) as error:
        raise DataError(f"{file} is not a readable Parquet file: {error}", mend="write the file again") from error


def _read_tf_examples(
    file: Path, columns: list[str] | None, batch_rows: int, schema: bytes | None
) -> Iterator[pa.RecordBatch]:
    from tfx_bsl.coders.example_coder import ExamplesToRecordBatchDecoder

    decoder = ExamplesToRecordBatchDecoder(schema)
    for records in _chunks(tfrecord.read_records(file), batch_rows):
        batch = decoder.DecodeBatch(records)
        yield batch if columns is None else batch.select([c for c in columns if c in batch.schema.names])


def _chunks(records: Iterator[bytes], size: int) -> Iterator[list[bytes]]:
    chunk: list[bytes] = []
    for record in records:
        chunk.append(record)
        if len(chunk) == size:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def to_tfxio_form(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Turns flat columns (one value a row) and narrower types into TFXIO's lists; leaves the others as they are."""
    return pa.RecordBatch.from_arrays([_as_lists(column) for column in batch.columns], names=batch.schema.names)


def _as_lists(column: pa.Array) -> pa.Array:
    kind = column.type
    if pa.types.is_null(kind):
        return column
    if pa.types.is_large_list(kind) and kind.value_type in (pa.int64(), pa.float32(), pa.large_binary()):
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


class SplitWriter:
    """Writes one split of an Examples artifact as a single shard; a context manager.

    The file appears under its name when the block ends without an error.
    """

    def __init__(self, examples: Artifact, split: str, payload_format: str = PARQUET) -> None:
        self.rows = 0
        self._format = payload_format
        self._folder = split_path(examples, split)
        name = "data_parquet-00000-of-00001.parquet" if payload_format == PARQUET else "data_tfrecord-00000-of-00001.gz"
        self._target = self._folder / name
        # Readers pass over names that start with a dot.
        self._partial = self._folder / f".{name}.partial"
        self._parquet: pq.ParquetWriter | None = None
        self._records: IO[bytes] | None = None
        self._encoder: Any = None

    def __enter__(self) -> SplitWriter:
        self._folder.mkdir(parents=True, exist_ok=True)
        return self

    def write(self, batch: pa.RecordBatch) -> None:
        """Appends rows in TFXIO's form; every batch has the same columns and types."""
        self.rows += batch.num_rows
        if self._format == PARQUET:
            self._write_parquet(batch)
        else:
            self._write_tf_examples(batch)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        for file in (self._parquet, self._records):
            if file is not None:
                file.close()
        if kind is None and self._partial.exists():
            os.replace(self._partial, self._target)
        else:
            self._partial.unlink(missing_ok=True)

    def _write_parquet(self, batch: pa.RecordBatch) -> None:
        if self._parquet is None:
            self._parquet = pq.ParquetWriter(self._partial, batch.schema, compression="zstd")
        self._parquet.write_batch(batch)

    def _write_tf_examples(self, batch: pa.RecordBatch) -> None:
        if self._records is None:
            from tfx_bsl.coders.example_coder import RecordBatchToExamplesEncoder

            self._encoder = RecordBatchToExamplesEncoder()
            # No time of writing in the header: equal rows make equal files.
            self._records = gzip.GzipFile(self._partial, "wb", compresslevel=6, mtime=0)  # type: ignore[assignment]
        assert self._records
        tfrecord.write_records(self._records, self._encoder.encode(batch))


def describe(examples: Artifact, splits: list[str], payload_format: str) -> None:
    """Sets TFX's properties of an Examples artifact."""
    examples.metadata["split_names"] = json.dumps(splits)
    examples.metadata["payload_format"] = PAYLOAD_FORMATS[payload_format]
    examples.metadata["file_format"] = "parquet" if payload_format == PARQUET else "tfrecords_gzip"
