"""The values of a column in a batch, in the form in which its bins count them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from components.monitoring.profile.unpacked import Unpacked, unpacked
from components.monitoring.summaries import Bins, Source

_FITTING: dict[Source, tuple[str, ...]] = {
    "number": ("number", "integer"),
    "integer": ("integer",),
    "text": ("text",),
    "bytes": ("text",),
}
"""The types of values, by the type in the training data, that are no type error."""


@dataclass(frozen=True)
class Entries:
    """The different values of a category in a batch.

    Attributes:
        raw: The values as they are in the batch.
        known: The categories of the training data.
    """

    raw: pa.Array
    known: pa.Array

    @cached_property
    def texts(self) -> pa.Array:
        """The values as strings: numbers in decimal, and bytes that are not UTF-8 with their codes as `\\xff`."""
        return as_text(self.raw)

    @cached_property
    def bins(self) -> NDArray[np.int64]:
        """The values' bins; -1 for values that the training data lack."""
        found = pc.index_in(self.texts, value_set=self.known)
        return pc.fill_null(found, -1).to_numpy(zero_copy_only=False).astype(np.int64)

    @cached_property
    def sizes(self) -> NDArray[np.float64]:
        """The values' lengths in bytes."""
        return pc.binary_length(self.texts).to_numpy(zero_copy_only=False).astype(np.float64)


@dataclass(frozen=True)
class Prepared:
    """The values of a column in some rows.

    Attributes:
        rows: The number of rows.
        values: The numbers; of categories, the numbers of their entries.
        lengths: The number of values by row; None if each row has one.
        owners: The row of each value; None if each row has one.
        wrong: Whether a row has a value of another type; None if none has.
        entries: The different values; None for numbers.
    """

    rows: int
    values: NDArray
    lengths: NDArray[np.int64] | None = None
    owners: NDArray[np.int64] | None = None
    wrong: NDArray[np.bool_] | None = None
    entries: Entries | None = None

    def of(self, mask: NDArray[np.bool_]) -> Prepared:
        """The same for some of the rows; its owners are left out."""
        kept = mask if self.owners is None else mask[self.owners]
        lengths = None if self.lengths is None else self.lengths[mask]
        wrong = None if self.wrong is None else self.wrong[mask]
        return Prepared(int(mask.sum()), self.values[kept], lengths, wrong=wrong, entries=self.entries)


def prepared(columns: Sequence[pa.Array], bins: Bins, known: pa.Array) -> Prepared:
    """The values of one column.

    Args:
        columns: The column and, if a table keeps values of other types apart, these columns as well.
        bins: How the values are counted.
        known: The categories of the training data, as large strings.
    """
    parts = [unpacked(column) for column in columns]
    fitting = [part for part in parts if not len(part.values) or type_of(part.values.type) in _FITTING[bins.source]]
    others = [part for part in parts if part not in fitting]
    wrong = np.logical_or.reduce([part.row_lengths() > 0 for part in others]) if others else None
    joined = _joined(fitting, parts[0].rows)
    if bins.kind == "number":
        return _prepared(joined, numbers(joined.values, bins.source), wrong, None)
    indices, raw = encoded(joined.values)
    return _prepared(joined, indices, wrong, Entries(raw, known))


def _prepared(part: Unpacked, values: NDArray, wrong: NDArray[np.bool_] | None, entries: Entries | None) -> Prepared:
    owners: NDArray[np.int64] | None = None if part.lengths is None else np.repeat(np.arange(part.rows), part.lengths)
    return Prepared(part.rows, values, part.lengths, owners, wrong=wrong, entries=entries)


def type_of(kind: pa.DataType) -> str:
    """`number`, `integer`, `text` or, for all else, `other`."""
    types = pa.types
    kind = kind.value_type if types.is_dictionary(kind) else kind
    if types.is_integer(kind) or types.is_boolean(kind):
        return "integer"
    if types.is_floating(kind) or types.is_decimal(kind):
        return "number"
    text = (types.is_string, types.is_large_string, types.is_binary, types.is_large_binary, types.is_fixed_size_binary)
    return "text" if any(check(kind) for check in text) else "other"


def _joined(parts: Sequence[Unpacked], rows: int) -> Unpacked:
    """The values of several columns as those of one; sorted by row."""
    used = [part for part in parts if len(part.values)]
    if not used:
        return Unpacked(rows, pa.nulls(0), np.zeros(rows, np.int64))
    if len(used) == 1:
        return used[0]
    kind = pa.large_binary() if type_of(used[0].values.type) == "text" else pa.float64()
    lengths = np.sum([part.row_lengths() for part in used], axis=0)
    owners: NDArray[np.int64] = np.concatenate([np.repeat(np.arange(rows), part.row_lengths()) for part in used])
    values = pa.concat_arrays([plain(part.values).cast(kind) for part in used])
    return Unpacked(rows, values.take(pa.array(np.argsort(owners, kind="stable"))), lengths)


def plain(values: pa.Array) -> pa.Array:
    """The values without a dictionary."""
    return values.dictionary_decode() if pa.types.is_dictionary(values.type) else values


def numbers(values: pa.Array, source: Source) -> NDArray:
    """Values without nulls as numbers: float32, float64 or int64; of bytes their lengths."""
    values = plain(values)
    if pa.types.is_null(values.type):
        return np.empty(0)
    if source == "bytes":
        values = pc.binary_length(values)
    kind = values.type
    if pa.types.is_uint64(kind) or pa.types.is_decimal(kind):
        values = values.cast(pa.float64(), safe=False)
    elif pa.types.is_integer(kind) or pa.types.is_boolean(kind):
        values = values.cast(pa.int64())
    found: NDArray = values.to_numpy(zero_copy_only=False)
    return found.astype(np.float32) if found.dtype == np.float16 else found


def encoded(values: pa.Array) -> tuple[NDArray[np.int64], pa.Array]:
    """Values without nulls as the numbers of their entries, and the entries."""
    if pa.types.is_null(values.type):
        return np.empty(0, np.int64), pa.array([], pa.large_string())
    if not pa.types.is_dictionary(values.type):
        values = values.dictionary_encode()
    return values.indices.to_numpy(zero_copy_only=False), values.dictionary


def as_text(values: pa.Array) -> pa.Array:
    """Values as large strings: numbers in decimal, and bytes that are not UTF-8 with their codes as `\\xff`."""
    if type_of(values.type) != "text":
        values = values.cast(pa.int8()) if pa.types.is_boolean(values.type) else values
        return values.cast(pa.large_string())
    try:
        return values.cast(pa.large_string())
    except pa.ArrowInvalid:
        decoded = [value.decode(errors="backslashreplace") for value in values.cast(pa.large_binary()).to_pylist()]
        return pa.array(decoded, pa.large_string())
