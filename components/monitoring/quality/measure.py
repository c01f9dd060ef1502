"""The quality table's rows of a window: metrics by labels, their differences, and estimates."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from components.monitoring.labels.join import labels_of
from components.monitoring.quality import slicing
from components.monitoring.quality.estimate.estimates import Estimated, estimates
from components.monitoring.quality.evaluate import Evaluated, evaluate
from components.monitoring.quality.facts import Settings, Version
from components.monitoring.quality.influences import Spreads, influences, is_count
from components.monitoring.quality.served import REQUEST, Served, by_version
from components.monitoring.quality.spread import Interval, Spread, difference, interval, p_value
from components.monitoring.store import Store
from components.monitoring.tables import QUALITY
from components.monitoring.window import Window

ALL_ROWS = "all rows"
"""What a slice is compared with."""

BY_LABELS, BY_ESTIMATE = "labels", "estimate"
"""What a row of the quality table is based on."""


@dataclass(frozen=True)
class _Measured:
    """A version's metrics with labels."""

    found: Evaluated
    spreads: Spreads


def measure(
    store: Store,
    window: Window,
    batches: Iterable[pa.RecordBatch],
    versions: Sequence[Version],
    settings: Settings | None = None,
    *,
    labels_version: int | None = None,
    inference_version: int | None = None,
) -> pa.Table:
    """The rows of the quality table for a window.

    Args:
        store: The model's tables; labels are read from it.
        window: The window.
        batches: Its rows of the inference table.
        versions: What is known of the versions; answers of others are left out.
        settings: How quality is measured.
        labels_version: The version of the labels' table; the newest by default.
        inference_version: The version of the inference table, in which labels with keys look up their requests.

    Raises:
        UserError: The EvalConfig, the labels or the outputs do not fit together.
    """
    settings = settings or Settings()
    labels = labels_of(
        store,
        window.start,
        window.end,
        max_age=settings.max_age,
        version=labels_version,
        inference_version=inference_version,
    )
    served = by_version(batches, labels)
    known = {each.version: each for each in versions if each.version in served}
    measured = {v: _measured(known[v], served[v]) for v in known if served[v].labelled.num_rows}
    rows: list[dict[str, Any]] = []
    for number, version in known.items():
        rows += _of_version(version, served[number], measured.get(number), settings)
    rows += _between_versions(known, served, measured, settings)
    return _table(rows, window)


def _measured(version: Version, served: Served) -> _Measured:
    found = evaluate(version, served.labelled)
    return _Measured(found, influences(found))


def _table(rows: list[dict[str, Any]], window: Window) -> pa.Table:
    same = {"window_start": window.start, "window_end": window.end, "window": window.length, "model": window.model}
    same["computed"] = datetime.now(UTC)
    names = QUALITY.names
    return pa.Table.from_pylist([dict.fromkeys(names) | same | row for row in rows], QUALITY)


def _of_version(
    version: Version, served: Served, measured: _Measured | None, settings: Settings
) -> Iterator[dict[str, Any]]:
    sizes = slicing.sizes(version.eval_config, served.rows)
    if measured:
        yield from _by_labels(version, measured, sizes, settings)
    if settings.estimate and version.calibrated is not None:
        labelled = slicing.sizes(version.eval_config, served.labelled)
        for each in estimates(version, served.rows, settings.level):
            yield _estimate_row(version, each, sizes, labelled)


def _by_labels(
    version: Version, measured: _Measured, sizes: Mapping[str, int], settings: Settings
) -> Iterator[dict[str, Any]]:
    found = measured.found
    expected = _expected(version)
    for name, metrics in found.values.items():
        count = found.counts[name]
        for metric, value in metrics.items():
            spread = measured.spreads.get(name, {}).get(metric)
            ends = interval(spread, settings.level) if spread and value is not None else Interval()
            row = _row(version, name, metric, value, ends) | {"rows": sizes.get(name, count), "labelled": count}
            yield row | _against_expected(spread, expected.get(name), metric, count)
            if name and not is_count(metric) and value is not None:
                yield from _against_all(row, measured, name, metric, settings)


def _row(version: Version, slice_name: str, metric: str, value: float | None, ends: Interval) -> dict[str, Any]:
    found: dict[str, Any] = {"version": version.version, "slice": slice_name, "metric": metric, "basis": BY_LABELS}
    return found | {"value": value, "low": ends.low, "high": ends.high}


def _expected(version: Version) -> dict[str, Mapping[str, Any]]:
    """What the evaluation before the push has, by the slices' names in the tables."""
    return {str(each["slice"]).replace(", ", ",").replace(": ", ":"): each for each in version.expected}


def _against_expected(
    spread: Spread | None, expected: Mapping[str, Any] | None, metric: str, labelled: int
) -> dict[str, Any]:
    value = (expected or {}).get("metrics", {}).get(metric)
    if value is None or is_count(metric):
        return {}
    rows = (expected or {}).get("rows")
    p = p_value(spread, float(value), float(rows), labelled) if spread and rows and labelled else None
    return {"expected": float(value), "p_value": p}


def _against_all(
    row: Mapping[str, Any], measured: _Measured, name: str, metric: str, settings: Settings
) -> Iterator[dict[str, Any]]:
    """A slice against all rows, with an interval that holds for all slices of the metric together."""
    whole = measured.found.values.get("", {}).get(metric)
    mine, all_rows = (measured.spreads.get(each, {}).get(metric) for each in (name, ""))
    if whole is None or row["value"] is None:
        return
    slices = sum(1 for each, metrics in measured.found.values.items() if each and metrics.get(metric) is not None)
    ends = difference(mine, all_rows, settings.level / slices) if mine and all_rows else Interval()
    yield {**row, **_difference(ALL_ROWS, row["value"] - whole, ends)}


def _difference(other: str, value: float, ends: Interval) -> dict[str, Any]:
    return {"compared_with": other, "difference": value, "difference_low": ends.low, "difference_high": ends.high}


def _between_versions(
    known: Mapping[int, Version], served: Mapping[int, Served], measured: Mapping[int, _Measured], settings: Settings
) -> Iterator[dict[str, Any]]:
    """Every version against the champion: on all rows, and on the requests that both answered."""
    champion = settings.champion if settings.champion in measured else min(measured, default=None)
    if champion is None:
        return
    for number in measured:
        if number == champion:
            continue
        named = f"version {champion}"
        yield from _challenged(known[number], measured[number], measured[champion], named, settings)
        shared = [_shared(served[a].labelled, served[b].labelled) for a, b in ((number, champion), (champion, number))]
        if shared[0].num_rows:
            mine, theirs = (
                _measured(replace(known[v], eval_config=_without_slices(known[v])), Served(rows, rows))
                for v, rows in zip((number, champion), shared, strict=True)
            )
            yield from _challenged(known[number], mine, theirs, f"{named}, same requests", settings)


def _shared(mine: pa.Table, theirs: pa.Table) -> pa.Table:
    return mine.filter(pc.is_in(mine[REQUEST], theirs[REQUEST].combine_chunks()))


def _without_slices(version: Version) -> Mapping[str, Any]:
    return {**version.eval_config, "slicing_specs": [{}]}


def _challenged(
    version: Version, mine: _Measured, theirs: _Measured, named: str, settings: Settings
) -> Iterator[dict[str, Any]]:
    for name, metrics in mine.found.values.items():
        count = mine.found.counts[name]
        for metric, value in metrics.items():
            other = theirs.found.values.get(name, {}).get(metric)
            if value is None or other is None or is_count(metric):
                continue
            one, two = (each.spreads.get(name, {}).get(metric) for each in (mine, theirs))
            ends = interval(one, settings.level) if one else Interval()
            row = _row(version, name, metric, value, ends) | {"rows": count, "labelled": count}
            apart = difference(one, two, settings.level) if one and two else Interval()
            yield row | _difference(named, value - other, apart)


def _estimate_row(
    version: Version, each: Estimated, sizes: Mapping[str, int], labelled: Mapping[str, int]
) -> dict[str, Any]:
    row = _row(version, each.slice, each.metric, each.value, Interval(each.low, each.high))
    counts = {"rows": sizes.get(each.slice, 0), "labelled": labelled.get(each.slice, 0)}
    expected = _expected(version).get(each.slice, {}).get("metrics", {}).get(each.metric)
    known = {"beyond": each.beyond.share, "beyond_column": each.beyond.column, "trusted": each.beyond.is_trusted}
    return row | counts | known | {"basis": BY_ESTIMATE, "expected": expected}
