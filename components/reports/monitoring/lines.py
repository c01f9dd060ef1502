"""The time lines of a model: traffic, latency, answers, quality, and the share of columns with signals."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from markupsafe import Markup

from components.inference.columns import OUTPUT
from components.monitoring.tables import QUANTILES, TRAINING
from components.reports.figures import percent
from components.reports.monitoring.scope import by, element, numbers, read, seconds
from components.reports.monitoring.timeline import Line, timeline
from components.reports.monitoring.watched import Watched
from components.reports.monitoring.wording.names import ALL, TITLES, column_name
from components.reports.parts import paragraph, side_by_side

_DOUBTED = 7
"""The colour of what is not to be relied on."""

_MEDIAN, _SLOW = QUANTILES.index(0.5), QUANTILES.index(0.99)


def all_lines(watched: Watched) -> Markup:
    """The time lines of a model, those that people look at first before others."""
    found = [*_traffic(watched), *_quality(watched), *_answers(watched), *_signals(watched)]
    return side_by_side(*found) if found else paragraph("There is nothing to draw in this time.")


def _by_version(watched: Watched, rows: pa.Table) -> Iterator[tuple[str, int, pa.Table]]:
    for version, found in by(rows, "version").items():
        yield f"version {version}", watched.color(version), found
    # Requests that failed before a version was found.
    if (unknown := rows.filter(pc.is_null(rows["version"]))).num_rows:
        yield "no version", watched.color(None), unknown


def _traffic(watched: Watched) -> Iterator[Markup]:
    parts = list(_by_version(watched, watched.traffic))
    if not parts:
        return
    marks = watched.marks()
    counts = {name: [_line(each, name) for each in parts] for name in ("requests", "errors")}
    yield timeline(counts["requests"], marks, title="Requests by window")
    none = (0.0, 1.0) if not any(np.nan_to_num(line.values).any() for line in counts["errors"]) else None
    yield timeline(counts["errors"], marks.of([]), title="Failed requests by window", y_range=none)
    latencies = [
        Line(name, seconds(rows), middle, low=middle, high=element(rows, "latency_quantiles", _SLOW), color=color)
        for name, color, rows in parts
        for middle in [element(rows, "latency_quantiles", _MEDIAN)]
    ]
    note = "the line is the median, the band reaches to the 99th percentile"
    yield timeline(latencies, marks.of([]), title="Latency in ms", note=note)


def _line(part: tuple[str, int, pa.Table], column: str) -> Line:
    name, color, rows = part
    return Line(name, seconds(rows), numbers(rows, column), color=color)


def _quality(watched: Watched) -> Iterator[Markup]:
    columns = ["window_start", "version", "metric", "basis", "value", "low", "high", "expected", "compared_with"]
    columns.append("trusted")
    rows = read(watched.store, "quality", watched.scope.filters(), columns)
    rows = rows.filter(pc.fill_null(pc.equal(rows["compared_with"], ""), True))
    for metric, found in by(rows, "metric").items():
        lines = [line for part in _by_version(watched, found) for line in _measured(*part)]
        lines += _expected(found)
        note = "the band is the 95 % interval; dashed: estimated before labels come, and expected from the evaluation"
        yield timeline(lines, watched.marks(str(metric)), title=str(metric), include_zero=False, note=note)


def _measured(name: str, color: int, rows: pa.Table) -> Iterator[Line]:
    """What labels say; where there are none yet, the estimate."""
    bases = by(rows, "basis")
    for basis, found in bases.items():
        is_estimate = basis == "estimate"
        late = set(seconds(bases["labels"])) if is_estimate and "labels" in bases else set()
        kept = found.filter(pa.array([when not in late for when in seconds(found)], pa.bool_()))
        doubted = pc.fill_null(pc.equal(kept["trusted"], False), False)
        words = f"{name}, estimated" if is_estimate else name
        for part, called, tone in (
            (kept.filter(pc.invert(doubted)), words, color),
            (kept.filter(doubted), f"{words}, not to be trusted", _DOUBTED),
        ):
            if part.num_rows:
                ends = numbers(part, "low"), numbers(part, "high")
                yield Line(called, seconds(part), numbers(part, "value"), *ends, color=tone, is_dashed=is_estimate)


def _expected(rows: pa.Table) -> Iterator[Line]:
    """The evaluation before the push, of each version while it answered."""
    starts, expected = seconds(rows), numbers(rows, "expected")
    kept = np.unique(starts, return_index=True)[1]
    if np.isfinite(expected).any():
        yield Line("expected", starts[kept], expected[kept], color=6, is_dashed=True)


def _drift(watched: Watched, columns: Sequence[str], *filters: tuple[str, str, object]) -> pa.Table:
    where = watched.scope.filters(("against", "=", TRAINING), *filters)
    return read(watched.store, "drift", where, ["window_start", "version", "column", *columns])


def _answers(watched: Watched) -> Iterator[Markup]:
    """How far the answers are from those to the training data, and from what is usual."""
    measures = ("ks", "l_infinity")
    columns = [each for name in measures for each in (name, f"{name}_limit")]
    # Delta keeps the least and the greatest value of each file, so few files are read.
    last = chr(ord(OUTPUT[-1]) + 1)
    where = [("test", "=", "values"), ("column", ">=", OUTPUT), ("column", "<", OUTPUT[:-1] + last)]
    rows = _drift(watched, columns, *where)
    for column, found in by(rows, "column").items():
        measure = next((each for each in measures if np.isfinite(numbers(found, each)).any()), None)
        if measure:
            title = f"{TITLES[measure]} distance of {column_name(str(column))} from training"
            parts = list(_by_version(watched, found))
            yield timeline(distances(parts, measure), watched.marks(str(column)), title=title, note=LIMIT)


LIMIT = "grey: what it stays under in 95 % of windows of this size if nothing has changed"


def distances(parts: Sequence[tuple[str, int, pa.Table]], measure: str) -> list[Line]:
    """A measure by version, before its limit as a band."""
    lines = [
        Line("usual", seconds(rows), nothing, 0.0 * limit, limit, color=6)
        for _, _, rows in parts
        for limit in [numbers(rows, f"{measure}_limit")]
        for nothing in [[math.nan] * len(limit)]
        if np.isfinite(limit).any()
    ]
    return [*lines[:1], *lines[1:], *(_line(part, measure) for part in parts)]


def _signals(watched: Watched) -> Iterator[Markup]:
    rows = _drift(watched, ["signal", "effect", "test"])
    alone = rows.filter(pc.not_equal(rows["column"], ALL))
    if alone.num_rows:
        lines = [_share(*part) for part in _by_version(watched, alone)]
        yield timeline(lines, watched.marks(), title="Columns with a signal", y_range=_top(lines), shown=percent)
    together = rows.filter(pc.equal(rows["column"], ALL))
    if together.num_rows:
        lines = [_line((*part, "effect")[:3], "effect") for part in _by_version(watched, together)]
        yield timeline(lines, watched.marks(ALL), title="All columns together: AUC above 0.5")


def _top(lines: Sequence[Line]) -> tuple[float, float]:
    most = max((float(np.nanmax(line.values, initial=0.0)) for line in lines), default=0.0)
    return 0.0, next(top for top in (0.05, 0.1, 0.2, 0.5, 1.0) if most <= top)


def _share(name: str, color: int, rows: pa.Table) -> Line:
    """The share of columns that have a signal in any test."""
    flags = rows.append_column("on", pc.cast(pc.fill_null(rows["signal"], False), pa.int8()))
    columns = flags.group_by(["window_start", "column"]).aggregate([("on", "max")])
    windows = columns.group_by("window_start").aggregate([("on_max", "mean")]).sort_by("window_start")
    return Line(name, seconds(windows), numbers(windows, "on_max_mean"), color=color)


def by_version(watched: Watched, rows: pa.Table) -> list[tuple[str, int, pa.Table]]:
    """Rows by version: the version's name, its colour, and its rows."""
    return list(_by_version(watched, rows))
