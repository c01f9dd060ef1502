"""Takes labels in: from a source's columns to rows of the labels' table, each label once."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pyarrow as pa

from components.contract.errors import DataError, UserError
from components.monitoring.labels import columns
from components.monitoring.labels.resolve import identity, resolved
from components.monitoring.labels.sources import connect, load, named
from components.monitoring.store import LABELS, Store

_ID, _ROW = "request_id", "row"
_NUMBERS = (pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean, pa.types.is_decimal)


@dataclass(frozen=True)
class Added:
    """What became of a source's rows.

    Attributes:
        rows: The rows of the source.
        added: The labels that are new.
        same: Those that were there already, with the same value.
        changed: New labels for requests that had another value; of the two, the one that became known later counts.
        incomplete: Rows without an id, a key, a time or any outcome; they are left out.
        early: Labels whose time was in the future; it was set to now.
    """

    rows: int
    added: int
    same: int = 0
    changed: int = 0
    incomplete: int = 0
    early: int = 0


@dataclass(frozen=True)
class _Columns:
    """The columns of a source by their names in the table: ids, times, keys and outcomes."""

    id: str | None
    row: str | None
    time: str | None
    keys: dict[str, str]
    outcomes: dict[str, str]


def add(
    store: Store,
    source: str | Path | pa.Table,
    *,
    id: str | None = None,
    keys: Sequence[str] = (),
    time: str | None = None,
    labels: Sequence[str] = (),
    now: datetime | None = None,
) -> Added:
    """Adds labels to a model's table, in one step; those that are there with the same value are ignored.

    Args:
        store: The model's tables.
        source: A CSV or Parquet file, a Delta table, SQL over files, or an Arrow table. A column `row` is the
            example's number in its request.
        id: The column with request ids; `request_id` by default.
        keys: Instead: columns that together name the request, each `input` or `input=column`.
        time: The column that says when the outcome became known; with keys, when it happened. Now by default.
        labels: The columns with outcomes, each `name` or `name=column`; all others by default.
        now: The time of arrival.

    Raises:
        UserError: The source or one of its columns is missing, or the options contradict each other.
        DataError: A time or an outcome has the wrong type.
    """
    now = now or datetime.now(UTC)
    with connect() as connection:
        texts = [id or _ID, *_pairs(keys).values()]
        chosen = _chosen(load(connection, source, texts), id, keys, time, labels)
        rows, read, early = _normalised(connection, chosen, now)
        digest = _digest(rows.drop_columns([] if time else ["label_time"]))
        rows = rows.append_column("source", pa.array([digest] * rows.num_rows, pa.string()))
        there = store.read(LABELS)
        known = there.num_rows and digest in there["source"].unique().to_pylist()
        new, changed = (rows.slice(0, 0), 0) if known else _new(connection, rows, there)
    if new.num_rows:
        store.append(LABELS, new)
    return Added(
        rows=read,
        added=new.num_rows,
        same=rows.num_rows - new.num_rows,
        changed=changed,
        incomplete=read - rows.num_rows,
        early=early,
    )


def _pairs(names: Sequence[str]) -> dict[str, str]:
    pairs = (name.partition("=") for name in names)
    return {name: column or name for name, _, column in pairs}


def _chosen(there: list[str], id: str | None, keys: Sequence[str], time: str | None, labels: Sequence[str]) -> _Columns:
    if id and keys:
        raise UserError("labels have either a request id or keys", fix="leave out --id, or --key")
    if keys and not time:
        raise UserError("labels by keys need the time of the outcome", fix="name its column with --time")
    own_id = None if keys else id or _ID
    used = [*([own_id] if own_id else []), *_pairs(keys).values(), *([time] if time else [])]
    row = None if keys or _ROW not in there else _ROW
    rest = [name for name in there if name not in used and name != row]
    outcomes = _pairs(labels) or {name.removeprefix(columns.LABEL): name for name in rest}
    _require([*used, *outcomes.values()], there)
    if not outcomes:
        raise UserError("the source has no column with an outcome", fix=f"its columns: {', '.join(there)}")
    if "time" in outcomes:
        raise UserError("an outcome cannot have the name 'time'", fix="rename it: --label outcome=time")
    return _Columns(own_id, row, time, _pairs(keys), outcomes)


def _require(wanted: Sequence[str], there: Sequence[str]) -> None:
    if missing := [name for name in wanted if name not in there]:
        raise UserError(
            f"the source has no column {missing[0]!r}",
            fix=f"name its columns with --id, --key, --time and --label; there are: {', '.join(there)}",
        )


def _normalised(connection: duckdb.DuckDBPyConnection, chosen: _Columns, now: datetime) -> tuple[pa.Table, int, int]:
    """The complete rows in the table's form, the number of all rows, and that of rows from the future."""
    types = {name: kind for name, kind, *_ in connection.execute("DESCRIBE source").fetchall()}
    parts = {
        _ID: f"CAST({named(chosen.id)} AS VARCHAR)" if chosen.id else "NULL::VARCHAR",
        _ROW: f"coalesce(CAST({named(chosen.row)} AS INTEGER), 0)" if chosen.row else "0::INTEGER",
        "known": _time(chosen.time, types) if chosen.time else _instant(now),
        **{columns.KEY + name: f"CAST({named(column)} AS VARCHAR)" for name, column in chosen.keys.items()},
        **{columns.LABEL + name: named(column) for name, column in chosen.outcomes.items()},
    }
    selected = ", ".join(f"{value} AS {named(name)}" for name, value in parts.items())
    try:
        read = connection.execute("SELECT count(*) FROM source").fetchall()[0][0]
        connection.execute(
            f"CREATE TEMP TABLE taken AS SELECT * FROM (SELECT {selected} FROM source) WHERE {_complete(chosen)}"
        )
    except duckdb.Error as error:
        raise DataError(
            f"the labels cannot be read: {str(error).strip().splitlines()[0][:300]}",
            fix="times are timestamps, ISO 8601 strings or Unix seconds, and `row` is a number",
        ) from error
    early = connection.execute(f"SELECT count(*) FROM taken WHERE known > {_instant(now)}").fetchall()[0][0]
    final = ", ".join([_ID, _ROW, f"least(known, {_instant(now)}) AS label_time", f"{_instant(now)} AS arrived"])
    rest = ", ".join(named(name) for name in parts if name not in (_ID, _ROW, "known"))
    return _typed(connection.sql(f"SELECT {final}, {rest} FROM taken").to_arrow_table()), read, early


def _complete(chosen: _Columns) -> str:
    needed = [*(columns.KEY + name for name in chosen.keys), "known", *([_ID] if chosen.id else [])]
    any_outcome = " OR ".join(f"{named(columns.LABEL + name)} IS NOT NULL" for name in chosen.outcomes)
    return " AND ".join([*(f"{named(name)} IS NOT NULL" for name in needed), f"({any_outcome})"])


def _instant(time: datetime) -> str:
    return f"make_timestamptz({int(time.timestamp() * 1_000_000)})"


def _time(column: str, types: dict[str, str]) -> str:
    number = any(word in types[column] for word in ("INT", "DOUBLE", "FLOAT", "DECIMAL"))
    return f"to_timestamp({named(column)})" if number else f"CAST({named(column)} AS TIMESTAMPTZ)"


def _typed(rows: pa.Table) -> pa.Table:
    """Outcomes as numbers, strings or lists of numbers; the table's types in the fixed columns."""
    for name in rows.column_names:
        place = rows.column_names.index(name)
        known = columns.FIXED.field(name).type if name in columns.FIXED.names else None
        kind = known or (pa.string() if name.startswith(columns.KEY) else _kind(rows.schema.field(name).type, name))
        rows = rows.set_column(place, name, rows.column(name).cast(kind))
    return rows


def _kind(kind: pa.DataType, name: str) -> pa.DataType:
    if any(is_kind(kind) for is_kind in _NUMBERS):
        return pa.float64()
    if pa.types.is_list(kind) and any(is_kind(kind.value_type) for is_kind in _NUMBERS):
        return pa.list_(pa.float64())
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_binary(kind):
        return pa.string()
    raise DataError(
        f"the outcome {name.removeprefix(columns.LABEL)!r} is {kind}", fix="outcomes are numbers, strings or lists"
    )


def _digest(rows: pa.Table) -> str:
    """The digest of the rows, whatever file they come in."""
    rows = rows.drop_columns(["arrived"]).combine_chunks()
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows.schema) as writer:
        writer.write_table(rows)
    return hashlib.sha256(sink.getvalue()).hexdigest()


def _new(connection: duckdb.DuckDBPyConnection, rows: pa.Table, there: pa.Table) -> tuple[pa.Table, int]:
    """The rows that say something new, and how many of them say something else than before."""
    names = columns.outcomes(rows.column_names)
    _require_same_types(rows, there)
    connection.register("fresh", rows)
    values = ", ".join(named(name) for name in names)
    once = (
        f"SELECT *, {identity(rows.column_names)} AS ident FROM fresh "
        f"QUALIFY row_number() OVER (PARTITION BY ident, {values} ORDER BY label_time DESC) = 1"
    )
    connection.register("stored", _with_columns(there, rows))
    connection.execute(f"CREATE TEMP TABLE before AS {resolved('stored', _with_columns(there, rows).column_names)}")
    new = " OR ".join(f"(o.{named(n)} IS NOT NULL AND o.{named(n)} IS DISTINCT FROM b.{named(n)})" for n in names)
    other = " OR ".join(f"(b.{named(n)} IS NOT NULL AND o.{named(n)} IS DISTINCT FROM b.{named(n)})" for n in names)
    connection.execute(
        f"CREATE TEMP TABLE news AS SELECT o.*, b.ident IS NOT NULL AND ({other}) AS differs "
        f"FROM ({once}) o LEFT JOIN before b USING (ident) WHERE {new}"
    )
    twice = "count(*) - count(DISTINCT ident)"
    found = connection.execute(f"SELECT count(*) FILTER (differs) + {twice} FROM news").fetchall()[0][0]
    kept = connection.sql("SELECT * EXCLUDE (ident, differs) FROM news").to_arrow_table()
    return kept.select(rows.column_names).cast(rows.schema), int(found)


def _require_same_types(rows: pa.Table, there: pa.Table) -> None:
    for name in columns.outcomes(rows.column_names):
        if name in there.column_names and there.schema.field(name).type != rows.schema.field(name).type:
            raise DataError(
                f"the outcome {name.removeprefix(columns.LABEL)!r} is {rows.schema.field(name).type}, and earlier "
                f"labels have {there.schema.field(name).type}",
                fix="convert it, or give it another name: --label name=column",
            )


def _with_columns(there: pa.Table, rows: pa.Table) -> pa.Table:
    """The stored labels, with nulls for columns that they lack."""
    for name in rows.column_names:
        if name not in there.column_names:
            there = there.append_column(name, pa.nulls(there.num_rows, rows.schema.field(name).type))
    return there
