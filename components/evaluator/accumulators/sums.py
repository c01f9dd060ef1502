"""Sums by slice and cell."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from components.evaluator.slices import Members


@dataclass(frozen=True)
class Terms:
    """What rows add.

    Attributes:
        cells: (rows, terms), the cell that each term falls into.
        values: The amounts, arrays that broadcast to the same shape.
    """

    cells: NDArray[Any]
    values: tuple[NDArray[Any], ...]


class Sums:
    """Sums by slice and cell, in double precision; memory grows with the cells that occur, not with rows."""

    _MOST_PENDING = 2_000_000

    def __init__(self) -> None:
        self._tables: list[pa.Table] = []

    def add(self, members: Members, terms: Terms) -> None:
        """Adds the terms of a batch's rows to the slices that they belong to."""
        shape = terms.cells.shape
        columns = {
            "slice": np.repeat(members.slices, shape[1]),
            "cell": terms.cells[members.rows].ravel(),
            **{
                f"value_{i}": np.broadcast_to(value, shape)[members.rows].ravel().astype(np.float64)
                for i, value in enumerate(terms.values)
            },
        }
        self._tables.append(_summed(pa.table(columns)))
        if sum(table.num_rows for table in self._tables[1:]) > self._MOST_PENDING:
            self._tables = [_summed(pa.concat_tables(self._tables))]

    def by_slice(self) -> Iterator[tuple[int, NDArray[Any], NDArray[Any]]]:
        """For each slice its cells, ascending, and their sums, (cells, values)."""
        table = _summed(pa.concat_tables(self._tables)).sort_by([("slice", "ascending"), ("cell", "ascending")])
        slices, cells, *values = (column.to_numpy() for column in table.columns)
        sums = np.stack(values, axis=1)
        numbers, starts = np.unique(slices, return_index=True)
        for number, own in zip(numbers.tolist(), np.split(np.arange(len(slices)), starts[1:]), strict=True):
            yield number, cells[own], sums[own]


def _summed(table: pa.Table) -> pa.Table:
    names = table.column_names
    # One thread, so that additions have the same order in every run and the last bit is the same.
    grouped = table.group_by(["slice", "cell"], use_threads=False).aggregate([(name, "sum") for name in names[2:]])
    return grouped.select(["slice", "cell", *(f"{name}_sum" for name in names[2:])]).rename_columns(names)


def totals(*values: NDArray[Any]) -> Terms:
    """Terms of a combiner that keeps plain totals, one for each value."""
    shape = np.broadcast_shapes(*(value.shape for value in values))
    return Terms(np.zeros(shape, np.int64), values)
