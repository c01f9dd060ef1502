"""A column of any Arrow type as its values, one after the other, and their number in each row."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray


@dataclass(frozen=True)
class Unpacked:
    """The values of a column in some rows.

    Attributes:
        rows: The number of rows.
        values: The values without nulls, row by row.
        lengths: The number of values by row; None if each has one.
    """

    rows: int
    values: pa.Array
    lengths: NDArray[np.int64] | None

    def of(self, mask: NDArray[np.bool_]) -> Unpacked:
        """The same for some of the rows."""
        if self.lengths is None:
            return Unpacked(int(mask.sum()), self.values.filter(pa.array(mask)), None)
        kept = self.values.filter(pa.array(np.repeat(mask, self.lengths)))
        return Unpacked(int(mask.sum()), kept, self.lengths[mask])

    def row_lengths(self) -> NDArray[np.int64]:
        """The number of values by row."""
        return np.ones(self.rows, np.int64) if self.lengths is None else self.lengths


def unpacked(column: pa.Array) -> Unpacked:
    """The values of a column; lists in lists are one list."""
    rows, lengths, values = len(column), None, column
    while _is_list(values.type):
        lengths = _lengths(values, lengths)
        values = values.flatten()
    if values.null_count or pa.types.is_null(values.type):
        present = values.is_valid().to_numpy(zero_copy_only=False)
        lengths = present.astype(np.int64) if lengths is None else _summed(present, lengths)
        values = values.drop_null()
    return Unpacked(rows, values, None if lengths is None or (lengths == 1).all() else lengths)


def _is_list(kind: pa.DataType) -> bool:
    types = pa.types
    return bool(types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind))


def _lengths(lists: pa.Array, outer: NDArray[np.int64] | None) -> NDArray[np.int64]:
    found = pc.fill_null(pc.list_value_length(lists), 0).to_numpy(zero_copy_only=False).astype(np.int64)
    return found if outer is None else _summed(found, outer)


def _summed(values: NDArray, lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """The sum of each row's values, of which the row has `lengths`."""
    ends = np.cumsum(lengths)
    total = np.concatenate([[0], np.cumsum(values, dtype=np.int64)])
    found: NDArray[np.int64] = total[ends] - total[ends - lengths]
    return found
