"""Chooses the reader for a file."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from components.contract.errors import DataError, UserError
from components.example_gen.csv_source import CsvSource
from components.example_gen.parquet_source import ParquetSource
from components.example_gen.source import Source
from components.example_gen.tfrecord_source import TfrecordSource

FORMATS = {"csv": r"\.csv(\.gz)?$", "parquet": r"\.(parquet|pq)$", "tfrecord": r"tf_?records?\b"}
"""The formats, with the pattern of their file names."""

_UNREAD = {
    "Avro": (r"\.avro$", "fastavro reads it"),
    "JSON": (r"\.(json|jsonl|ndjson)(\.gz)?$", "pyarrow.json reads one row per line"),
    "ORC": (r"\.orc$", "pyarrow.orc reads it"),
    "Arrow": (r"\.(arrow|feather|ipc)$", "pyarrow.feather reads it"),
    "Excel": (r"\.xlsx?$", "or save it as CSV"),
}
"""Known formats that are not supported, with the pattern of their file names, and a hint how to convert them."""

_AVRO_MAGIC = b"Obj\x01"


def input_format(files: Sequence[Path]) -> str:
    """The format of files, from their names.

    Raises:
        DataError: A name does not show the format, or the formats differ.
    """
    formats = {file: _format(file) for file in files}
    first = formats[files[0]]
    for file, found in formats.items():
        if found != first:
            raise DataError(f"{files[0]} is {first}, but {file} is {found}", fix="use files of one format")
    return first


def _format(file: Path) -> str:
    for name, pattern in FORMATS.items():
        if re.search(pattern, file.name, re.IGNORECASE):
            return name
    if re.search(r"\.(tsv|tab)(\.gz)?$", file.name, re.IGNORECASE):
        raise DataError(f"the name of {file} shows no known format", fix=r'set input_format="csv" and delimiter="\t"')
    _refuse_unread(file)
    raise DataError(f"the name of {file} shows no known format", fix=f"set input_format to {' or '.join(FORMATS)}")


def _refuse_unread(file: Path) -> None:
    with file.open("rb") as opened:
        is_avro = opened.read(len(_AVRO_MAGIC)) == _AVRO_MAGIC
    for name, (pattern, help_) in _UNREAD.items():
        if re.search(pattern, file.name, re.IGNORECASE) or (name == "Avro" and is_avro):
            raise DataError(
                f"{file} is {name}, which is not supported", fix=f"convert it to Parquet ({help_}), and use that file"
            )


def open_source(
    files: Sequence[Path],
    format_name: str,
    column_types: Mapping[str, str],
    delimiter: str = ",",
    settled: Sequence[Any] | None = None,
) -> Source:
    """Scans files and determines their columns and types.

    Args:
        files: Files of one format.
        format_name: One of `FORMATS`.
        column_types: Declared types of CSV columns.
        delimiter: The character between the cells of a CSV line.
        settled: The types of each file, if they are already known (CSV and TFRecord).

    Raises:
        UserError: There is no such format, or the declared types do not fit it.
        DataError: The data are wrong; names file, line and column.
    """
    if column_types and format_name != "csv":
        raise UserError(f"column_types is for CSV, but the files are {format_name}", fix="remove column_types")
    if delimiter != "," and format_name != "csv":
        raise UserError(f"delimiter is for CSV, but the files are {format_name}", fix="remove delimiter")
    readers: dict[str, Callable[[], Source]] = {
        "csv": lambda: CsvSource(files, column_types, delimiter, settled),
        "parquet": lambda: ParquetSource(files),
        "tfrecord": lambda: TfrecordSource(files, settled),
    }
    if format_name not in readers:
        raise UserError(f"input_format is {format_name!r}", fix=f"use one of auto, {', '.join(readers)}")
    return readers[format_name]()
