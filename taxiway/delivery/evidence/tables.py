"""Rows of the inference table, and their outcomes: each is read once, in the order of time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pyarrow as pa

from components.contract.errors import UserError
from components.experiments.numbers import Array
from components.inference.columns import OUTPUT
from components.monitoring.labels.columns import LABEL, outcomes
from components.monitoring.labels.join import labels_of
from components.monitoring.store import INFERENCE, Filter, Store
from taxiway.delivery.evidence.counts import BINS, Counts, Second
from taxiway.routing.access_log import BUCKETS

_KNOWN = ["request_id", "row", "time", "version", "target", "status", "latency_ms"]
_LEFT = "CANCELLED"
_STRATUM = 10_000_000  # microseconds


@dataclass(frozen=True)
class Both:
    """Values of both versions' requests.

    Attributes:
        champion: The champion's.
        challenger: The challenger's.
    """

    champion: Array
    challenger: Array


@dataclass(frozen=True)
class Rows:
    """A model's tables, in which each row belongs to a version.

    Attributes:
        store: The tables.
        champion: The champion's version.
        challenger: The challenger's.
        targets: The proxy's targets of both, for answers that do not name their version.
    """

    store: Store
    champion: int
    challenger: int
    targets: tuple[str, str]

    def seconds(self, start: datetime, end: datetime) -> list[Second]:
        """The requests of each second."""
        rows = self._read(start, end, _KNOWN)
        rows = rows.filter(pa.array([(each or 0) == 0 for each in rows["row"].to_pylist()], pa.bool_()))
        arms, status = self._arms(rows), np.asarray(rows["status"].to_pylist(), dtype=object)
        took = _numbers(rows, "latency_ms") / 1000
        at = _micros(rows) // 1_000_000
        return [
            Second(*(_counted(status[at_once & (arms == arm)], took[at_once & (arms == arm)]) for arm in (0, 1)))
            for at_once in (at == each for each in np.unique(at))
        ]

    def predictions(self, start: datetime, end: datetime, output: str) -> Both:
        """The predictions of answered requests."""
        column = self._output(output)
        if column is None:
            return Both(np.zeros(0), np.zeros(0))
        rows = self._read(start, end, [*_KNOWN, column])
        if column not in rows.column_names:
            return Both(np.zeros(0), np.zeros(0))
        arms = self._arms(rows)
        values = [_single(each) for each in rows[column].to_pylist()]
        parts = ([v for v, arm in zip(values, arms, strict=True) if arm == which and v is not None] for which in (0, 1))
        return Both(*(np.asarray(part) if part else np.zeros(0) for part in parts))

    def outcomes(self, start: datetime, end: datetime, label: str, absent: float | None) -> Iterator[Both]:
        """The outcomes of requests, by strata of time.

        Raises:
            UserError: There is no such outcome, or it is no number.
        """
        rows = self._read(start, end, _KNOWN)
        labels, name = labels_of(self.store, start, end), LABEL + label
        if labels.num_rows and name not in labels.column_names:
            known = [each.removeprefix(LABEL) for each in outcomes(labels.column_names)]
            raise UserError(f"labels have no {label!r}", fix=f"use one of {', '.join(known)} in business.label")
        values = _joined(rows, labels, name, absent)
        arms, strata = self._arms(rows), _micros(rows) // _STRATUM
        known = np.isfinite(values)
        for each in np.unique(strata[known]):
            here = known & (strata == each)
            yield Both(values[here & (arms == 0)], values[here & (arms == 1)])

    def _read(self, start: datetime, end: datetime, columns: list[str]) -> pa.Table:
        time: list[Filter] = [("date", ">=", start.date()), ("date", "<=", end.date())]
        time += [("time", ">=", start), ("time", "<", end)]
        table = self.store.open(INFERENCE)
        if table is None:
            return pa.table({name: pa.array([], _type(name)) for name in _KNOWN})
        there = {field.name for field in table.schema().fields}
        return self.store.read(INFERENCE, time, [name for name in columns if name in there])

    def _output(self, output: str) -> str | None:
        """The column of an output; None if there is none yet."""
        table = self.store.open(INFERENCE)
        names = [each.name for each in table.schema().fields if each.name.startswith(OUTPUT)] if table else []
        if not names:
            return None
        if output and OUTPUT + output in names:
            return OUTPUT + output
        if output or len(names) > 1:
            listed = ", ".join(name.removeprefix(OUTPUT) for name in names)
            raise UserError(f"drift.output is {output!r}, which is no output of the model", fix=f"use one of {listed}")
        return names[0]

    def _arms(self, rows: pa.Table) -> Array:
        """Whose row it is: 0 is the champion, 1 the challenger, -1 another version."""
        arms = {self.champion: 0, self.challenger: 1}
        by_target = dict(zip(self.targets, (0, 1), strict=True))
        pairs = zip(rows["version"].to_pylist(), rows["target"].to_pylist(), strict=True)
        return np.array([arms.get(v, -1) if v is not None else by_target.get(t, -1) for v, t in pairs], int)


def _type(name: str) -> pa.DataType:
    kinds = {"row": pa.int32(), "version": pa.int64(), "time": pa.timestamp("us", "UTC"), "latency_ms": pa.float32()}
    return kinds.get(name, pa.string())


def _micros(rows: pa.Table) -> Array:
    return np.asarray(rows["time"].cast(pa.int64()).to_numpy(zero_copy_only=False))


def _numbers(rows: pa.Table, name: str) -> Array:
    return np.asarray(rows[name].to_numpy(zero_copy_only=False), dtype=float)


def _counted(status: Array, took: Array) -> Counts:
    bins = np.bincount(np.asarray(np.searchsorted(np.asarray(BUCKETS), took)), minlength=BINS)
    answered, left = int((status == "OK").sum()), int((status == _LEFT).sum())
    return Counts(answered, len(status) - answered - left, bins.tolist(), float(took.sum()))


def _single(value: object) -> object:
    """A prediction as a number or a string: of several numbers, which one is the largest."""
    if isinstance(value, list):
        return value[0] if len(value) == 1 else f"number {int(np.argmax(value))}" if value else None
    return value.decode(errors="replace") if isinstance(value, bytes) else value


def _joined(rows: pa.Table, labels: pa.Table, name: str, absent: float | None) -> Array:
    """The outcome of each row; not a number where it has none."""
    if name not in labels.column_names:
        return np.full(rows.num_rows, np.nan if absent is None else absent)
    keys = zip(labels["request_id"].to_pylist(), labels["row"].to_pylist(), strict=True)
    known = dict(zip(keys, labels[name].to_pylist(), strict=True))
    wanted = zip(rows["request_id"].to_pylist(), rows["row"].to_pylist(), strict=True)
    nothing = np.nan if absent is None else absent
    try:
        return np.array([float(known[key]) if known.get(key) is not None else nothing for key in wanted], float)
    except (TypeError, ValueError) as error:
        raise UserError(
            f"the outcome {name.removeprefix(LABEL)!r} is no number: {error}", fix="take in labels that are numbers"
        ) from error
