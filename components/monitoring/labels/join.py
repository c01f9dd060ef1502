"""Labels to the requests of a window, by request id or point-in-time by keys."""

from __future__ import annotations

from datetime import datetime, timedelta

import duckdb
import pyarrow as pa

from components.contract.errors import UserError
from components.inference.columns import INPUT
from components.monitoring.labels import columns
from components.monitoring.labels.resolve import resolved
from components.monitoring.labels.sources import connect, named
from components.monitoring.store import INFERENCE, LABELS, Filter, Store

MAX_AGE = timedelta(days=30)
"""How long after a request an outcome with its keys may happen and still be its label."""

_CLOCKS = timedelta(days=1)
"""How far a label's time may be before its request's: clocks differ, and some files have days."""


def labels_of(
    store: Store,
    start: datetime,
    end: datetime,
    *,
    max_age: timedelta = MAX_AGE,
    version: int | None = None,
    inference_version: int | None = None,
) -> pa.Table:
    """The labels of the requests in a window: request_id, row, label_time and the outcomes, `label_<name>`.

    Args:
        store: The model's tables.
        start: The window's start.
        end: The window's end, which is not part of it.
        max_age: How long after a request an outcome with its keys may happen.
        version: The version of the labels' table; the newest by default.
        inference_version: The version of the inference table in which keys are looked up.

    Raises:
        UserError: The inference table has no column of a key's name.
    """
    labels = store.read(LABELS, [("label_time", ">=", start - _CLOCKS)], version=version)
    if not labels.num_rows:
        return pa.table({"request_id": pa.array([], pa.string()), "row": pa.array([], pa.int32())})
    keyed = columns.keys(labels.column_names)
    requests = _requests(store, start, end + max_age, keyed, inference_version) if keyed else None
    with connect() as connection:
        connection.register("labels", labels)
        connection.execute(f"CREATE TEMP TABLE known AS {resolved('labels', labels.column_names)}")
        parts = ["SELECT * FROM known WHERE request_id IS NOT NULL"]
        if requests is not None:
            connection.register("requests", requests)
            parts += [_by_keys(keys, requests, start, end, max_age) for keys in _key_sets(connection, keyed)]
        return _latest(connection, parts, labels.column_names)


def _requests(store: Store, start: datetime, end: datetime, keyed: list[str], version: int | None) -> pa.Table:
    table = store.open(INFERENCE)
    wanted = [INPUT + name.removeprefix(columns.KEY) for name in keyed]
    there = [field.name for field in table.schema().fields] if table else wanted
    if missing := [name for name in wanted if name not in there]:
        raise UserError(
            f"labels have the key {missing[0].removeprefix(INPUT)!r}, which is no input in the inference table",
            fix=f"use one of: {', '.join(n.removeprefix(INPUT) for n in there if n.startswith(INPUT))}",
        )
    time: list[Filter] = [("date", ">=", start.date()), ("date", "<=", end.date())]
    time += [("time", ">=", start), ("time", "<", end)]
    return store.read(INFERENCE, time, ["request_id", "row", "time", *wanted], version)


def _key_sets(connection: duckdb.DuckDBPyConnection, keyed: list[str]) -> list[list[str]]:
    """The sets of keys that labels have: different sources may have different ones."""
    flags = ", ".join(f"{named(name)} IS NOT NULL" for name in keyed)
    found = connection.execute(f"SELECT DISTINCT {flags} FROM known WHERE request_id IS NULL").fetchall()
    return [[name for name, there in zip(keyed, flags, strict=True) if there] for flags in sorted(found)]


def _by_keys(keys: list[str], requests: pa.Table, start: datetime, end: datetime, max_age: timedelta) -> str:
    """SQL: the labels with these keys, at their requests.

    A label belongs to the latest request with its keys at or before its time. Rows of one request with the same keys
    all get it, and so does a copy of the request that another version answered.
    """
    inputs = {key: INPUT + key.removeprefix(columns.KEY) for key in keys}
    pairs = [f"{_text(name, requests)} AS {named(key)}" for key, name in inputs.items()]
    same = " AND ".join(f"l.{named(key)} = {{}}.{named(key)}" for key in keys)
    listed = ", ".join(named(key) for key in keys)
    asked = f"SELECT request_id, row, time, {', '.join(pairs)} FROM requests"
    casts = ", ".join(f"{_as_input(key, name, requests)} AS {named(key)}" for key, name in inputs.items())
    wanted = " AND ".join(f"{named(key)} IS NOT NULL" for key in keys)
    window = f"r.time >= {_instant(start)} AND r.time < {_instant(end)}"
    return f"""SELECT l.* EXCLUDE (request_id, row, ident), r.request_id, r.row, l.ident
        FROM (SELECT * REPLACE ({casts}) FROM known WHERE request_id IS NULL AND {wanted}) l
        ASOF JOIN (SELECT {listed}, time, max(request_id) AS request_id FROM ({asked}) GROUP BY {listed}, time) q
            ON {same.format(*["q"] * len(keys))} AND l.label_time >= q.time
        JOIN ({asked}) r ON r.request_id = q.request_id AND {same.format(*["r"] * len(keys))}
        WHERE q.time >= l.label_time - {_span(max_age)} AND {window}"""


def _text(name: str, requests: pa.Table) -> str:
    """SQL: an input as a string, to compare it with keys, which are strings."""
    kind = requests.schema.field(name).type
    is_binary = pa.types.is_binary(kind) or pa.types.is_large_binary(kind)
    return f"decode({named(name)})" if is_binary else f"{named(name)}::VARCHAR"


def _as_input(key: str, name: str, requests: pa.Table) -> str:
    """SQL: a key as its input's type writes it: `1.0` is the integer 1."""
    kind = requests.schema.field(name).type
    for is_kind, sql in (
        (pa.types.is_integer, "BIGINT"),
        (pa.types.is_float32, "FLOAT"),
        (pa.types.is_float64, "DOUBLE"),
    ):
        if is_kind(kind):
            return f"coalesce(TRY_CAST({named(key)} AS {sql})::VARCHAR, {named(key)})"
    return named(key)


def _latest(connection: duckdb.DuckDBPyConnection, parts: list[str], names: list[str]) -> pa.Table:
    """One row a request's example: several outcomes with its keys may follow it."""
    last = [f"arg_max({named(n)}, label_time) AS {named(n)}" for n in columns.outcomes(names)]
    return connection.sql(
        f"SELECT request_id, row, max(label_time) AS label_time, {', '.join(last)} "
        f"FROM ({' UNION ALL BY NAME '.join(parts)}) GROUP BY request_id, row"
    ).to_arrow_table()


def _instant(time: datetime) -> str:
    return f"make_timestamptz({round(time.timestamp() * 1_000_000)})"


def _span(length: timedelta) -> str:
    return f"to_microseconds({length // timedelta(microseconds=1)})"
