"""The first pass over the training data: how each column is to be counted."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from components.monitoring.profile.counting.frequent import Frequent
from components.monitoring.profile.prepared import as_text, encoded, numbers, type_of
from components.monitoring.profile.unpacked import unpacked
from components.monitoring.reference.edges import FEW, edges
from components.monitoring.summaries import Bins, Source

CATEGORIES = 20_000
"""Categories with a bin of their own: the most frequent ones."""

_COUNTED = 100_000
"""Categories that are counted to find these."""

_TEXT_SHARE, _TEXT_BYTES = 0.99, 500
"""Strings are categories if at least this share is UTF-8, and they have at most so many bytes on average."""

_ENOUGH = 1_000
"""Strings after which a column may be found to be none of categories."""


class ColumnScan:
    """What the first pass finds out about a column.

    Args:
        is_category: Whether integers are categories.
    """

    def __init__(self, *, is_category: bool) -> None:
        self._is_category = is_category
        self._types = set[str]()
        self._few = np.empty(0)
        self._low, self._high = np.inf, -np.inf
        self._categories = Frequent(_COUNTED)
        self._strings = self._texts = self._bytes = 0

    @property
    def source(self) -> Source:
        """The type of the values."""
        if "text" in self._types:
            return "text" if self._is_text else "bytes"
        return "integer" if self._types == {"integer"} else "number"

    @property
    def _is_text(self) -> bool:
        return self._texts >= _TEXT_SHARE * self._strings and self._bytes <= _TEXT_BYTES * self._strings

    def add(self, column: pa.Array) -> None:
        """Looks at some rows."""
        values = unpacked(column).values
        kind = type_of(values.type)
        if kind == "other":
            return
        self._types.add(kind)
        if not len(values):
            return
        if kind == "text":
            self._add_strings(values)
        elif kind == "integer" and self._is_category:
            self._add_categories(*encoded(values))
        else:
            self._add_numbers(numbers(values, "number"))

    def _add_strings(self, values: pa.Array) -> None:
        if self._strings > _ENOUGH and not self._is_text:
            return
        indices, entries = encoded(values)
        counts = np.bincount(indices, minlength=len(entries))
        self._strings += len(indices)
        self._texts += int(counts[_utf8(entries)].sum())
        self._bytes += int(counts @ pc.binary_length(entries).to_numpy(zero_copy_only=False))
        if self._is_text:
            self._add_categories(indices, entries)

    def _add_categories(self, indices: NDArray, entries: pa.Array) -> None:
        counts = np.bincount(indices, minlength=len(entries))
        self._categories.add(as_text(entries).to_pylist(), counts.tolist())

    def _add_numbers(self, values: NDArray) -> None:
        finite = values[np.isfinite(values)]
        if not len(finite):
            return
        self._low, self._high = min(self._low, float(finite.min())), max(self._high, float(finite.max()))
        if len(self._few) <= FEW:
            self._few = np.union1d(self._few, finite.astype(np.float64))

    def bins(self, sample: pa.Array) -> Bins:
        """How the column is counted; the sample has rows of it."""
        source = self.source
        if source == "text" or (source == "integer" and self._is_category):
            return Bins("category", values=tuple(self._categories.top(CATEGORIES)), source=source)
        if source == "bytes":
            sizes = _sizes(sample)
            return Bins("number", edges=edges(np.unique(sizes), sizes), source=source)
        found = _finite(sample)
        few = self._few if len(self._few) <= FEW else None
        return Bins("number", edges=edges(few, np.append(found, [self._low, self._high])), source=source)


def _utf8(entries: pa.Array) -> NDArray[np.bool_]:
    """Whether each value is UTF-8."""
    try:
        entries.cast(pa.large_string())
    except pa.ArrowInvalid:
        return np.array([_is_utf8(entry) for entry in entries.cast(pa.large_binary()).to_pylist()])
    return np.ones(len(entries), np.bool_)


def _is_utf8(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True


def _sizes(sample: pa.Array) -> NDArray[np.float64]:
    values = unpacked(sample).values
    return numbers(values, "bytes").astype(np.float64) if type_of(values.type) == "text" else np.empty(0)


def _finite(sample: pa.Array) -> NDArray[np.float64]:
    values = unpacked(sample).values
    if type_of(values.type) not in ("number", "integer"):
        return np.empty(0)
    found = numbers(values, "number").astype(np.float64)
    return found[np.isfinite(found)]
