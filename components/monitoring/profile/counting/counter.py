"""Counts one column, in all rows or in those of a slice."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from components.monitoring.profile.counting.categories import Categories
from components.monitoring.profile.counting.numbers import Numbers
from components.monitoring.profile.prepared import Prepared
from components.monitoring.summaries import Summary


class Counter:
    """Makes the summary of a column from batch after batch.

    Args:
        reference: The column's summary in the training data.
        checks_shape: Whether to count rows with another number of values than there.
    """

    def __init__(self, reference: Summary, *, checks_shape: bool = True) -> None:
        bins = reference.bins
        self._reference = reference
        self._values = Numbers(bins) if bins.kind == "number" else Categories(bins)
        self._allowed = (reference.fewest, reference.most) if checks_shape else (0, np.iinfo(np.int64).max)
        self._shape: tuple[int, int] | None = None
        self._rows = self._missing = self._shape_errors = self._type_errors = 0

    def add(self, column: Prepared) -> None:
        """Counts some rows."""
        if not column.rows:
            return
        self._rows += column.rows
        self._values.add(column)
        if column.lengths is None:
            self._add_shape(np.ones(1, np.int64), times=column.rows)
        else:
            self._add_shape(column.lengths[column.lengths > 0])
            self._add_missing(column.lengths == 0, column.wrong)

    def _add_missing(self, empty: NDArray[np.bool_], wrong: NDArray[np.bool_] | None) -> None:
        if wrong is not None:
            self._type_errors += int(wrong.sum())
            empty = empty & ~wrong
        self._missing += int(empty.sum())

    def _add_shape(self, lengths: NDArray[np.int64], times: int = 1) -> None:
        if not len(lengths):
            return
        least, most = int(lengths.min()), int(lengths.max())
        self._shape = (min(least, self._shape[0]), max(most, self._shape[1])) if self._shape else (least, most)
        self._shape_errors += times * int(((lengths < self._allowed[0]) | (lengths > self._allowed[1])).sum())

    def summary(self) -> Summary:
        """The column as counted so far."""
        fewest, most = self._shape or (1, 1)
        return Summary(
            name=self._reference.name,
            bins=self._reference.bins,
            rows=self._rows,
            missing=self._missing,
            shape_errors=self._shape_errors,
            type_errors=self._type_errors,
            fewest=fewest,
            most=most,
            **self._values.fields(),
        )
