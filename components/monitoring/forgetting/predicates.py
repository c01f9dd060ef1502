"""Conditions on the rows of a Delta table, in the SQL that delta-rs understands."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime

import pyarrow as pa

from components.inference.columns import INPUT
from components.inference.privacy.keys import Keys
from components.monitoring.forgetting.keys import Key, candidates
from components.monitoring.store import quoted

_AGES = {"inference": "time", "labels": "time", "alarms": "last", "passes": "time"}
"""The column that says how old a row is; other tables have windows."""
_MOST = 500
"""Values in one condition."""


def of_keys(keys: Sequence[Key], schema: pa.Schema, ring: Keys | None) -> str:
    """The condition that rows belong to one of the keys; empty if the table has none of the columns.

    Args:
        keys: The keys.
        schema: The table's columns.
        ring: The keys of the keyed hash.
    """
    return " OR ".join(filter(None, (_of_key(key, schema, ring) for key in keys)))


def of_requests(ids: Sequence[str], schema: pa.Schema) -> list[str]:
    """The conditions that rows belong to one of these requests."""
    if "request_id" not in schema.names:
        return []
    parts = (ids[start : start + _MOST] for start in range(0, len(ids), _MOST))
    return [f"request_id IN ({', '.join(map(quoted, part))})" for part in parts]


def of_age(table: str, schema: pa.Schema, before: datetime) -> str:
    """The condition that a row is older than a time; empty if the table does not say how old its rows are."""
    column = _AGES.get(table, "window_end")
    if column not in schema.names or not pa.types.is_timestamp(schema.field(column).type):
        return ""
    condition = f"{column} < '{before.isoformat()}'"
    return f"{condition} AND state = 'closed'" if table == "alarms" else condition


def of_slices(slices: Iterable[str]) -> str:
    """The condition that a row is of one of these slices."""
    found = ", ".join(map(quoted, sorted(slices)))
    return f"slice IN ({found})" if found else ""


def _of_key(key: Key, schema: pa.Schema, ring: Keys | None) -> str:
    parts = [_holds(column, value, schema, ring) for column, value in key.values]
    return f"({' AND '.join(parts)})" if all(parts) else ""


def _holds(column: str, value: str, schema: pa.Schema, ring: Keys | None) -> str:
    # A table of labels has its key columns without a prefix.
    names = [name for name in dict.fromkeys((column, column.removeprefix(INPUT))) if name in schema.names]
    parts = [_is(name, each, schema.field(name).type) for name in names for each in candidates(value, ring)]
    return f"({' OR '.join(found)})" if (found := [part for part in parts if part]) else ""


def _is(name: str, value: str, kind: pa.DataType) -> str:
    column = '"' + name.replace('"', '""') + '"'
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return _has(column, value, kind.value_type)
    if _is_bytes(kind):
        return f"encode({column}, 'hex') = '{value.encode('utf-8', 'surrogateescape').hex()}'"
    literal = _literal(value, kind)
    return literal and f"{column} = {literal}"


def _has(column: str, value: str, kind: pa.DataType) -> str:
    if _is_bytes(kind):
        # A cast to strings fails at bytes that are not UTF-8.
        return f"array_has(arrow_cast({column}, 'List(Binary)'), arrow_cast({quoted(value)}, 'Binary'))"
    literal = _literal(value, kind)
    return literal and f"array_has({column}, {literal})"


def _literal(value: str, kind: pa.DataType) -> str:
    """A value in a column's type; empty if it cannot be in the column."""
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return quoted(value)
    tests: list[tuple[bool, Callable[[str], object]]] = [
        (pa.types.is_integer(kind), int),
        (pa.types.is_floating(kind), float),
    ]
    for is_kind, parse in tests:
        if is_kind:
            return _number(value, parse)
    return value.lower() if pa.types.is_boolean(kind) and value.lower() in ("true", "false") else ""


def _number(value: str, parse: Callable[[str], object]) -> str:
    try:
        return repr(parse(value))
    except ValueError:
        return ""


def _is_bytes(kind: pa.DataType) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))
