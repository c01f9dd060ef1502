"""CSV files as Arrow: one pass settles the types over all rows, a second reads the values."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.csv

from components import examples
from components.errors import DataError, UserError
from components.example_gen import csv_faults, csv_types
from components.example_gen.csv_types import ColumnType
from components.example_gen.source import require_same_columns


class CsvSource:
    """CSV files with a header each, plain or gzip; an empty cell, quoted or not, is a missing value.

    Args:
        files: They have the same columns, in any order.
        declared: Types by column name, `int`, `float` or `bytes`; the others are settled as TFX does.
        settled: The types of each file, where they have been settled elsewhere, as `settled_types` of sources of
            one file; then the rows are not looked through again.

    Raises:
        DataError: Names file, line and column of what is wrong.
        UserError: A declared type or its column does not exist.
    """

    def __init__(
        self,
        files: Sequence[Path],
        declared: Mapping[str, str],
        settled: Sequence[Mapping[str, ColumnType]] | None = None,
    ) -> None:
        self._names = csv_faults.header(files[0])
        for file in files[1:]:
            require_same_columns(file, csv_faults.header(file), files[0], self._names)
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
                    row = before + batch.column(name).index(column.turned).as_py()
                    self._report(file, name, column.turned, row)
                    column.turned = None
            before += batch.num_rows

    def _report(self, file: Path, name: str, cell: str, row: int) -> None:
        if name in self._declared:
            line = csv_faults.line_of(file, name, cell)
            raise DataError(
                f"{file}, line {line}, column {name!r}: {cell!r} is no {self._declared[name]}",
                mend=f"mend the cell, or leave {name!r} out of column_types",
            )
        logging.warning(
            "%s: column %r holds numbers up to row %d and is bytes because of %r; column_types={%r: 'float'} would "
            "make that an error",
            *(file, name, row, cell, name),
        )

    def _stream(self, file: Path, types: Mapping[str, pa.DataType]) -> Iterator[pa.RecordBatch]:
        rows = 0
        raw = _CountingQuotes(file)
        try:
            for batch in _open(raw, types):
                rows += batch.num_rows
                yield batch
        except (pa.ArrowInvalid, OSError, UnicodeDecodeError) as error:
            raise csv_faults.explain(file, self._names, error) from error  # type: ignore[misc]
        # Arrow takes a quote that is never closed for a cell that ends with the file.
        if (rows == 0 or raw.quotes % 2) and (fault := csv_faults.explain(file, self._names)):
            raise fault


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


def _open(raw: _CountingQuotes, types: Mapping[str, pa.DataType]) -> pa.RecordBatchReader:
    return pyarrow.csv.open_csv(
        pa.PythonFile(raw, "r"),
        read_options=pyarrow.csv.ReadOptions(block_size=csv_faults.RECORD_BYTES),
        parse_options=pyarrow.csv.ParseOptions(newlines_in_values=True),
        convert_options=pyarrow.csv.ConvertOptions(column_types=types, null_values=[""], strings_can_be_null=True),
    )


def _require_known(declared: Mapping[str, str], names: list[str]) -> None:
    for name, kind in declared.items():
        if name not in names:
            raise UserError(f"column_types names {name!r}", mend=f"the columns are {', '.join(names)}")
        if kind not in csv_types.NAMES:
            raise UserError(
                f"column_types gives {name!r} the type {kind!r}", mend=f"take one of {', '.join(csv_types.NAMES)}"
            )
