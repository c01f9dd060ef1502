"""A sample of the rows of a stream: each row has the same chance, and the same stream gives the same sample."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from components.monitoring.profile.counting.distinct import row_hashes


class Sample:
    """Keeps the rows whose numbers have the least hashes.

    Args:
        rows: The number of rows to keep.
        size: Keep fewer rows if these have more bytes; None for any.
        least: But keep as many rows as this.
    """

    def __init__(self, rows: int, size: int | None = None, least: int = 0) -> None:
        self._rows = rows
        self._size = size
        self._least = least
        self._seen = 0
        self._limit = np.uint64(0xFFFFFFFFFFFFFFFF)
        self._tables: list[pa.Table] = []
        self._hashes: list[NDArray[np.uint64]] = []

    def add(self, batch: pa.RecordBatch) -> None:
        """Offers the next rows."""
        hashes = row_hashes(self._seen, batch.num_rows)
        self._seen += batch.num_rows
        chosen = np.flatnonzero(hashes <= self._limit)
        if not len(chosen):
            return
        self._tables.append(pa.Table.from_batches([batch]).take(pa.array(chosen)))
        self._hashes.append(hashes[chosen])
        if sum(map(len, self._hashes)) > 1.5 * self._allowed():
            self._prune()

    def _allowed(self) -> int:
        """The number of rows to keep."""
        size, rows = sum(table.nbytes for table in self._tables), sum(map(len, self._hashes))
        fitting = self._rows if self._size is None or not size else int(self._size * rows / size)
        return min(self._rows, max(fitting, self._least))

    def _prune(self) -> None:
        allowed = self._allowed()
        hashes = np.concatenate(self._hashes)
        order = np.argsort(hashes)[:allowed]
        if len(hashes) > allowed:
            self._limit = hashes[order[-1]]
        table = pa.concat_tables(self._tables, promote_options="permissive").combine_chunks()
        self._hashes, self._tables = [hashes[order]], [table.take(pa.array(order))]

    def rows(self) -> pa.Table:
        """The sample, in random order: its first rows are a sample as well."""
        if not self._tables:
            return pa.table({})
        self._prune()
        return self._tables[0]
