"""Rows as the numbers of their values' bins."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from components.monitoring.profile.batches import families
from components.monitoring.profile.prepared import Prepared, prepared
from components.monitoring.summaries import Bins, Summary

MISSING, NAN, UNSEEN = -1, -2, -3
"""The codes of rows without a value, with one that is not a number, and with a category outside the bins."""


def codes(rows: pa.Table, columns: Mapping[str, Summary]) -> NDArray[np.int32]:
    """The bins of the rows' values, (rows, columns in their order); of several values in a row, the first one counts.

    Args:
        rows: Rows of an inference table, or rows whose columns have the names of the training data.
        columns: The columns in the training data.
    """
    names = families(rows.column_names, columns)
    found = np.full((rows.num_rows, len(columns)), MISSING, np.int32)
    for number, (name, column) in enumerate(columns.items()):
        arrays = [_whole(rows.column(each)) for each in names.get(name, [])]
        if arrays and rows.num_rows:
            known = pa.array(column.bins.values, pa.large_string())
            _fill(found[:, number], prepared(arrays, column.bins, known), column.bins)
    return found


def _whole(column: pa.ChunkedArray) -> pa.Array:
    whole = column.combine_chunks()
    return pa.concat_arrays(whole.chunks) if isinstance(whole, pa.ChunkedArray) else whole


def _fill(target: NDArray[np.int32], column: Prepared, bins: Bins) -> None:
    if column.lengths is None:
        target[:] = _bins(column, column.values, bins)
        return
    present = column.lengths > 0
    first = (np.cumsum(column.lengths) - column.lengths)[present]
    target[present] = _bins(column, column.values[first], bins)


def _bins(column: Prepared, values: NDArray, bins: Bins) -> NDArray[np.int32]:
    if column.entries is not None:
        found = column.entries.bins[values]
        return np.where(found < 0, UNSEEN, found).astype(np.int32)
    numbers = values.astype(np.float64)
    return np.where(np.isnan(numbers), NAN, np.searchsorted(bins.edges, numbers, side="left")).astype(np.int32)
