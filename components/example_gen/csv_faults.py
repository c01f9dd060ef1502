"""Finds what is wrong with a CSV file: a slow and exact parser, used only after the fast one has failed."""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

from components.contract.errors import DataError
from components.data import column_names

RECORD_BYTES = 4 << 20
"""The maximum length of a record."""

_GZIP_MAGIC = b"\x1f\x8b"
_DELIMITERS = ",;\t|"
"""The common delimiters of CSV files."""


def is_gzip(path: Path) -> bool:
    """Whether the content is gzipped, regardless of the file's name."""
    with path.open("rb") as file:
        return file.read(2) == _GZIP_MAGIC


def header(path: Path, delimiter: str) -> dict[str, str]:
    """The names of a file's columns in order, mapped to the names as the file writes them.

    As in TFX, spaces at the two ends of the line are stripped.

    Raises:
        DataError: There is no header, it is not UTF-8, or a name is empty or duplicate.
    """
    try:
        line, written = next(_records(path, delimiter), (0, []))
    except (EOFError, OSError, zlib.error) as error:
        raise DataError(f"{path} is damaged in its header: {error}", fix="write the file again") from error
    if not written:
        raise DataError(f"{path} is empty", fix="remove it, or write the file again")
    names = column_names.of_header(written)
    for number, name in enumerate(names, start=1):
        fault = _name_fault(name, names)
        if fault:
            raise DataError(f"{path}, line {line}: the header's column {number} {fault}", fix="fix the header")
    return dict(zip(names, written, strict=True))


def other_delimiter(names: Sequence[str], delimiter: str) -> str:
    """The character that seems to separate a header's columns instead of the delimiter; empty if there is none."""
    line = delimiter.join(names)
    found = max(_DELIMITERS.replace(delimiter, ""), key=line.count)
    return found if line.count(found) >= len(names) else ""


def explain(path: Path, names: Sequence[str], delimiter: str, error: Exception | None = None) -> DataError | None:
    """What is wrong with a file's rows, and on which line; None if there was no error and none is found."""
    line = 1
    try:
        records = _records(path, delimiter)
        next(records, None)
        for line, cells in records:
            if fault := _row_fault(cells, names, delimiter):
                return DataError(f"{path}, line {line}{fault[0]}", fix=fault[1])
    except DataError as found:
        return found
    except (EOFError, OSError, zlib.error) as found:
        return DataError(f"{path} is damaged after line {line}: {found}", fix="write the file again")
    if line == 1:
        return DataError(f"{path} has a header and no rows", fix="remove it, or write the file again")
    return DataError(f"{path}: {error}", fix=f"keep every record below {RECORD_BYTES:,} bytes") if error else None


def line_of(path: Path, position: int, cell: str, delimiter: str) -> int:
    """The line of the first row with this cell in a column; 0 if there is none."""
    records = _records(path, delimiter)
    next(records)
    return next((line for line, cells in records if cells[position] == cell), 0)


def _records(path: Path, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """The non-blank records, each with the number of its first line; bytes that are not UTF-8 become surrogates."""
    csv.field_size_limit(max(RECORD_BYTES, csv.field_size_limit()))
    with _opened(path) as raw, io.TextIOWrapper(raw, "utf-8-sig", errors="surrogateescape", newline="") as text:
        reader = csv.reader(text, delimiter=delimiter, strict=True)
        before = 0
        try:
            for cells in reader:
                if cells:
                    yield before + 1, cells
                before = reader.line_num
        except csv.Error as error:
            raise DataError(
                f"{path}, line {before + 1}: {error}",
                fix=f"close every quote, and double quotes inside quotes; a record may have {RECORD_BYTES:,} bytes",
            ) from error


def _opened(path: Path) -> IO[bytes]:
    return gzip.open(path) if is_gzip(path) else path.open("rb")  # type: ignore[return-value]


def _name_fault(name: str, names: list[str]) -> str:
    if not name.strip():
        return "has no name"
    if not _is_utf8(name):
        return f"is not UTF-8: {_as_bytes(name)!r}"
    return f"has a duplicate name: {name!r}" if names.count(name) > 1 else ""


def _row_fault(cells: Sequence[str], names: Sequence[str], delimiter: str) -> tuple[str, str] | None:
    if len(cells) != len(names):
        said = f": {len(cells)} cells for {len(names)} columns"
        if other := other_delimiter(names, delimiter):
            return said, f"set delimiter={other!r} if that separates the columns"
        return said, f"fix the line; a cell that contains {delimiter!r} needs quotes"
    for name, cell in zip(names, cells, strict=True):
        if not _is_utf8(cell):
            return f", column {name!r}: not UTF-8: {_as_bytes(cell)!r}", "save the file as UTF-8"
    return None


def _is_utf8(text: str) -> bool:
    return not any("\udc80" <= character <= "\udcff" for character in text)


def _as_bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")[:80]
