"""Any number of runs: one picture, every metric over all of them, and a table of them a hundred at a time.

Neither the page nor its time grows with the number of metrics times the number of runs: the table has the columns that
are asked for, and a page of rows.
"""

from __future__ import annotations

import itertools
import math
import operator
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from markupsafe import Markup

from components.reports import charts
from components.reports.figures import counted, number, when
from components.reports.markup import Content, join, tag
from components.reports.page import Section
from components.reports.parts import paragraph, stack
from components.reports.readers.directions import less_is_better, says_nothing
from components.reports.tables import Cell, Column, table
from taxiway.reports import changes, coordinates
from taxiway.reports.coordinates import Point
from taxiway.reports.states import badge_of
from taxiway.reports.values import shortened
from taxiway.runs.index import Summary
from taxiway.ui import forms
from taxiway.ui.views import Asked, Json, View, address

_ROWS = 100
_KEPT = 4
_STRETCHES = 40
"""So many points has the line of a metric over all runs."""


@dataclass(frozen=True)
class Wanted:
    """What the address asks for.

    Attributes:
        shown: The parameters and metrics to show; empty for those that matter most.
        sort: What the rows are sorted by; empty for the time of their start.
        is_descending: Whether the largest comes first.
        page: The page of the table, from 1.
        pipeline: The pipeline; empty if the runs are named.
        pipelines: The pipelines to choose from; empty if the runs are named.
        runs: The runs that the address names.
    """

    shown: tuple[str, ...] = ()
    sort: str = ""
    is_descending: bool = True
    page: int = 1
    pipeline: str = ""
    pipelines: tuple[str, ...] = ()
    runs: tuple[str, ...] = ()

    def at(self, **changed: Any) -> str:
        """The address of the same with something changed."""
        new = replace(self, **changed)
        order = "" if new.is_descending else "ascending"
        page = str(new.page) if new.page > 1 else ""
        shown = ", ".join(new.shown)
        return address(
            "compare", pipeline=new.pipeline, run=new.runs, show=shown, sort=new.sort, order=order, page=page
        )


def asked_for(asked: Asked, pipelines: Sequence[str], pipeline: str) -> Wanted:
    """The query of an address; what makes no sense is as if it was not there."""
    query = asked.query
    names = [name.strip() for name in query.get("show", "").split(",")]
    page = query.get("page", "1")
    return Wanted(
        shown=tuple(filter(None, names)),
        sort=query.get("sort", ""),
        is_descending=query.get("order") != "ascending",
        page=max(1, int(page)) if page.isascii() and page.isdigit() and len(page) < 9 else 1,
        pipeline=pipeline,
        pipelines=tuple(pipelines),
        runs=tuple(query.getall("run", [])),
    )


def view(runs: Sequence[Summary], wanted: Wanted) -> View:
    """The page of many runs."""
    points = [Point(run.id, run.parameters, run.metrics) for run in runs]
    names = coordinates.axes_of(points, wanted.shown)
    title = f"Runs of {wanted.pipeline}" if wanted.pipeline else "Compare"
    return View(
        title,
        lambda: list(_sections(runs, points, names, wanted)),
        lambda: _document(runs, names, wanted),
        counted(len(runs), "run"),
        (("Runs", "/runs"),),
    )


def _sections(
    runs: Sequence[Summary], points: Sequence[Point], names: Sequence[str], wanted: Wanted
) -> Iterator[Section]:
    yield Section("shown", "What is shown", _form(names, wanted))
    if not runs:
        yield Section("none", "Runs", paragraph("There are no runs to compare."))
        return
    if picture := coordinates.picture(points, names):
        yield Section("coordinates", "Parameters and metrics", picture)
    yield Section("runs", "Runs", _table(runs, names, wanted))
    if listed := _EVERY_METRIC.of(runs):
        yield Section("metrics", "Metrics", listed)


def _form(names: Sequence[str], wanted: Wanted) -> Markup:
    choices = [(name, name) for name in wanted.pipelines]
    pipeline = forms.choice("pipeline", "Pipeline", choices, wanted.pipeline) if choices else None
    kept = [tag("input", type="hidden", name_="run", value=run) for run in wanted.runs]
    show = forms.field("show", "Parameters and metrics, separated by commas", ", ".join(names))
    return forms.asking("/compare", *kept, pipeline, show, forms.button("Show"), label="What to compare")


def _values(runs: Sequence[Summary]) -> dict[str, list[tuple[float, Summary]]]:
    """The values of each metric, from the oldest run to the latest; the metrics that matter most first."""
    found: dict[str, list[tuple[float, Summary]]] = {}
    for run in reversed(runs):
        for name, value in run.metrics.items():
            if math.isfinite(value):
                found.setdefault(name, []).append((value, run))
    return {name: found[name] for name in coordinates.ranked(found)}


def _value(run: Summary, name: str) -> Any:
    return run.parameters.get(name, run.metrics.get(name))


def _ordered(runs: Sequence[Summary], wanted: Wanted) -> list[Summary]:
    """Sorted by a value, those without one last; without a name, the latest first."""
    if not wanted.sort:
        return list(runs)
    known = [run for run in runs if _key(run, wanted.sort) is not None]
    known.sort(key=lambda run: _key(run, wanted.sort) or (), reverse=wanted.is_descending)
    return [*known, *(run for run in runs if _key(run, wanted.sort) is None)]


def _key(run: Summary, name: str) -> tuple[bool, float, str] | None:
    value = _value(run, name)
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    return (False, float(value), "") if isinstance(value, int | float) else (True, 0.0, changes.text(value))


def _every_metric(runs: Sequence[Summary]) -> Markup:
    rows = [_over_all(name, known) for name, known in _values(runs).items()]
    columns: list[str | Column] = ["Metric", "From the oldest run"]
    columns += [Column(name, True) for name in ("Runs", "Least", "Median", "Most")]
    listed = table(f"Every metric over all runs ({number(len(rows))})", [*columns, "Best run"], rows)
    return listed if rows else Markup()


class _Kept:
    """What was made of some runs, kept for when the same are asked for: an unchanged run is the same object."""

    def __init__(self, make: Callable[[Sequence[Summary]], Markup]) -> None:
        self._make = make
        self._made: list[tuple[tuple[Summary, ...], Markup]] = []

    def of(self, runs: Sequence[Summary]) -> Markup:
        for known, made in self._made:
            if len(known) == len(runs) and all(map(operator.is_, known, runs)):
                return made
        made = self._make(runs)
        self._made = [(tuple(runs), made), *self._made[: _KEPT - 1]]
        return made


_EVERY_METRIC = _Kept(_every_metric)


def _page(runs: Sequence[Summary], wanted: Wanted) -> tuple[list[Summary], int, int]:
    """The rows of the page that is asked for, its number, and the number of pages."""
    pages = max(1, math.ceil(len(runs) / _ROWS))
    page = min(wanted.page, pages)
    return _ordered(runs, wanted)[(page - 1) * _ROWS : page * _ROWS], page, pages


def _table(runs: Sequence[Summary], names: Sequence[str], wanted: Wanted) -> Markup:
    rows, page, pages = _page(runs, wanted)
    columns: list[str | Column] = ["Run", "State", Column(_head("", "Started", wanted), True)]
    columns += [Column(_head(name, name, wanted), _is_of_numbers(name, rows)) for name in names]
    places = ", " + _places(page, pages, len(runs)) if pages > 1 else ""
    caption = f"{counted(len(runs), 'run')}{places}"
    listed = table(caption, columns, [_row(run, names, _key_of(run, runs)) for run in rows], is_sortable=False)
    button = forms.button("Compare the chosen runs")
    return stack(forms.asking("/compare", listed, button, label="Runs to compare"), _pager(page, pages, wanted))


def _places(page: int, pages: int, count: int) -> str:
    return f"{number((page - 1) * _ROWS + 1)} to {number(min(page * _ROWS, count))}"


def _head(sort: str, title: str, wanted: Wanted) -> Markup:
    """A title that sorts by its column; again, the other way around."""
    is_current = sort == wanted.sort
    down = not (is_current and wanted.is_descending) if sort else True
    sign = (" ↓" if wanted.is_descending else " ↑") if is_current else ""
    return tag("a", title, sign, href=wanted.at(sort=sort, is_descending=down, page=1))


def _key_of(run: Summary, runs: Sequence[Summary]) -> Markup | None:
    """The colour of a run's line, if each has its own."""
    return tag("span", class_=f"key s{runs.index(run)}") if len(runs) <= charts.COLOURS else None


def _row(run: Summary, names: Sequence[str], key: Markup | None) -> list[Cell | Content]:
    box = tag("input", type="checkbox", name_="run", value=run.id, aria_label=f"Choose {run.id}")
    link = tag("a", run.id, href=address("runs", run.id))
    return [
        join([box, key, link], " "),
        badge_of(run.state),
        when(run.started),
        *(cell(_value(run, name)) for name in names),
    ]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_of_numbers(name: str, rows: Sequence[Summary]) -> bool:
    values = [_value(run, name) for run in rows]
    return all(value is None or _is_number(value) for value in values)


def cell(value: Any) -> Content:
    """A parameter or a metric."""
    return number(value) if value is None or _is_number(value) else shortened(changes.text(value))


def _pager(page: int, pages: int, wanted: Wanted) -> Markup | None:
    if pages == 1:
        return None
    near = sorted({1, *range(max(1, page - 2), min(pages, page + 2) + 1), pages})
    links = [
        tag("a", number(each), href=wanted.at(page=each), aria_current="page" if each == page else None)
        for each in near
    ]
    return tag("nav", *(tag("span", each, " ") for each in links), class_="pager", aria_label="Pages of the table")


def _over_all(name: str, known: Sequence[tuple[float, Summary]]) -> list[Cell | Content]:
    values = [value for value, _ in known]
    line = charts.sparkline(_thinned(values), title=f"{name} from the oldest run to the latest")
    middle = statistics.median(values)
    return [name, Cell(line, sort=""), len(known), min(values), middle, max(values), _best(name, known)]


def _best(name: str, known: Sequence[tuple[float, Summary]]) -> Content:
    if says_nothing(name):
        return None
    choose = min if less_is_better(name) else max
    _, run = choose(known, key=lambda pair: pair[0])
    return tag("a", run.id, href=address("runs", run.id))


def _thinned(values: Sequence[float]) -> list[float]:
    """The mean of each stretch of runs, if there are many."""
    if len(values) <= _STRETCHES:
        return list(values)
    edges = [round(index * len(values) / _STRETCHES) for index in range(_STRETCHES + 1)]
    return [statistics.fmean(values[start:end]) for start, end in itertools.pairwise(edges)]


def _document(runs: Sequence[Summary], names: Sequence[str], wanted: Wanted) -> Json:
    rows, page, pages = _page(runs, wanted)
    return {
        "count": len(runs),
        "page": page,
        "pages": pages,
        "shown": list(names),
        "runs": [_of_run(run) for run in rows],
        "metrics": {name: _range([value for value, _ in known]) for name, known in _values(runs).items()},
    }


def _of_run(run: Summary) -> Mapping[str, Any]:
    return {**asdict(run), "started": run.started.isoformat()}


def _range(values: Sequence[float]) -> Mapping[str, Any]:
    return {"runs": len(values), "least": min(values), "median": statistics.median(values), "most": max(values)}
