"""The rows of the profile table."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa

from components.monitoring.profile.quantiles import histogram, quantiles
from components.monitoring.profile.traffic import Traffic
from components.monitoring.summaries import Summary
from components.monitoring.tables import PROFILE, QUANTILES
from components.monitoring.window import Window

TOP = 20
"""The most values that a row names."""


def key(window: Window, version: int | None, slice_name: str, computed: datetime | None = None) -> dict[str, Any]:
    """The columns that the rows of a window, a version and a slice have in common."""
    return {
        "window_start": window.start,
        "window_end": window.end,
        "window": window.length,
        "model": window.model,
        "version": version,
        "slice": slice_name,
        "computed": computed or datetime.now(UTC),
    }


def rows(
    key: Mapping[str, Any],
    summaries: Mapping[str, Summary],
    traffic: Traffic | None = None,
    cost: float | None = None,
) -> pa.Table:
    """The rows of the profile table for a window, a version and a slice.

    Args:
        key: See `key`.
        summaries: The columns.
        traffic: The requests; None for slices, which have no row for the model itself.
        cost: What the window has cost.
    """
    return pa.Table.from_pylist([{**key, **row} for row in _rows(summaries, traffic, cost)], PROFILE)


def _rows(summaries: Mapping[str, Summary], traffic: Traffic | None, cost: float | None) -> Iterator[dict[str, Any]]:
    if traffic is not None:
        yield _of_model(traffic, cost)
    for summary in summaries.values():
        number = summary.bins.kind == "number"
        yield {**_of_column(summary), **(_of_numbers(summary) if number else _of_categories(summary))}


def _of_model(traffic: Traffic, cost: float | None) -> dict[str, Any]:
    return {
        "column": "",
        "kind": "model",
        "rows": traffic.rows,
        "requests": round(traffic.requests),
        "errors": round(traffic.errors),
        "latency_quantiles": quantiles(traffic.latency, QUANTILES),
        "cost": cost,
    }


def _of_column(summary: Summary) -> dict[str, Any]:
    some = summary.values > summary.nans
    return {
        "column": summary.name,
        "kind": summary.bins.kind,
        "rows": summary.rows,
        "missing": summary.missing,
        "nans": summary.nans,
        "infinities": summary.infinities,
        "mean": _finite(summary.mean) if some else None,
        "deviation": _finite(math.sqrt(summary.variance)) if some else None,
        "distinct": summary.distinct,
        "unseen": summary.unseen_count,
        "shape_errors": summary.shape_errors,
        "type_errors": summary.type_errors,
    }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _of_numbers(summary: Summary) -> dict[str, Any]:
    if summary.counts.sum() <= summary.infinities:
        return {"mean": None, "deviation": None}
    return {
        "minimum": summary.low,
        "maximum": summary.high,
        "quantiles": quantiles(summary, QUANTILES),
        "histogram": histogram(summary),
    }


def _of_categories(summary: Summary) -> dict[str, Any]:
    first = np.argsort(-summary.counts, kind="stable")[:TOP]
    known = {summary.bins.values[i]: int(summary.counts[i]) for i in first if summary.counts[i]}
    return {"top_values": _listed({**known, **summary.unseen}), "unseen_values": _listed(summary.unseen)}


def _listed(counts: Mapping[str, int]) -> list[dict[str, Any]]:
    ordered = sorted(counts.items(), key=lambda each: -each[1])[:TOP]
    return [{"value": value, "count": count} for value, count in ordered]
