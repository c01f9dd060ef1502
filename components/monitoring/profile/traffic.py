"""The requests of a window: their number, errors and latency."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from components.monitoring.profile.counting.counter import Counter
from components.monitoring.profile.prepared import prepared
from components.monitoring.summaries import Bins, Summary

_LATENCY = Bins("number", edges=np.geomspace(1e-3, 1e7, 2_000))
"""Milliseconds, to 1.2 %."""


@dataclass(frozen=True)
class Traffic:
    """The requests of a window.

    Attributes:
        rows: Rows of the inference table.
        requests: Requests, those that were not recorded included: each counts as often as its share says.
        errors: Those of them that failed.
        latency: The latency in milliseconds of the recorded requests.
    """

    rows: int
    requests: float
    errors: float
    latency: Summary


class TrafficCounter:
    """Counts the requests in batches of an inference table."""

    def __init__(self) -> None:
        self._rows = 0
        self._requests = self._errors = 0.0
        self._latency = Counter(Summary("latency_ms", _LATENCY, 0, 0, np.zeros(_LATENCY.size, np.int64)))
        self._last: str | None = None

    def add(self, batch: pa.RecordBatch) -> None:
        """Counts rows; the rows of a request follow each other."""
        if not batch.num_rows or "request_id" not in batch.schema.names:
            self._rows += batch.num_rows
            return
        first = self._first_rows(batch)
        heads = batch.filter(pa.array(first))
        weights = 1 / _numbers(heads, "share", 1.0)
        failed = _column(heads, "status", "OK") != "OK"
        self._rows += batch.num_rows
        self._requests += float(weights.sum())
        self._errors += float(weights[failed].sum())
        if "latency_ms" in heads.schema.names:
            self._latency.add(prepared([heads.column("latency_ms")], _LATENCY, pa.array([], pa.large_string())))

    def _first_rows(self, batch: pa.RecordBatch) -> NDArray[np.bool_]:
        """The first row of each request: number 0, or another id than the row before, if the others are left out."""
        ids = batch.column("request_id").cast(pa.large_string())
        before = pa.concat_arrays([pa.array([self._last], pa.large_string()), ids[:-1]])
        self._last = ids[-1].as_py()
        changed = pc.fill_null(pc.not_equal(ids, before), True).to_numpy(zero_copy_only=False)
        found: NDArray[np.bool_] = changed | (_numbers(batch, "row", 1.0) == 0)
        return found

    def traffic(self) -> Traffic:
        """What was counted so far."""
        return Traffic(self._rows, self._requests, self._errors, self._latency.summary())


def _numbers(batch: pa.RecordBatch, name: str, default: float) -> NDArray[np.float64]:
    return _column(batch, name, default).astype(np.float64)


def _column(batch: pa.RecordBatch, name: str, default: float | str) -> NDArray:
    if name not in batch.schema.names:
        return np.full(batch.num_rows, default)
    found: NDArray = pc.fill_null(batch.column(name), default).to_numpy(zero_copy_only=False)
    return found
