"""Reads examples from a CSV, Parquet or JSON file as Arrow batches."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from components.contract.errors import DataError, UserError
from components.data import column_names
from components.data.examples import read_parquet

SUFFIXES = (".csv", ".parquet", ".json", ".jsonl")


@dataclass(frozen=True)
class ExamplesFile:
    """A file of examples.

    Attributes:
        path: The file.
        names: The names of its columns.
        types: Returns the type of each column. For CSV, reads the whole file and returns the narrowest of int64, double
            and string that fits all values.
        is_text: Whether all columns are read as strings, as in CSV.
        batches: Reads the file from the start, in batches with a maximum number of rows.
    """

    path: Path
    names: list[str]
    types: Callable[[], dict[str, pa.DataType]]
    is_text: bool
    batches: Callable[[int], Iterator[pa.RecordBatch]]


def _csv(path: Path) -> ExamplesFile:
    def texts() -> Iterator[pa.RecordBatch]:
        # An empty cell is a missing value; a quoted empty cell is an empty string.
        convert = pyarrow.csv.ConvertOptions(
            column_types=dict.fromkeys(written, pa.string()),
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        )
        parse = pyarrow.csv.ParseOptions(newlines_in_values=True)
        try:
            with pyarrow.csv.open_csv(path, parse_options=parse, convert_options=convert) as opened:
                yield from (batch.rename_columns(names) for batch in opened)
        except pa.ArrowInvalid as error:
            raise DataError(f"{path}: {error}", fix="write it as CSV in UTF-8, with a header") from error

    def batches(rows: int) -> Iterator[pa.RecordBatch]:
        return _rebatched(texts(), rows)

    written = _written_names(path)
    names = column_names.of_header(written)
    column_names.require_distinct(path, names)
    return ExamplesFile(path, names, lambda: _narrowest_types(texts()), is_text=True, batches=batches)


def _written_names(path: Path) -> list[str]:
    try:
        with pyarrow.csv.open_csv(path) as opened:
            names: list[str] = opened.schema.names
    except pa.ArrowInvalid as error:
        raise DataError(f"{path}: {error}", fix="write it as CSV in UTF-8, with a header") from error
    return names


def _narrowest_types(batches: Iterator[pa.RecordBatch]) -> dict[str, pa.DataType]:
    found: dict[str, pa.DataType] = {}
    for batch in batches:
        for name, values in zip(batch.schema.names, batch.columns, strict=True):
            found[name] = _narrowest(values, found.get(name, pa.null()))
    return found


_WIDER = [pa.null(), pa.int64(), pa.float64(), pa.string()]


def _narrowest(texts: pa.Array, known: pa.DataType) -> pa.DataType:
    if texts.null_count == len(texts):
        return known
    for kind in _WIDER[max(1, _WIDER.index(known)) : -1]:
        try:
            texts.cast(kind)
            return kind
        except pa.ArrowInvalid:
            continue
    return pa.string()


def _parquet(path: Path) -> ExamplesFile:
    try:
        schema = pq.read_schema(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise DataError(f"{path} is not a readable Parquet file: {error}", fix="write the file again") from error
    column_names.require_distinct(path, schema.names)
    types = dict(zip(schema.names, schema.types, strict=True))
    return ExamplesFile(
        path, schema.names, lambda: types, is_text=False, batches=lambda rows: read_parquet(path, batch_rows=rows)
    )


def _json(path: Path) -> ExamplesFile:
    rows = _json_rows(path)
    names = list(dict.fromkeys(name for row in rows for name in row))
    table = pa.table({name: _json_column(path, name, [row.get(name) for row in rows]) for name in names})
    types = dict(zip(names, table.schema.types, strict=True))
    return ExamplesFile(
        path, names, lambda: types, is_text=False, batches=lambda size: iter(table.to_batches(max_chunksize=size))
    )


def _json_rows(path: Path) -> list[dict[str, Any]]:
    """The examples: an array of objects, the `instances` of a request, or one object per line."""
    try:
        text = path.read_text()
        whole = _whole(text)
        rows = whole if whole is not None else [_decoded(line) for line in text.splitlines() if line.strip()]
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8: {error}") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: {error}", fix="write an array of objects, or one object per line") from error
    for number, row in enumerate(rows, 1):
        if not isinstance(row, dict):
            raise DataError(f"{path}, row {number} is not an object: {row!r:.60}", fix='write {"column": value, ...}')
    return rows


def _whole(text: str) -> list[Any] | None:
    """The rows of a file that is one JSON document; None if it has one object per line."""
    try:
        found = _decoded(text)
    except json.JSONDecodeError as error:
        if error.msg == "Extra data":
            return None
        raise
    if isinstance(found, dict) and isinstance(found.get("instances"), list):
        found = found["instances"]
    return found if isinstance(found, list) else [found]


def _decoded(text: str) -> Any:
    return json.loads(text, object_pairs_hook=_bytes_or_object)


def _bytes_or_object(pairs: list[tuple[str, Any]]) -> Any:
    """Decodes TF Serving's JSON form of bytes, `{"b64": "..."}`."""
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"an object has the key {next(key for key in keys if keys.count(key) > 1)!r} twice")
    if found.keys() == {"b64"} and isinstance(found["b64"], str):
        try:
            return base64.b64decode(found["b64"], validate=True)
        except binascii.Error as error:
            raise ValueError(f"{found['b64']!r:.60} is not base64: {error}") from error
    return found


def _json_column(path: Path, name: str, values: list[Any]) -> pa.Array:
    try:
        return pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as error:
        row = next(i for i in range(1, len(values) + 1) if not _fits(values[:i]))
        raise DataError(
            f"{path}: the column {name!r} changes its type in row {row}, which has {values[row - 1]!r:.60}",
            fix="use values of one type, or lists of one depth, in all rows",
        ) from error


def _fits(values: list[Any]) -> bool:
    try:
        pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError):
        return False
    return True


def _rebatched(batches: Iterator[pa.RecordBatch], rows: int) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        for start in range(0, batch.num_rows, rows):
            yield batch.slice(start, rows)


def open_examples(path: Path) -> ExamplesFile:
    """Opens a file of examples; the suffix determines the format.

    Raises:
        UserError: There is no such file, or its suffix is unknown.
        DataError: It is not valid in its format; names column and row if possible.
    """
    if not path.is_file():
        raise UserError(f"there is no file {path}", fix="give a file of examples with --input")
    read = {".csv": _csv, ".parquet": _parquet, ".json": _json, ".jsonl": _json}.get(path.suffix.lower())
    if read is None:
        raise UserError(f"the suffix of {path} is not a known format", fix=f"use one of {', '.join(SUFFIXES)}")
    found = read(path)
    if not found.names:
        raise DataError(f"{path} has no columns", fix="write at least one example")
    return found


def first_failing(column: pa.Array, works: Callable[[pa.Array], bool]) -> int:
    """The index of the first value for which `works` is false, by bisection."""
    low, high = 0, len(column)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if works(column.slice(low, middle - low)) else (low, middle)
    return low


def first_missing(column: pa.Array) -> int | None:
    """The index of the first null; None if there is none."""
    return pc.index(column.is_null(), True).as_py() if column.null_count else None
