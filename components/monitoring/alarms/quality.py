"""Metrics of a window beside those of the version's evaluation."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pyarrow as pa

from components.monitoring.alarms.settings import AlarmSettings
from components.monitoring.alarms.signals import Signal
from components.monitoring.alarms.wording.words import number

QUALITY = "quality"

_LOW_IS_GOOD = re.compile(r"loss|error|entropy|brier|false|miss|rmse|mse\b|mae\b|mape", re.IGNORECASE)
_HIGH_IS_GOOD = re.compile(r"auc|accuracy|precision|recall|f1|r2|squared_pearson|ndcg|true", re.IGNORECASE)
_LEAST_ROWS = 50
"""Of fewer rows with labels nothing is said: intervals of ratios and rare classes are not to be trusted there."""

_NO_QUALITY = re.compile(r"example_count|weighted_example_count", re.IGNORECASE)


def found(rows: pa.Table | None, settings: AlarmSettings) -> list[Signal]:
    """What is to be said of the metrics; each is one look at its alarm, whatever the labels that came late say."""
    tested = [row for row in (rows.to_pylist() if rows is not None else []) if _is_comparable(row)]
    return [_signal(row, len(tested), settings) for row in tested]


def _is_comparable(row: Mapping[str, Any]) -> bool:
    known = all(row[name] is not None for name in ("value", "expected"))
    # An estimate beyond what it knows says nothing; the column has its own alarm.
    known = known and row["trusted"] is not False
    count = row["labelled"] if row["basis"] == "labels" else row["rows"]
    return known and (count or 0) >= _LEAST_ROWS and not row["compared_with"] and not _NO_QUALITY.search(row["metric"])


def _signal(row: Mapping[str, Any], tests: int, settings: AlarmSettings) -> Signal:
    value, expected = row["value"], row["expected"]
    p = min(1.0, _p_value(row) * tests)
    effect = (value - expected) / abs(expected) if expected else value - expected
    is_told = p <= settings.level and abs(effect) >= settings.quality_floor and _is_worse(row["metric"], effect)
    signal = Signal(
        version=row["version"],
        slice=row["slice"],
        kind=QUALITY,
        column=row["metric"] if row["basis"] == "labels" else f"{row['metric']} ({row['basis']})",
        rows=row["labelled"] or row["rows"],
        p_adjusted=p,
        signal=is_told,
        effect=effect,
        effect_unit="share of the metric before",
        floor=settings.quality_floor,
        level=settings.level,
    )
    return replace(signal, what=_what(row)) if is_told else signal


def _is_worse(metric: str, effect: float) -> bool:
    """Whether the metric got worse; one of unknown meaning may move in no direction."""
    if _LOW_IS_GOOD.search(metric):
        return effect > 0
    return effect < 0 if _HIGH_IS_GOOD.search(metric) else True


def _p_value(row: Mapping[str, Any]) -> float:
    """The row's own, or that of its interval."""
    from scipy import stats

    if row["p_value"] is not None:
        return float(row["p_value"])
    if row["low"] is None or row["high"] is None or row["high"] <= row["low"]:
        return 1.0
    error = (row["high"] - row["low"]) / (2 * stats.norm.isf(0.025))
    return float(2 * stats.norm.sf(abs(row["value"] - row["expected"]) / error))


def _what(row: Mapping[str, Any]) -> str:
    has_ends = row["low"] is not None and row["high"] is not None
    interval = f" ({number(row['low'])} to {number(row['high'])})" if has_ends else ""
    guess = "" if row["basis"] == "labels" else " by an estimate without labels"
    return (
        f"{row['metric']} is {number(row['value'])}{interval}{guess}, was {number(row['expected'])} in the evaluation"
    )
