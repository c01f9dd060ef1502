"""One label a request, from all that were taken in: the one that became known last."""

from __future__ import annotations

from collections.abc import Sequence

from components.monitoring.labels import columns
from components.monitoring.labels.sources import named
from components.monitoring.store import quoted


def identity(names: Sequence[str]) -> str:
    """SQL: what a label is of, as a string: a request's example, or keys at a time."""
    keys = sorted(columns.keys(list(names)))
    pairs = "".join(f", {quoted(name + '=')} || {named(name)}" for name in keys)
    return (
        f"CASE WHEN request_id IS NULL THEN concat_ws(chr(31), label_time::VARCHAR{pairs}) "
        "ELSE concat_ws(chr(31), request_id, row::VARCHAR) END"
    )


def resolved(view: str, names: Sequence[str]) -> str:
    """SQL: one row for each thing labelled: each outcome's value that became known last.

    Args:
        view: The rows of a labels' table.
        names: Its columns.
    """
    outcomes = columns.outcomes(list(names))
    last = ", ".join(f"arg_max({named(name)}, (label_time, arrived)) AS {named(name)}" for name in outcomes)
    keys = "".join(f", any_value({named(name)}) AS {named(name)}" for name in columns.keys(list(names)))
    return (
        f"SELECT {identity(names)} AS ident, any_value(request_id) AS request_id, any_value(row) AS row, "
        f"max(label_time) AS label_time{keys}, {last} FROM {view} GROUP BY ident"
    )
