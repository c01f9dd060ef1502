"""Tables of a watched model as a monitor could have written them: weeks of hourly windows of the taxi model.

Half-way, `trip_miles` becomes kilometres; version 8 follows version 7; labels come a day late, so the last day has
estimates only; the night of the third day has no traffic.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa

from components.monitoring.store import Store
from components.monitoring.tables import MEASURES, PREVIOUS, QUANTILES, SCHEMAS, TRAINING

START = datetime(2026, 3, 2, tzinfo=UTC)
HOUR = timedelta(hours=1)
MODEL, COLUMN = "taxi", "trip_miles"
OLD, NEW = 7, 8
SLICE = "payment_type:Cash"
NUMBERS = {
    "trip_miles": (2.9, 2.1, 0.31),
    "trip_seconds": (780.0, 520.0, 0.22),
    "fare": (11.8, 6.4, 0.18),
    "pickup_latitude": (41.9, 0.04, 0.03),
    "output_probabilities": (0.24, 0.11, 0.0),
}
"""Mean, deviation and importance."""
CATEGORIES = {
    "payment_type": ("Cash", "Credit Card", "Unknown", "No Charge"),
    "company": ("Taxi Affiliation Services", "Dispatch Taxi", "Blue Ribbon", "Yellow Cab"),
}
STRANGE = 3
"""In the last windows, many rows are beyond what estimates learned from."""
ALARM = "4f1c0e9a7b3d"
PICTURE = json.dumps(
    {
        "kind": "numbers",
        "column": COLUMN,
        "bins": [
            {
                "low": low / 2,
                "high": (low + 1) / 2,
                "before": math.exp(-low / 5) / 5.5,
                "now": math.exp(-low / 8) / 8.5,
            }
            for low in range(24)
        ],
    }
)


@dataclass(frozen=True)
class Size:
    """How much there is."""

    windows: int = 24 * 14
    extra_columns: int = 0

    @property
    def broken(self) -> int:
        """The first window in which the unit is another one."""
        return self.windows // 2

    @property
    def released(self) -> int:
        """The first window that version 8 answers in."""
        return self.windows // 4


def fill(store: Store, size: Size = Size()) -> None:
    """Writes all tables, each in one step."""
    random = np.random.default_rng(5)
    starts = [START + HOUR * index for index in range(size.windows) if not 52 <= index < 56]
    tables: dict[str, list[dict[str, Any]]] = {
        "profile": [row for start in starts for row in _profile(start, size, random)],
        "training": [row for version in (OLD, NEW) for row in _trained(version, size, random)],
        "drift": [row for start in starts for row in _drift(start, size, random)],
        "quality": [row for start in starts for row in _quality(start, size, random)],
        "windows": [
            _window(start, size) | {"rows": 900, "table_version": 3, "computed": start + HOUR} for start in starts
        ],
        "alarms": list(_alarms(size)),
    }
    for name, rows in tables.items():
        store.append(name, _table(name, rows))


def _table(name: str, rows: Sequence[dict[str, Any]]) -> pa.Table:
    schema = SCHEMAS[name]
    return pa.Table.from_pylist([{key: row[key] for key in row if key in schema.names} for row in rows], schema=schema)


def _window(start: datetime, size: Size, slice_: str = "") -> dict[str, Any]:
    version = NEW if _index(start) >= size.released else OLD
    whole = {"window_start": start, "window_end": start + HOUR, "window": "1h", "model": MODEL}
    return {**whole, "version": version, "slice": slice_}


def _index(start: datetime) -> int:
    return round((start - START) / HOUR)


def _busy(start: datetime) -> float:
    return 0.55 + 0.45 * math.sin((start.hour - 9) / 24 * 2 * math.pi)


def _is_broken(start: datetime, size: Size, column: str) -> bool:
    return _index(start) >= size.broken and column in (COLUMN, "output_probabilities")


def _columns(size: Size) -> list[str]:
    return [*NUMBERS, *CATEGORIES, *(f"column_{each:03}" for each in range(size.extra_columns))]


def _profile(start: datetime, size: Size, random: np.random.Generator) -> Iterator[dict[str, Any]]:
    rows = round(1500 * _busy(start)) + int(random.integers(0, 60))
    at = _window(start, size)
    latency = [each * (1 + 0.3 * _busy(start)) for each in (2.1, 2.6, 3.4, 4.2, 5.9, 9.8, 21.0)]
    model = {"column": "", "kind": "model", "rows": rows, "requests": rows // 2, "errors": int(random.poisson(0.7))}
    yield {**at, **model, "latency_quantiles": latency, "cost": 0.11, "computed": start + HOUR}
    for column in _columns(size):
        yield {**at, **_column(column, rows, random, _is_broken(start, size, column)), "computed": start + HOUR}
    yield {**_window(start, size, SLICE), **_column(COLUMN, rows // 2, random, _is_broken(start, size, COLUMN))}


def _trained(version: int, size: Size, random: np.random.Generator) -> Iterator[dict[str, Any]]:
    for column in _columns(size):
        yield {"model": MODEL, "version": version, "slice": "", **_column(column, 9972, random, is_broken=False)}


def _column(column: str, rows: int, random: np.random.Generator, is_broken: bool) -> dict[str, Any]:
    missing = int(random.binomial(rows, 0.021))
    whole = {"column": column, "rows": rows, "missing": missing, "nans": 0, "infinities": 0, "unseen": 0}
    if column in CATEGORIES:
        return {**whole, **_category(column, rows - missing, random)}
    return {**whole, **_number(column, rows - missing, random, is_broken)}


def _category(column: str, values: int, random: np.random.Generator) -> dict[str, Any]:
    names = CATEGORIES[column]
    shares = random.multinomial(values, [0.58, 0.35, 0.05, 0.02])
    top = [{"value": name, "count": int(count)} for name, count in zip(names, shares, strict=True)]
    return {"kind": "category", "distinct": len(names), "top_values": top, "unseen_values": []}


def _number(column: str, values: int, random: np.random.Generator, is_broken: bool) -> dict[str, Any]:
    mean, deviation, _ = NUMBERS.get(column, (10.0, 3.0, 0.02))
    factor = (1.61 if column == COLUMN else 1.12) if is_broken else 1.0
    sample = factor * random.gamma((mean / deviation) ** 2, deviation**2 / mean, max(values, 1))
    counts, edges = np.histogram(sample, 30)
    bins = [{"low": a, "high": b, "count": float(c)} for a, b, c in zip(edges[:-1], edges[1:], counts, strict=True)]
    found = {"kind": "number", "mean": sample.mean(), "deviation": sample.std(), "histogram": bins}
    ends = {"minimum": sample.min(), "maximum": sample.max(), "distinct": values}
    return {**found, **ends, "quantiles": np.quantile(sample, QUANTILES).tolist()}


def _drift(start: datetime, size: Size, random: np.random.Generator) -> Iterator[dict[str, Any]]:
    for column in _columns(size):
        yield _compared(start, size, column, random, "")
    yield _compared(start, size, COLUMN, random, SLICE)
    yield {**_compared(start, size, COLUMN, random, ""), "against": PREVIOUS}
    at = _window(start, size)
    auc = 0.21 if _index(start) >= size.broken else abs(random.normal(0, 0.01))
    whole = {"against": TRAINING, "column": "*", "test": "all columns together", "rows": 900}
    yield {**at, **whole, "effect": auc, "effect_unit": "AUC above 0.5", "signal": auc > 0.1, "p_adjusted": 0.5}


def _compared(start: datetime, size: Size, column: str, random: np.random.Generator, slice_: str) -> dict[str, Any]:
    is_broken = _is_broken(start, size, column)
    limit = 0.035 + 0.02 / (0.3 + _busy(start))
    measures = {name: abs(random.normal(0, limit / 2.2)) + (0.19 if is_broken else 0.0) for name in MEASURES}
    limits = {f"{name}_limit": limit for name in MEASURES}
    size_ = float(random.normal(0.52, 0.04)) if is_broken else float(random.normal(0, 0.03))
    unit = "share of rows" if column in CATEGORIES else "standard deviations"
    found = {"against": TRAINING, "column": column, "test": "values", "rows": 900, "reference_rows": 9972}
    importance = NUMBERS.get(column, (0, 0, 0.02))[2] * abs(size_)
    decided = {"effect": size_, "effect_unit": unit, "importance": importance, "signal": is_broken}
    p_values = {"p_value": 1e-12 if is_broken else 0.4, "p_adjusted": 1e-10 if is_broken else 0.99}
    return {**_window(start, size, slice_), **found, **measures, **limits, **decided, **p_values}


def _quality(start: datetime, size: Size, random: np.random.Generator) -> Iterator[dict[str, Any]]:
    is_broken, is_late = _index(start) >= size.broken, _index(start) >= size.windows - 24
    for metric, usual, worse in (("auc", 0.93, 0.05), ("calibration", 1.0, -0.13)):
        value = usual - (worse if is_broken else 0) + random.normal(0, 0.006)
        found = {**_window(start, size), "metric": metric, "rows": 900, "labelled": 880, "expected": usual}
        if not is_late:
            yield {**found, "basis": "labels", "value": value, "low": value - 0.015, "high": value + 0.015}
        estimate = usual - (0.4 * worse if is_broken else 0)
        known = {"beyond": 0.0, "beyond_column": "", "trusted": True}
        if _index(start) >= size.windows - STRANGE:
            known = {"beyond": 0.37, "beyond_column": COLUMN, "trusted": False}
        ends = {"low": estimate - 0.03, "high": estimate + 0.03}
        yield {**found, "basis": "estimate", "value": estimate, **ends, **known}
        if not is_late:
            measured = {**found, "basis": "labels", "value": value - 0.04, "low": value - 0.05, "high": value - 0.03}
            apart = {"difference": -0.04, "difference_low": -0.05, "difference_high": -0.03}
            yield {**measured, "slice": SLICE, "compared_with": "all rows", **apart}
            yield {**measured, "compared_with": f"version {OLD}", **apart, "difference_high": 0.01}


def _alarms(size: Size) -> Iterator[dict[str, Any]]:
    since = START + HOUR * size.broken
    last = START + HOUR * size.windows
    words = (
        "taxi version 8: trip_miles: mean 2.9 -> 4.67 (+0.84 standard deviations by rank), "
        f"since {since:%Y-%m-%d %H:%M} UTC; the model's answers move by 0.31 standard deviations with it"
    )
    whole = {"model": MODEL, "version": NEW, "slice": "", "since": since, "last": last, "changed": last}
    yield {
        **whole,
        **{"alarm": ALARM, "kind": "drift", "column": COLUMN, "state": "open", "sentence": words},
        **{"opened": since + HOUR, "effect": 0.84, "effect_unit": "standard deviations", "p_adjusted": 1e-10},
        **{"evidence": 8.1e7, "importance": 0.31, "picture": PICTURE},
        **{"floor": 0.07, "level": 0.01, "evidence_needed": 5000.0},
    }
    answers = "taxi version 8: the model's answers (probabilities): mean 0.24 -> 0.27 (+0.26 standard deviations)"
    yield {
        **whole,
        **{"alarm": "b7702d1c5e88", "kind": "drift", "column": "output_probabilities", "state": "acknowledged"},
        **{"sentence": f"{answers}, since {since:%Y-%m-%d %H:%M} UTC", "opened": since + HOUR, "effect": 0.26},
        **{"effect_unit": "standard deviations", "p_adjusted": 1e-6, "evidence": 1.2e5, "acknowledged_by": "dispatch"},
    }
    early = START + HOUR * (size.windows // 5)
    yield {
        **{
            "alarm": "0d93aa6be412",
            "model": MODEL,
            "version": OLD,
            "kind": "missing",
            "column": "company",
            "slice": "",
        },
        **{"state": "closed", "sentence": "taxi version 7: company is missing in 9.1 % of rows, was 2.1 %"},
        **{"since": early, "opened": early + HOUR, "last": early + 5 * HOUR, "closed": early + 8 * HOUR},
        **{"changed": early + 8 * HOUR, "effect": 0.07, "effect_unit": "share of rows", "p_adjusted": 2e-5},
        **{"evidence": 4100.0, "importance": 0.02},
    }
    yield {
        **{"alarm": "92be51f0c37a", "model": MODEL, "version": NEW, "kind": "quality", "column": "auc", "slice": SLICE},
        **{
            "state": "suspected",
            "sentence": "taxi version 8: auc 0.93 -> 0.89, where payment_type:Cash",
            "since": last - HOUR,
        },
        **{"last": last, "changed": last, "effect": -0.04, "p_adjusted": 0.02, "evidence": 31.0, "importance": None},
    }
