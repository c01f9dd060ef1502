"""CSV files as Arrow: a first pass over all rows determines the types, a second one reads the values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.csv

from components.contract.errors import DataError, UserError
from components.data import examples
from components.example_gen import csv_faults, csv_types
from components.example_gen.csv_types import ColumnType, Turn
from components.example_gen.source import require_same_columns


class CsvSource:
    """CSV files with headers, plain or gzipped; an empty cell, quoted or not, is a missing value.

    Args:
        files: The files; all must have the same columns, in any order.
        declared: Types by column name, `int`, `float` or `bytes`; other types are determined as in TFX.
        delimiter: The character between the cells of a line.
        settled: The types of each file, if they are already known: the `settled_types` of a source for that file
            alone. Then the rows are not scanned again.

    Raises:
        DataError: The data are wrong; names file, line and column.
        UserError: A declared type or its column does not exist, or the delimiter is invalid.
    """

    def __init__(
        self,
        files: Sequence[Path],
        declared: Mapping[str, str],
        delimiter: str = ",",
        settled: Sequence[Mapping[str, ColumnType]] | None = None,
    ) -> None:
        _require_delimiter(delimiter)
        self._delimiter = delimiter
        self._headers = {file: csv_faults.header(file, delimiter) for file in files}
        self._names = list(self._headers[files[0]])
        for file in files[1:]:
            require_same_columns(file, list(self._headers[file]), files[0], self._names)
        self._declared = declared
        _require_known(declared, self._names)
        self.settled_types = {name: ColumnType(csv_types.NAMES.get(declared.get(name, ""))) for name in self._names}
        for types in settled or ():
            for name, column in self.settled_types.items():
                column.join(types[name])
        if settled is None:
            for file in files:
                self._settle(file)

    @property
    def schema(self) -> pa.Schema:
        """The columns and types of every batch."""
        return pa.schema([(name, column.settled) for name, column in self.settled_types.items()])

    @property
    def notes(self) -> list[str]:
        """What is probably not intended."""
        first = next(iter(self._headers))
        other = csv_faults.other_delimiter(self._names, self._delimiter)
        if len(self._names) == 1 and other:
            return [
                f"{first} has one column, {self._names[0]!r}; if {other!r} separates several, set delimiter={other!r}"
            ]
        spaced = [name for name in self._names if name != name.strip()]
        return [f"{first}: a space is part of the column name {name!r}" for name in spaced] + [
            _turn_note(name, column.turn)
            for name, column in self.settled_types.items()
            if column.turn and column.turn.follows_numbers
        ]

    def read(self, file: Path) -> Iterator[pa.RecordBatch]:
        """Streams the rows of one of the files."""
        for batch in self._stream(file, {name: column.parsed for name, column in self.settled_types.items()}):
            values = [column.finish(batch.column(name)) for name, column in self.settled_types.items()]
            yield examples.to_tfxio_form(pa.RecordBatch.from_arrays(values, names=self._names))

    def _settle(self, file: Path) -> None:
        before = 0
        for batch in self._stream(file, dict.fromkeys(self._names, pa.string())):
            for name, column in self.settled_types.items():
                column.add(batch.column(name))
                if column.turned is not None:
                    row = before + batch.column(name).index(column.turned).as_py() + 1
                    self._require_undeclared(name, column.place(file, row))
            before += batch.num_rows

    def _require_undeclared(self, name: str, turn: Turn) -> None:
        if name in self._declared:
            position = list(self._headers[turn.file]).index(name)
            line = csv_faults.line_of(turn.file, position, turn.cell, self._delimiter)
            raise DataError(
                f"{turn.file}, line {line}, column {name!r}: {turn.cell!r} is not of the type {self._declared[name]}",
                fix=f"fix the cell, or remove {name!r} from column_types",
            )

    def _stream(self, file: Path, types: Mapping[str, pa.DataType]) -> Iterator[pa.RecordBatch]:
        rows = 0
        raw = _CountingQuotes(file)
        names = self._headers[file]
        try:
            for batch in _open(raw, {written: types[name] for name, written in names.items()}, self._delimiter):
                rows += batch.num_rows
                yield batch.rename_columns(list(names))
        except (pa.ArrowInvalid, OSError, UnicodeDecodeError) as error:
            raise csv_faults.explain(file, list(names), self._delimiter, error) from error  # type: ignore[misc]
        # Arrow accepts a quote that is never closed, as a cell that ends with the file.
        if (rows == 0 or raw.quotes % 2) and (fault := csv_faults.explain(file, list(names), self._delimiter)):
            raise fault


def _turn_note(name: str, turn: Turn) -> str:
    return (
        f"{turn.file}: column {name!r} has numbers until {turn.cell!r} in row {turn.row} makes it bytes; "
        f"column_types={{{name!r}: 'float'}} would make that an error"
    )


class _CountingQuotes:
    """A file's bytes, decompressed, for Arrow's reader."""

    closed = False

    def __init__(self, file: Path) -> None:
        self.quotes = 0
        self._file = pa.input_stream(file, compression="gzip" if csv_faults.is_gzip(file) else None)

    def read(self, size: int) -> bytes:
        data: bytes = self._file.read(size)
        self.quotes += data.count(b'"')
        return data


def _open(raw: _CountingQuotes, types: Mapping[str, pa.DataType], delimiter: str) -> pa.RecordBatchReader:
    return pyarrow.csv.open_csv(
        pa.PythonFile(raw, "r"),
        read_options=pyarrow.csv.ReadOptions(block_size=csv_faults.RECORD_BYTES),
        parse_options=pyarrow.csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
        convert_options=pyarrow.csv.ConvertOptions(column_types=types, null_values=[""], strings_can_be_null=True),
    )


def _require_delimiter(delimiter: str) -> None:
    if len(delimiter) != 1 or delimiter in '"\r\n' or not delimiter.isascii():
        raise UserError(f"delimiter is {delimiter!r}", fix=r'use one ASCII character, such as ";" or a tab, "\t"')


def _require_known(declared: Mapping[str, str], names: list[str]) -> None:
    for name, kind in declared.items():
        if name not in names:
            raise UserError(f"column_types has no such column: {name!r}", fix=f"the columns are {', '.join(names)}")
        if kind not in csv_types.NAMES:
            raise UserError(
                f"column_types gives {name!r} the type {kind!r}", fix=f"use one of {', '.join(csv_types.NAMES)}"
            )
