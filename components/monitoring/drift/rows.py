"""The rows of the drift table."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import pyarrow as pa

from components.monitoring.decision import Decision
from components.monitoring.drift.measures import measures
from components.monitoring.summaries import Summary
from components.monitoring.tables import DRIFT

ALL_COLUMNS = "*"
"""The column of the measure over all columns together."""

TOGETHER, AUC = "all columns together", "AUC above 0.5"
"""Its test, and the unit of its effect."""


def rows(
    key: Mapping[str, Any],
    against: str,
    *,
    reference: Mapping[str, Summary],
    window: Mapping[str, Summary],
    decisions: Iterable[Decision],
    limits: Callable[[Summary, int], Mapping[str, float]] | None = None,
) -> pa.Table:
    """The rows of the drift table for a window, a version and a slice: one for each decision.

    Args:
        key: The common columns; see `components.monitoring.profile.rows.key`.
        against: `training` or `previous`.
        reference: The columns of the training data, or of the window before.
        window: The columns of the window.
        decisions: What was decided; the measures are in the rows of the test `values`.
        limits: Gives the limits of the measures for a column and a number of values.
    """
    found = [
        {**key, "against": against, **_decided(each), **_measured(each, reference, window, limits)}
        for each in decisions
    ]
    return pa.Table.from_pylist(found, DRIFT)


def _decided(decision: Decision) -> dict[str, Any]:
    names = ("column", "test", "effect", "effect_unit", "p_value", "p_adjusted", "signal", "importance")
    return {name: getattr(decision, name) for name in names}


def _measured(
    decision: Decision,
    reference: Mapping[str, Summary],
    window: Mapping[str, Summary],
    limits: Callable[[Summary, int], Mapping[str, float]] | None,
) -> dict[str, Any]:
    if decision.column == ALL_COLUMNS:
        return {"rows": _most_rows(window), "reference_rows": _most_rows(reference)}
    then, now = reference.get(decision.column), window.get(decision.column)
    if then is None or now is None:
        return {"rows": now.rows if now else 0, "reference_rows": then.rows if then else 0}
    counted: dict[str, Any] = {"rows": now.rows, "reference_rows": then.rows}
    if decision.test != "values":
        return counted
    ends = limits(then, now.values) if limits and now.values and then.values else {}
    return {**counted, **measures(then, now), **{f"{name}_limit": end for name, end in ends.items()}}


def _most_rows(columns: Mapping[str, Summary]) -> int:
    return max((each.rows for each in columns.values()), default=0)
