"""The tensors of many requests as Arrow columns with one value per row, in bulk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from components.inference.conflicts import text

Layout = Literal["rows", "scalar", "whole"]
"""How a tensor belongs to a request's rows: one part each, all of it to each, or all of it to the first."""

_WIDER = {"float16": np.float32, "bfloat16": np.float32, "complex64": np.float32, "complex128": np.float64}
_LARGE = pa.decimal128(20, 0)


@dataclass(frozen=True)
class Rows:
    """The rows of several requests.

    Attributes:
        counts: The number of rows of each request, at least 1.
    """

    counts: NDArray[np.int64]

    @property
    def requests(self) -> NDArray[np.int64]:
        """The number of each row's request."""
        return np.repeat(np.arange(len(self.counts)), self.counts)

    @property
    def numbers(self) -> NDArray[np.int64]:
        """The number of each row in its request."""
        starts = np.cumsum(self.counts) - self.counts
        found: NDArray[np.int64] = np.arange(self.counts.sum()) - np.repeat(starts, self.counts)
        return found


def layout(array: np.ndarray, rows: int) -> Layout:
    """How a tensor belongs to a number of rows."""
    if not array.ndim:
        return "scalar"
    return "rows" if len(array) == rows else "whole"


def column(arrays: Sequence[np.ndarray], rows: Rows, how: Layout) -> pa.Array:
    """The tensors of one name, one per request, as a column: single values if no row has more, lists otherwise."""
    flat: np.ndarray = np.concatenate([array.reshape(-1) for array in arrays])
    sizes = np.array([array.size for array in arrays])
    if how == "rows":
        return _valued(flat, np.repeat(sizes // rows.counts, rows.counts))
    values = _valued(flat, sizes)
    if how == "scalar":
        return values.take(pa.array(rows.requests))
    return values.take(pa.array(rows.requests, mask=rows.numbers > 0))


def _valued(flat: np.ndarray, lengths: NDArray[np.int64]) -> pa.Array:
    """Values as an array with these numbers of values per row."""
    per_value = 2 if flat.dtype.kind == "c" else 1
    values = _arrow(flat)
    if (lengths * per_value == 1).all():
        return values
    offsets = np.concatenate([[0], np.cumsum(lengths * per_value)]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), values)


def _arrow(flat: np.ndarray) -> pa.Array:
    if flat.dtype == object:
        return _strings(pa.array(flat.tolist(), pa.binary()))
    if flat.dtype.kind == "c":
        flat = flat.view(_WIDER[flat.dtype.name])  # real and imaginary parts in turn
    if flat.dtype == np.uint64:
        return pa.array(flat).cast(_LARGE)
    kind = _WIDER.get(flat.dtype.name) or (np.int64 if flat.dtype.kind in "iu" else flat.dtype)
    return pa.array(flat.astype(kind, copy=False))


def _strings(values: pa.Array) -> pa.Array:
    """Bytes as strings, if all of them are UTF-8."""
    found = text(values)
    return found if found.null_count == values.null_count else values


def of_feature(column: pa.Array) -> pa.Array:
    """A feature in TFXIO's form: single values if no row has more, lists otherwise; null for a missing feature."""
    lengths = column.value_lengths()
    if (pc.max(lengths).as_py() or 0) > 1:
        return _lists(column)
    values = _plain(column.values if len(column.values) == len(column) else column.flatten())
    if not column.null_count and len(values) == len(column):
        return values
    has = pc.fill_null(pc.equal(lengths, 1), False)
    positions = np.cumsum(np.asarray(has)) - 1
    return values.take(pa.array(positions, mask=~np.asarray(has)))


def _lists(column: pa.Array) -> pa.Array:
    offsets = np.asarray(column.offsets)
    values = _plain(column.values[offsets[0] : offsets[-1]])
    mask: Any = column.is_null() if column.null_count else None
    return pa.ListArray.from_arrays(pa.array((offsets - offsets[0]).astype(np.int32)), values, mask=mask)


def _plain(values: pa.Array) -> pa.Array:
    return _strings(values.cast(pa.binary())) if pa.types.is_large_binary(values.type) else values
