"""Runs in notebooks: the list, one run, and several beside each other, which display themselves.

import taxiway

taxiway.list_runs()
run = taxiway.open_run("latest")
run.artifacts["statistics"]
taxiway.compare("latest", run)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from components.contract.errors import UserError
from components.reports.figures import cut, duration, number, when
from components.reports.guarded import made
from components.reports.markup import Content
from components.reports.notebooks.piece import piece, shown
from components.reports.parts import badge, code, heading, paragraph, stack
from components.reports.tables import Cell, Column, table
from taxiway.reports import compare as beside
from taxiway.reports import coordinates, overview
from taxiway.reports.coordinates import Point
from taxiway.reports.run import LATEST, RecordedRun, earlier, find, read
from taxiway.reports.states import badge_of, word_of
from taxiway.runs.index import Index, Summary
from taxiway.runs.record import Run
from taxiway.storage.home import Home

_LIMIT = 20
_MOST_METRICS = 3


def _home(given: Path | str | None) -> Home:
    return Home(Path(given).absolute()) if given else Home.default()


def open_run(name: str = LATEST, *, home: Path | str | None = None) -> Run:
    """A run that was made earlier, with its tasks, artifacts and metrics.

    Args:
        name: Its id, the beginning of one, or `latest`.
        home: Where runs are kept; default: `.taxiway` in the working folder.

    Raises:
        UserError: There is no such run, there are several, or its record cannot be read.
    """
    return find(name, _home(home)).run


class RunList(list[Summary]):
    """Runs, latest first; a notebook shows them as a table."""

    def _repr_html_(self) -> str:
        names = dict.fromkeys(name for run in self for name in run.metrics)
        metrics = coordinates.ranked(names)[:_MOST_METRICS]
        columns: list[str | Column] = ["Run", "State", "Started", Column("Time", True), "Blessed"]
        columns += [Column(name, True) for name in metrics]
        rows = [_row(run, metrics) for run in self]
        return piece(table(f"Runs ({len(self)})", columns, rows) if rows else paragraph("There are no runs."))


def _row(run: Summary, metrics: Sequence[str]) -> list[Cell | Content]:
    blessed = None if run.blessed is None else badge("yes", "good") if run.blessed else badge("no", "bad")
    took = Cell(duration(run.seconds) if run.seconds else None, run.seconds)
    values = [run.metrics.get(name) for name in metrics]
    return [code(run.id), badge_of(run.state), when(run.started), took, blessed, *map(number, values)]


def list_runs(pipeline: str = "", *, limit: int | None = _LIMIT, home: Path | str | None = None) -> RunList:
    """The runs on this machine, latest first.

    Args:
        pipeline: Only those of this pipeline.
        limit: The most runs; None for all.
        home: Where runs are kept; default: `.taxiway` in the working folder.
    """
    found = [run for run in Index(_home(home)).runs() if not pipeline or run.pipeline == pipeline]
    return RunList(found[:limit])


@dataclass(frozen=True)
class Comparison:
    """Runs beside each other; a notebook shows what differs.

    Attributes:
        runs: Their ids, in the order of the values.
        parameters: The values of each parameter; None where a run does not have it.
        metrics: The values of each metric.
        tasks: How each task ended.
    """

    runs: Sequence[str]
    parameters: Mapping[str, Sequence[Any]]
    metrics: Mapping[str, Sequence[float | None]]
    tasks: Mapping[str, Sequence[str | None]]
    _found: Sequence[RecordedRun] = field(default=(), repr=False)

    def _repr_html_(self) -> str:
        named = [(chr(ord("A") + place), run) for place, run in enumerate(self._found)]
        points = [Point(name, run.parameters, run.run.metrics) for name, run in named]
        ids = paragraph(*(stack(name, " is ", code(run.run.id), ". ") for name, run in named), quiet=True)
        sections = [beside.section(named), *(found for each in beside.of_artifacts(named) if (found := made(*each)))]
        return piece(ids, coordinates.picture(points), *map(shown, sections))


def compare(first: Run | Summary | str, *others: Run | Summary | str, home: Path | str | None = None) -> Comparison:
    """Runs beside each other: parameters, metrics, tasks, curves, slices and statistics.

    Args:
        first: A run, its id, the beginning of one, or `latest`. The others are compared with it.
        others: One or more runs.
        home: Where runs are kept; default: `.taxiway` in the working folder.

    Raises:
        UserError: There is only one run, more than 26, or no such run.
    """
    if not 1 <= len(others) <= 25:
        raise UserError(f"{1 + len(others)} runs cannot be compared", fix="give 2 to 26 runs")
    found = [_recorded(each, home) for each in (first, *others)]
    said = beside.document([("", run) for run in found])
    return Comparison(**said, _found=found)


def _recorded(run: Run | Summary | str, home: Path | str | None) -> RecordedRun:
    if isinstance(run, Run):
        return read(run.folder, Home(run.folder.parents[1]))
    return find(run if isinstance(run, str) else run.id, _home(home))


def of_run(run: Run) -> str | None:
    """What a notebook shows of a run: how it ended, its metrics and its tasks; None if it left no record."""
    home = Home(run.folder.parents[1])
    try:
        recorded = read(run.folder, home)
    except UserError:
        return None
    metrics = overview.metrics(recorded, earlier(recorded, home, overview.EARLIER))
    title = f"{recorded.run.pipeline}, {word_of(recorded.state)}"
    parts = [overview.overview(recorded).body, shown(metrics) if metrics else None, shown(overview.tasks(recorded))]
    return piece(heading(cut(title, 200)), *parts)
