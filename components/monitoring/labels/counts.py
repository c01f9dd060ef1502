"""How many requests have labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import pyarrow as pa
import pyarrow.compute as pc

from components.monitoring.labels import columns
from components.monitoring.labels.join import MAX_AGE, labels_of
from components.monitoring.labels.resolve import identity
from components.monitoring.labels.sources import connect, named
from components.monitoring.store import INFERENCE, LABELS, Store


@dataclass(frozen=True)
class Day:
    """The examples of a day, in UTC, and how many of them have a label."""

    day: date
    requests: int
    labelled: int


@dataclass(frozen=True)
class Counts:
    """What labels there are.

    Attributes:
        days: By day.
        unknown: Request ids with labels that are not in the inference table; they may come later.
        conflicting: Requests, or keys at a time, with labels that differ.
    """

    days: Sequence[Day]
    unknown: int
    conflicting: int


def count(store: Store, *, max_age: timedelta = MAX_AGE) -> Counts:
    """Counts requests with labels by day, unknown requests and labels that differ."""
    requests = store.read(INFERENCE, columns=["request_id", "row", "time"]) if store.open(INFERENCE) else _no_requests()
    stored = store.read(LABELS)
    if not stored.num_rows:
        return Counts(_days(requests, _no_requests().select(["request_id", "row"])), 0, 0)
    times = requests["time"]
    start = pc.min(times).as_py() or datetime.now(UTC)
    end = (pc.max(times).as_py() or start) + timedelta(microseconds=1)
    labels = labels_of(store, start, end, max_age=max_age)
    key = ["request_id", "row"]
    matched = labels.select(key).join(requests.select(key), key, join_type="left semi")
    return Counts(_days(requests, matched), labels.num_rows - matched.num_rows, _conflicting(stored))


def _no_requests() -> pa.Table:
    kinds = {"request_id": pa.string(), "row": pa.int32(), "time": pa.timestamp("us", "UTC")}
    return pa.schema(list(kinds.items())).empty_table()


def _days(requests: pa.Table, matched: pa.Table) -> list[Day]:
    with connect() as connection:
        connection.register("requests", requests)
        connection.register("matched", matched)
        found = connection.execute(
            "SELECT time::DATE AS day, count(*), count(m.request_id) FROM requests "
            "LEFT JOIN matched m USING (request_id, row) GROUP BY day ORDER BY day"
        ).fetchall()
    return [Day(*row) for row in found]


def _conflicting(stored: pa.Table) -> int:
    """Things labelled that have different labels."""
    differ = " OR ".join(f"count(DISTINCT {named(n)}) > 1" for n in columns.outcomes(stored.column_names))
    things = f"SELECT {identity(stored.column_names)} AS ident, {differ} AS differ FROM stored GROUP BY ident"
    with connect() as connection:
        connection.register("stored", stored)
        return int(connection.execute(f"SELECT count(*) FILTER (differ) FROM ({things})").fetchall()[0][0])
