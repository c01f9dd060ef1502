"""The types of CSV columns, determined over all rows by the rules of TFX's CsvExampleGen.

An int64 column has only integers in range, a float column only numbers, and a bytes column anything else; integers
beyond int64 make a column bytes. A number is what Python's `int` and `float` accept (tfx_bsl, `coders/csv_decoder.py`):
"+5", " 5", "007" and "1_000" are integers, "1e5" and "nan" are floats. Arrow's parsers decide most columns quickly. The
few values that they refuse or would parse differently go through Python, each distinct one once per batch.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

_INT64 = range(-(2**63), 2**63)


class Level(IntEnum):
    """A column's type; each type can hold the values of the ones before it."""

    EMPTY = 0
    INT = 1
    FLOAT = 2
    BYTES = 3


NAMES = {"int": Level.INT, "float": Level.FLOAT, "bytes": Level.BYTES}
"""The types by the names that settings use."""

_ARROW_TYPES = {
    Level.INT: pa.int64(),
    Level.FLOAT: pa.float64(),
    Level.BYTES: pa.large_binary(),
    Level.EMPTY: pa.null(),
}
_SETTLED_TYPES = {
    Level.INT: pa.large_list(pa.int64()),
    Level.FLOAT: pa.large_list(pa.float32()),
    Level.BYTES: pa.large_list(pa.large_binary()),
    Level.EMPTY: pa.null(),
}


def level_of(cell: str) -> Level:
    """The type that a cell needs."""
    if not cell:
        return Level.EMPTY
    # TFX parses the cell's bytes, so that digits of other scripts are text, although `int` accepts them in a str.
    data = cell.encode()
    try:
        return Level.INT if int(data) in _INT64 else Level.BYTES
    except ValueError:
        try:
            float(data)
        except ValueError:
            return Level.BYTES
        return Level.FLOAT


@dataclass(frozen=True)
class Turn:
    """The cell that turned a column into text.

    Attributes:
        file: The file with the cell.
        row: The number of its row, starting at 1.
        cell: Its content.
        follows_numbers: Whether all cells before it, at least one, were numbers.
    """

    file: Path
    row: int
    cell: str
    follows_numbers: bool


class ColumnType:
    """The type of one column, updated with each batch of cells.

    Attributes:
        level: The type so far.
        turned: The first cell that does not fit the declared type or, without one, is not a number; reset by `place`.
        turn: The same cell with its location.
    """

    def __init__(self, declared: Level | None = None) -> None:
        self.level = declared or Level.EMPTY
        self.turned: str | None = None
        self.turn: Turn | None = None
        self._follows_numbers = False
        self._limit = declared or Level.FLOAT
        self._foreign = False  # whether Arrow parses some of the numbers differently from Python, or not at all

    @property
    def settled(self) -> pa.DataType:
        """The column's type in an Examples artifact."""
        return _SETTLED_TYPES[self.level]

    @property
    def parsed(self) -> pa.DataType:
        """The type for Arrow's CSV reader, which `finish` converts to the final one."""
        # A float32 is parsed as float64 first, as in TFX; parsing it directly may round differently.
        return pa.string() if self._foreign and self.level < Level.BYTES else _ARROW_TYPES[self.level]

    def add(self, cells: pa.StringArray) -> None:
        """Takes the next cells into account; a null is an empty cell."""
        if self.level is Level.BYTES or cells.null_count == len(cells):
            return
        if self.level < Level.FLOAT and _parse(cells, pa.int64()) is not None:
            self.level = Level.INT
        elif not (self.level is Level.FLOAT and _are_floats(cells)):
            self._add_each(cells)

    def place(self, file: Path, row: int) -> Turn:
        """Records the location of the cell that turned the column."""
        assert self.turned is not None
        self.turn, self.turned = Turn(file, row, self.turned, self._follows_numbers), None
        return self.turn

    def join(self, other: ColumnType) -> None:
        """Takes into account the type that was determined from later rows of the same column."""
        if other.turn and self.level < Level.BYTES:
            self.turn = replace(other.turn, follows_numbers=other.turn.follows_numbers or bool(self.level))
        self.level = max(self.level, other.level)
        self._foreign |= other._foreign

    def finish(self, column: pa.Array) -> pa.Array:
        """Converts a parsed column to int64, float32 or large_binary."""
        if pa.types.is_string(column.type):
            convert = int if self.level is Level.INT else float
            column = _map_distinct(column, convert, _ARROW_TYPES[self.level])
        return column.cast(pa.float32()) if self.level is Level.FLOAT else column

    def _add_each(self, cells: pa.StringArray) -> None:
        for cell in cells.unique().drop_null().to_pylist():
            required = level_of(cell)
            if required > self._limit:
                self.turned, self._follows_numbers = cell, bool(self.level)
                self.level = required
                return
            self.level = max(self.level, required)
        self._foreign |= _parse(cells, _ARROW_TYPES[self.level]) is None


def _parse(cells: pa.StringArray, kind: pa.DataType) -> pa.Array | None:
    # Arrow accepts "0x1F" as an integer and "nan(1)" as a float; Python does not.
    text = cells.buffers()[2].to_pybytes()
    if any(mark in text for mark in (b"x", b"X", b"(")):
        return None
    try:
        return cells.cast(kind)
    except pa.ArrowInvalid:
        return None


def _are_floats(cells: pa.StringArray) -> bool:
    values = _parse(cells, pa.float64())
    # A larger value may have been written as an integer beyond int64.
    return values is not None and (pc.max(pc.abs(values)).as_py() or 0) < 2**63


def _map_distinct(column: pa.StringArray, convert: type[int] | type[float], kind: pa.DataType) -> pa.Array:
    encoded = column.dictionary_encode()
    return pa.array(map(convert, encoded.dictionary.to_pylist()), kind).take(encoded.indices)
