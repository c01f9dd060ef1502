"""Summaries of all columns in a stream of batches: in constant memory, with two threads."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from components.inference.columns import is_input, is_output
from components.monitoring.profile.batches import families, gathered
from components.monitoring.profile.counting.counter import Counter
from components.monitoring.profile.prepared import prepared, type_of
from components.monitoring.summaries import Bins, Reference, Source, Summary

Slicer = Callable[[pa.RecordBatch], Mapping[str, NDArray[np.bool_]]]
"""Tells which rows of a batch belong to each slice."""

ALL = ""
"""The slice of all rows."""

THREADS = 2


def summarize(batches: Iterable[pa.RecordBatch], reference: Reference) -> dict[str, Summary]:
    """The summaries of all columns of the training data, and of those that the training data lack.

    Requests that failed count with their inputs, if these were read, and never with outputs.

    Args:
        batches: Rows of an inference table, or rows whose columns have the names of the training data.
        reference: What the columns look like in the training data.
    """
    return summarize_slices(batches, reference)[ALL]


def summarize_slices(
    batches: Iterable[pa.RecordBatch], reference: Reference, slicer: Slicer | None = None
) -> dict[str, dict[str, Summary]]:
    """The same for each slice that has rows, and for all rows as the slice with an empty name.

    Args:
        batches: As above.
        reference: As above.
        slicer: Is called with batches that hold the same rows, more or fewer at once.
    """
    columns = Columns(reference, slicer)
    count_all(batches, columns.start)
    return columns.summaries()


def count_all(
    batches: Iterable[pa.RecordBatch], start: Callable[[pa.RecordBatch, ThreadPoolExecutor], list[Future[None]]]
) -> None:
    """Counts all batches in threads: `start` begins with one and returns its tasks.

    The next batch is read while this one is counted. A column has one thread at a time, in the order of the batches, so
    that sums are the same to the last bit each time.
    """
    with ThreadPoolExecutor(THREADS) as threads:
        tasks = list[Future[None]]()
        for batch in gathered(batches):
            _finish(tasks)
            tasks = start(batch, threads)
        _finish(tasks)


def _finish(tasks: Iterable[Future[None]]) -> None:
    """Waits for all tasks, and raises their errors."""
    for task in tasks:
        task.result()


@dataclass(frozen=True)
class _Rows:
    """Rows of a batch.

    Attributes:
        batch: The rows.
        slices: Which of them belong to each slice; None for all.
    """

    batch: pa.RecordBatch
    slices: Mapping[str, NDArray[np.bool_] | None]

    def of(self, mask: NDArray[np.bool_] | None) -> _Rows:
        """Some of the rows; None for all."""
        if mask is None:
            return self
        slices = {name: None if rows is None else rows[mask] for name, rows in self.slices.items()}
        return _Rows(self.batch.filter(pa.array(mask)), slices)


class _Column:
    """The counters of a column by slice."""

    def __init__(self, reference: Summary, *, is_new: bool = False) -> None:
        self.counters = {ALL: Counter(reference, checks_shape=not is_new)}
        self._reference = reference
        self._is_new = is_new
        self._categories = pa.array(reference.bins.values, pa.large_string())

    def add(self, rows: _Rows, names: list[str]) -> None:
        """Counts rows; the column's values are in the batch's columns of these names."""
        arrays = [rows.batch.column(name) for name in names] or [pa.nulls(rows.batch.num_rows)]
        values = prepared(arrays, self._reference.bins, self._categories)
        for name, mask in rows.slices.items():
            if mask is None or mask.any():
                self._counter(name).add(values if mask is None else values.of(mask))

    def _counter(self, name: str) -> Counter:
        return self.counters.setdefault(name, Counter(self._reference, checks_shape=not self._is_new))


class Columns:
    """The counters of all columns."""

    def __init__(self, reference: Reference, slicer: Slicer | None) -> None:
        self._slicer = slicer
        self._columns = {name: _Column(column) for name, column in reference.columns.items()}
        self._known = frozenset(reference.columns)

    def start(self, batch: pa.RecordBatch, threads: ThreadPoolExecutor) -> list[Future[None]]:
        """Counts a batch, one task a column."""
        rows = _Rows(batch, {ALL: None, **(self._slicer(batch) if self._slicer else {})})
        inputs, outputs = rows.of(_with_inputs(batch)), rows.of(_answered(batch))
        names = families(batch.schema.names, self._known)
        for name in names.keys() - self._columns.keys():
            self._columns[name] = _Column(_new(name, batch.schema.field(names[name][0]).type), is_new=True)
        return [
            threads.submit(column.add, outputs if is_output(name) else inputs, names.get(name, []))
            for name, column in self._columns.items()
        ]

    def summaries(self) -> dict[str, dict[str, Summary]]:
        """The summaries by slice and column."""
        found: dict[str, dict[str, Summary]] = {ALL: {}}
        for column, counted in self._columns.items():
            for name, counter in counted.counters.items():
                found.setdefault(name, {})[column] = counter.summary()
        return {
            name: {c: _padded(summary, summaries) for c, summary in summaries.items()}
            for name, summaries in found.items()
        }


def _padded(summary: Summary, others: Mapping[str, Summary]) -> Summary:
    """A column that came later was missing before."""
    rows = max(each.rows for name, each in others.items() if is_output(name) == is_output(summary.name))
    return replace(summary, rows=rows, missing=summary.missing + rows - summary.rows)


def _new(name: str, kind: pa.DataType) -> Summary:
    """A column that the training data lack, which has no bins."""
    while pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        kind = kind.value_type
    source: Source = "text" if type_of(kind) == "text" else "number"
    bins = Bins("category" if source == "text" else "number", source=source)
    return Summary(name, bins, 0, 0, np.zeros(bins.size, np.int64))


def _answered(batch: pa.RecordBatch) -> NDArray[np.bool_] | None:
    """The rows of an inference table that have an answer; None for all."""
    if "status" not in batch.schema.names or "request_id" not in batch.schema.names:
        return None
    found: NDArray[np.bool_] = pc.fill_null(pc.equal(batch.column("status"), "OK"), True).to_numpy(zero_copy_only=False)
    return None if found.all() else found


def _with_inputs(batch: pa.RecordBatch) -> NDArray[np.bool_] | None:
    """The rows that have an answer or any input; None for all."""
    answered = _answered(batch)
    if answered is None:
        return None
    columns = [batch.column(name) for name in batch.schema.names if is_input(name)]
    return np.logical_or.reduce([answered, *(column.is_valid().to_numpy(zero_copy_only=False) for column in columns)])
