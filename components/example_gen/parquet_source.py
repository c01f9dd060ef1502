"""Parquet files as Arrow in TFXIO's form; their footers determine the types."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from components.contract.errors import DataError
from components.data import examples
from components.data.column_names import require_distinct
from components.example_gen.source import require_same_columns

_LISTS = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
_INTEGERS = (pa.types.is_integer, pa.types.is_boolean, pa.types.is_timestamp, pa.types.is_date)
_FLOATS = (pa.types.is_floating, pa.types.is_decimal)
_TEXTS = (
    pa.types.is_string,
    pa.types.is_large_string,
    pa.types.is_binary,
    pa.types.is_large_binary,
    pa.types.is_fixed_size_binary,
)


class ParquetSource:
    """Parquet files with flat columns or lists; a null is a missing value.

    Integers and booleans become int64; timestamps and dates int64 seconds since 1970 (UTC), rounded down; floats and
    decimals float32; strings and binaries bytes. A column with integers in one file and floats in another is float, as
    in CSV.

    Raises:
        DataError: The data are wrong; names the file and column.
    """

    notes: list[str] = []

    def __init__(self, files: Sequence[Path]) -> None:
        self._types: dict[str, pa.DataType] = {}
        for file in files:
            schema = _schema(file)
            require_distinct(file, schema.names)
            self._types = self._types or dict.fromkeys(schema.names, pa.null())
            require_same_columns(file, schema.names, files[0], list(self._types))
            for field in schema:
                self._types[field.name] = _settled(file, field, self._types[field.name])

    @property
    def schema(self) -> pa.Schema:
        """The columns and types of every batch."""
        return pa.schema(list(self._types.items()))

    def read(self, file: Path) -> Iterator[pa.RecordBatch]:
        """Streams the rows of one of the files."""
        for batch in examples.read_parquet(file, list(self._types)):
            columns = [_converted(file, name, batch.column(name), kind) for name, kind in self._types.items()]
            yield pa.RecordBatch.from_arrays(columns, names=list(self._types))


def _schema(file: Path) -> pa.Schema:
    try:
        with pq.ParquetFile(file) as opened:
            if opened.metadata.num_rows == 0:
                raise DataError(f"{file} has no rows", fix="remove it, or write the file again")
            return opened.schema_arrow
    except (pa.ArrowInvalid, OSError) as error:
        raise DataError(f"{file} is not a readable Parquet file: {error}", fix="write the file again") from error


def _settled(file: Path, field: pa.Field, before: pa.DataType) -> pa.DataType:
    kind = _target(field.type)
    if kind is None:
        raise DataError(
            f"{file}, column {field.name!r}: a tf.Example cannot hold {field.type}",
            fix="write it as integers, floats, strings, or lists of these",
        )
    if pa.types.is_null(before) or kind == before:
        return kind
    if pa.types.is_null(kind):
        return before
    if pa.large_list(pa.large_binary()) not in (kind, before):
        return pa.large_list(pa.float32())
    raise DataError(
        f"{file}, column {field.name!r}: {field.type}, but {before.value_type} in earlier files",
        fix="write the column with the same type in all files",
    )


def _target(kind: pa.DataType) -> pa.DataType | None:
    if any(is_list(kind) for is_list in _LISTS):
        inner = kind.value_type
        return None if any(is_list(inner) for is_list in _LISTS) else _target(inner)
    if pa.types.is_dictionary(kind):
        return _target(kind.value_type)
    for wanted, accepted in (pa.int64(), _INTEGERS), (pa.float32(), _FLOATS), (pa.large_binary(), _TEXTS):
        if any(is_kind(kind) for is_kind in accepted):
            return pa.large_list(wanted)
    return pa.null() if pa.types.is_null(kind) else None


def _converted(file: Path, name: str, column: pa.Array, kind: pa.DataType) -> pa.Array:
    if pa.types.is_null(kind):
        return pa.nulls(len(column))
    try:
        column = examples.as_lists(_plain(column))
        # As floats, integers beyond 2**24 are rounded to float32.
        column = column.cast(kind, safe=False)
    except pa.ArrowInvalid as error:
        raise DataError(f"{file}, column {name!r}: {error}", fix="write values that the type can hold") from error
    if column.flatten().null_count:
        raise DataError(f"{file}, column {name!r}: a list contains a null", fix="remove the null from the list")
    return column


def _plain(column: pa.Array) -> pa.Array:
    """Converts types that Arrow cannot cast to a feature's type directly to types that it can."""
    kind = column.type
    if any(is_list(kind) for is_list in _LISTS):
        lists = column.cast(pa.large_list(kind.value_type))
        values = lists.flatten()
        return pa.LargeListArray.from_arrays(_offsets(lists), _plain(values), mask=lists.is_null())
    if pa.types.is_dictionary(kind):
        return column.dictionary_decode()
    if pa.types.is_timestamp(kind):
        return pc.floor_temporal(column, unit="second").cast(pa.timestamp("s", kind.tz)).cast(pa.int64())
    if pa.types.is_date(kind):
        return column.cast(pa.timestamp("s")).cast(pa.int64())
    return column.cast(pa.float64()) if pa.types.is_decimal(kind) else column


def _offsets(lists: pa.LargeListArray) -> pa.Array:
    lengths = pc.fill_null(pc.list_value_length(lists), 0)
    return pa.concat_arrays([pa.array([0], pa.int64()), pc.cumulative_sum(lengths).cast(pa.int64())])
