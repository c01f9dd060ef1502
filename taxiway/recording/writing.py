"""Writes the rows of one model to its inference table, and keeps those that the store does not take yet."""

from __future__ import annotations

import logging
import uuid
from dataclasses import dataclass, field

import pyarrow as pa

from components.inference import table
from components.inference.rows import joined
from components.inference.table import Once
from taxiway.recording.guard import Guard
from taxiway.recording.metrics import Metrics, Reason

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Batch:
    """Rows of a number of requests, to be written in one step; a retry has the same number."""

    number: int
    requests: int
    rows: pa.Table


@dataclass
class Pending:
    """Rows that wait to be written.

    Attributes:
        model: The model's name.
        root: Its folder or URL.
        guard: What changes rows before they are stored.
        requests: The number of requests whose rows wait.
        size: The size of the rows in bytes.
    """

    model: str
    root: str
    metrics: Metrics
    guard: Guard
    requests: int = 0
    size: int = 0
    _tables: list[pa.Table] = field(default_factory=list)
    _stuck: _Batch | None = None
    _number: int = 0
    _writer: str = field(default_factory=lambda: uuid.uuid4().hex)
    _said: set[str] = field(default_factory=set)

    @property
    def rows(self) -> int:
        """The number of rows that wait."""
        tables = [*self._tables, *([self._stuck.rows] if self._stuck else [])]
        return sum(each.num_rows for each in tables)

    @property
    def failed(self) -> bool:
        """Whether the store did not take the last write."""
        return self._stuck is not None

    def add(self, rows: pa.Table, requests: int) -> None:
        """Adds rows of some requests."""
        self._tables.append(rows)
        self.requests += requests
        self.size += rows.nbytes

    def write(self) -> None:
        """Writes what waits; keeps it if the store does not take it."""
        if self._stuck and not self._try(self._stuck):
            return
        if batch := self._next():
            self._try(batch)

    def drop(self, reason: Reason, requests: int) -> None:
        """Counts requests that are given up."""
        self.metrics.dropped(self.model, reason, requests)

    def _next(self) -> _Batch | None:
        if not self._tables:
            return None
        tables, self._tables = self._tables, []
        self._number += 1
        try:
            return _Batch(self._number, self.requests, joined(tables))
        except Exception as error:
            self._give_up("rows", self.requests, error)
            return None

    def _try(self, batch: _Batch) -> bool:
        """Whether there is nothing left to do for a batch."""
        self._stuck = None
        try:
            left_out = table.append(self.root, self.guard.guarded(batch.rows), Once(self._writer, batch.number))
        except (ValueError, TypeError, KeyError) as error:
            self._give_up("rows", batch.requests, error)
            return True
        except Exception as error:
            self._stuck = batch
            self._say("store", error)
            return False
        self.metrics.recorded(self.model, batch.requests)
        self.metrics.left_out(self.model, "columns", left_out or 0)
        self._forget(batch.requests)
        self._said.clear()
        return True

    def _give_up(self, reason: Reason, requests: int, error: Exception) -> None:
        self._say(reason, error)
        self.drop(reason, requests)
        self._forget(requests)

    def _forget(self, requests: int) -> None:
        self.requests -= requests
        self.size = sum(each.nbytes for each in self._tables)

    def _say(self, reason: Reason, error: Exception) -> None:
        """Logs an error once, until a write succeeds again."""
        if reason not in self._said:
            self._said.add(reason)
            _log.warning("%s: requests are not recorded (%s): %s: %s", self.model, reason, type(error).__name__, error)
