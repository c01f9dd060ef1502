"""One column over time: measures with their limits, missing and new values, mean and quantiles."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
from markupsafe import Markup

from components.monitoring.tables import MEASURES, PREVIOUS, QUANTILES, TRAINING
from components.reports.figures import number, percent
from components.reports.monitoring import lines
from components.reports.monitoring.scope import element, numbers, read, seconds
from components.reports.monitoring.timeline import Line, timeline
from components.reports.monitoring.watched import Watched
from components.reports.monitoring.wording.names import TITLES
from components.reports.parts import paragraph, side_by_side

_FIRST = ("ks", "l_infinity", "wasserstein", "jensen_shannon", "psi", "chi_square")
_PROFILE = ("window_start", "version", "kind", "rows", "missing", "unseen", "mean", "quantiles", "distinct")
Parts = Sequence[tuple[str, int, pa.Table]]
_LOW, _MEDIAN, _HIGH = (QUANTILES.index(each) for each in (0.05, 0.5, 0.95))


def measures(watched: Watched, column: str) -> Markup:
    """The measures of drift over time, each before its limit."""
    drawn = _measures(watched, column)
    return side_by_side(*drawn) if drawn else paragraph("The column was not compared with the training data.")


def shortly(watched: Watched, column: str) -> Markup:
    """The first of the measures, and the first picture of the values."""
    return side_by_side(*_measures(watched, column)[:1], *_values(watched, column)[:1])


def _measures(watched: Watched, column: str) -> list[Markup]:
    rows, before = (_compared(watched, column, against) for against in (TRAINING, PREVIOUS))
    known = [each for each in _FIRST if np.isfinite(numbers(rows, each)).any()] if rows.num_rows else []
    parts, others = (lines.by_version(watched, each) for each in (rows, before))
    return [
        timeline(
            [*lines.distances(parts, each), *_from_before(others, each)],
            watched.marks(column),
            title=f"{TITLES[each]} distance from training",
            note="dashed: from the window before" if others else "",
        )
        for each in known
    ]


def _compared(watched: Watched, column: str, against: str) -> pa.Table:
    where = watched.scope.filters(("against", "=", against), ("column", "=", column), ("test", "=", "values"))
    columns = ["window_start", "version", *(each for name in MEASURES for each in (name, f"{name}_limit"))]
    return read(watched.store, "drift", where, columns)


def _from_before(parts: Parts, measure: str) -> list[Line]:
    """The measure against the window before, by version."""
    return [
        Line(f"{name}, from the window before", seconds(rows), numbers(rows, measure), color=color, is_dashed=True)
        for name, color, rows in parts
    ]


def values(watched: Watched, column: str) -> Markup:
    """The values over time: mean and quantiles, missing and new values."""
    drawn = _values(watched, column)
    return side_by_side(*drawn) if drawn else paragraph("The column is not in the profile of this time.")


def _values(watched: Watched, column: str) -> list[Markup]:
    rows = read(watched.store, "profile", watched.scope.filters(("column", "=", column)), list(_PROFILE))
    parts, marks = lines.by_version(watched, rows), watched.marks(column)
    drawn = [each(parts) for each in (_quantiles, _means) if rows["kind"].to_pylist()[:1] == ["number"]]
    shares = [[_share(part, name) for part in parts] for name in ("missing", "unseen")]
    found = [timeline(each, marks, title=title, include_zero=False, note=note) for each, title, note in drawn]
    titles = ("Share of rows without a value", "Share of values never seen in training")
    found += [
        timeline(each, marks, title=title, shown=percent, y_range=_top(each))
        for each, title in zip(shares, titles, strict=True)
        if parts
    ]
    return found


def _quantiles(parts: Parts) -> tuple[list[Line], str, str]:
    found = [
        Line(
            name,
            seconds(rows),
            element(rows, "quantiles", _MEDIAN),
            low=element(rows, "quantiles", _LOW),
            high=element(rows, "quantiles", _HIGH),
            color=color,
        )
        for name, color, rows in parts
    ]
    return found, "Median", "the band has the middle 90 % of the values"


def _means(parts: Parts) -> tuple[list[Line], str, str]:
    return [Line(name, seconds(rows), numbers(rows, "mean"), color=color) for name, color, rows in parts], "Mean", ""


def _share(part: tuple[str, int, pa.Table], column: str) -> Line:
    name, color, rows = part
    with np.errstate(divide="ignore", invalid="ignore"):
        shares = numbers(rows, column) / numbers(rows, "rows")
    return Line(name, seconds(rows), shares, color=color)


def _top(found: Sequence[Line]) -> tuple[float, float]:
    most = max((float(np.nanmax(line.values, initial=0.0)) for line in found), default=0.0)
    return 0.0, next(top for top in (0.01, 0.05, 0.1, 0.25, 0.5, 1.0) if most <= top)


def figures(profile: dict[str, object]) -> Iterator[tuple[str, str]]:
    """The figures of a column in a window, by name."""
    rows = int(str(profile["rows"] or 0))
    for name, title in (("missing", "Missing"), ("unseen", "New values")):
        if profile[name] is not None and rows:
            yield title, percent(int(str(profile[name])) / rows)
    for name, title in (("mean", "Mean"), ("deviation", "Deviation"), ("minimum", "Least"), ("maximum", "Greatest")):
        if profile["kind"] == "number" and isinstance(profile[name], float):
            yield title, number(float(str(profile[name])))
