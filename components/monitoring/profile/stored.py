"""Summaries as a table, one row a column, for files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import numpy as np
import pyarrow as pa

from components.monitoring.summaries import Bins, Summary

_ARRAYS = {"counts", "unseen", "bins"}
_FIELDS = [field.name for field in fields(Summary) if field.name not in _ARRAYS]
_TYPES = {"name": pa.string(), **dict.fromkeys(("mean", "variance", "low", "high"), pa.float64())}

SCHEMA = pa.schema(
    [
        *((name, _TYPES.get(name, pa.int64())) for name in _FIELDS),
        ("counts", pa.list_(pa.int64())),
        ("unseen", pa.map_(pa.string(), pa.int64())),
        ("kind", pa.string()),
        ("source", pa.string()),
        ("edges", pa.list_(pa.float64())),
        ("values", pa.list_(pa.string())),
    ]
)
"""The table's columns."""


def to_table(summaries: Mapping[str, Summary]) -> pa.Table:
    """Summaries as a table."""
    return pa.Table.from_pylist([_row(each) for each in summaries.values()], SCHEMA)


def _row(summary: Summary) -> dict[str, Any]:
    bins = summary.bins
    return {
        **{name: getattr(summary, name) for name in _FIELDS},
        "counts": summary.counts,
        "unseen": list(summary.unseen.items()),
        "kind": bins.kind,
        "source": bins.source,
        "edges": bins.edges,
        "values": list(bins.values),
    }


def from_table(table: pa.Table) -> dict[str, Summary]:
    """The summaries of a table."""
    names = [name for name in SCHEMA.names if name not in ("counts", "edges")]
    arrays = {name: [each.values.to_numpy() for each in table.column(name)] for name in ("counts", "edges")}
    rows = table.select(names).to_pylist()
    return {
        row["name"]: _summary(row, *found) for row, *found in zip(rows, arrays["counts"], arrays["edges"], strict=True)
    }


def _summary(row: Mapping[str, Any], counts: Any, edges: Any) -> Summary:
    bins = Bins(row["kind"], edges=np.array(edges), values=tuple(row["values"]), source=row["source"])
    rest = {name: row[name] for name in _FIELDS}
    return Summary(bins=bins, counts=np.array(counts), unseen=dict(row["unseen"]), **rest)
