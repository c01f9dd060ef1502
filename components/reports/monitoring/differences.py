"""The metrics of the latest window; how far a version is from the champion, and a slice from all rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from markupsafe import Markup

from components.monitoring.quality.doubts import doubt
from components.reports.figures import NOTHING, counted, number, signed
from components.reports.markup import Content
from components.reports.monitoring.watched import Watched
from components.reports.monitoring.wording import times
from components.reports.monitoring.wording.names import version_name
from components.reports.parts import badge, fold, notice, paragraph, stack
from components.reports.tables import Cell, Column, table

_COLUMNS = ("window_start", "version", "slice", "metric", "value", "labelled", "compared_with")
_ENDS = ("difference", "difference_low", "difference_high")
_MOST = 30
"""The most rows that are not folded."""

_LATEST = ("window_start", "version", "slice", "metric", "basis", "value", "low", "high", "expected", "compared_with")
_KNOWN = ("rows", "labelled", "beyond", "beyond_column", "trusted")

_TITLES = {True: "Slices against all rows", False: "Versions against each other"}


def latest(watched: Watched) -> Markup | None:
    """The metrics of the last window that has any, by labels or estimated; None if no window has."""
    if watched.store.open("quality") is None:
        return None
    scope = watched.scope
    rows: pa.Table = watched.store.read("quality", scope.filters(), [*_LATEST, *_KNOWN])
    rows = rows.filter(pc.and_(pc.is_valid(rows["value"]), pc.fill_null(pc.equal(rows["compared_with"], ""), True)))
    if not rows.num_rows:
        return None
    found = rows.filter(pc.equal(rows["window_start"], pc.max(rows["window_start"]))).to_pylist()
    ordered = sorted(found, key=lambda each: (each["metric"], each["version"], each["basis"]))
    columns: list[str | Column] = ["Metric", "Version", "Basis", Column("Value", True), Column("95 % interval", True)]
    columns += [Column("In the evaluation", True), Column("Rows", True), Column("Labels", True), "Note"]
    words = paragraph(f"In the window that began at {times.short(found[0]['window_start'])} UTC.")
    return stack(words, *_doubts(ordered), table("Metrics", columns, [list(_metric(each)) for each in ordered]))


def _metric(row: Mapping[str, Any]) -> Iterator[Cell | Content]:
    ends = f"{number(row['low'], 3)} to {number(row['high'], 3)}" if None not in (row["low"], row["high"]) else NOTHING
    yield row["metric"]
    yield version_name(row["version"])
    yield "labels" if row["basis"] == "labels" else "estimated"
    yield Cell(number(row["value"], 3), row["value"])
    yield ends
    yield NOTHING if row["expected"] is None else Cell(number(row["expected"], 3), row["expected"])
    yield Cell(number(row["rows"]), row["rows"])
    yield Cell(number(row["labelled"]), row["labelled"])
    yield badge("not to be trusted", "warn") if row["trusted"] is False else ""


def _doubts(rows: Sequence[Mapping[str, Any]]) -> Iterator[Markup]:
    """Why estimates are not to be trusted, once for each version."""
    found = {row["version"]: row for row in rows if row["trusted"] is False}
    for version, row in found.items():
        words = f"{version_name(version)}: {doubt(row['beyond_column'], row['beyond'])}"
        yield notice(words[:1].upper() + words[1:], "warn", "")


def tables(watched: Watched) -> Markup | None:
    """The differences of the latest window that has any; None if no window has."""
    found = _latest(watched)
    # What is compared with a version is a version, else a slice.
    parts = {is_fair: [row for row in found if _is_slice(row) is is_fair] for is_fair in (False, True)}
    drawn = [_table(_TITLES[is_fair], rows) for is_fair, rows in parts.items() if rows]
    return stack(*drawn) if drawn else None


def _is_slice(row: Mapping[str, Any]) -> bool:
    return not row["compared_with"].startswith("version ")


def _latest(watched: Watched) -> list[Mapping[str, Any]]:
    if watched.store.open("quality") is None:
        return []
    scope = watched.scope
    answered = [] if scope.version is None else [("version", "=", scope.version)]
    rows: pa.Table = watched.store.read("quality", [*scope.during(), *answered], [*_COLUMNS, *_ENDS])
    rows = rows.filter(pc.and_(pc.is_valid(rows["difference"]), pc.not_equal(rows["compared_with"], "")))
    if scope.slice:
        rows = rows.filter(pc.equal(rows["slice"], scope.slice))
    if not rows.num_rows:
        return []
    kept = rows.filter(pc.equal(rows["window_start"], pc.max(rows["window_start"])))
    found: list[Mapping[str, Any]] = kept.to_pylist()
    return sorted(found, key=lambda each: (not _is_apart(each), each["metric"], each["slice"]))


def _is_apart(row: Mapping[str, Any]) -> bool:
    """Whether zero is outside the difference's interval."""
    low, high = row["difference_low"], row["difference_high"]
    return low is not None and high is not None and (low > 0 or high < 0)


def _table(title: str, rows: Sequence[Mapping[str, Any]]) -> Markup:
    columns: list[str | Column] = ["Metric", "Version", "Slice", Column("Value", True), "Compared with"]
    columns += [Column("Difference", True), Column("95 % interval", True), Column("Labels", True), "Verdict"]
    listed = table(title, columns, [list(_row(each)) for each in rows])
    return listed if len(rows) <= _MOST else fold(f"{title}: {counted(len(rows), 'difference')}", listed)


def _row(row: Mapping[str, Any]) -> Iterator[Cell | Content]:
    low, high = row["difference_low"], row["difference_high"]
    ends = f"{signed(round(low, 3))} to {signed(round(high, 3))}" if None not in (low, high) else NOTHING
    yield row["metric"]
    yield version_name(row["version"])
    yield row["slice"] or "all rows"
    yield Cell(number(row["value"], 3), row["value"])
    yield row["compared_with"]
    yield Cell(signed(round(row["difference"], 3)), row["difference"])
    yield ends
    yield Cell(number(row["labelled"]), row["labelled"])
    yield badge("differs", "warn") if _is_apart(row) else ""
