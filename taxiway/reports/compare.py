"""Two runs side by side: parameters, metrics and times, with what differs marked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from components.reports.figures import NOTHING, duration, number, signed
from components.reports.markup import Content
from components.reports.page import Section
from components.reports.parts import heading, stack
from components.reports.tables import Cell, Column, Mark, table
from taxiway.reports import changes
from taxiway.reports.run import RecordedRun
from taxiway.reports.states import word_of
from taxiway.reports.values import shortened


def section(recorded: RecordedRun, other: RecordedRun) -> Section:
    """The section that compares a run with another one."""
    parts = [
        ("Metrics", _metrics(recorded, other)),
        ("Parameters", _parameters(recorded, other)),
        ("Tasks", _tasks(recorded, other)),
    ]
    body = stack(*(stack(heading(title), shown) for title, shown in parts if shown))
    return Section("compare", "Two runs", body, f"{recorded.run.id} beside {other.run.id}.")


def _metrics(recorded: RecordedRun, other: RecordedRun) -> Markup | None:
    one, two = recorded.run.metrics, other.run.metrics
    rows = [_metric(name, one.get(name), two.get(name)) for name in dict.fromkeys([*one, *two])]
    columns: list[str | Column] = [
        "Metric",
        Column("This run", True),
        Column("Other run", True),
        Column("Difference", True),
    ]
    return table("Metrics of both runs", columns, rows, hide_caption=True) if rows else None


def _metric(name: str, one: float | None, two: float | None) -> list[Cell | Content]:
    both = one is not None and two is not None
    difference = one - two if one is not None and two is not None else None
    shown = Cell(NOTHING if difference is None else signed(difference), sort=difference)
    kind: Mark = "changed" if difference or not both else ""
    return [name, Cell(number(one), one, kind), number(two), shown]


def _parameters(recorded: RecordedRun, other: RecordedRun) -> Markup | None:
    one, two = recorded.parameters, other.parameters
    names = list(dict.fromkeys([*one, *two]))
    names.sort(key=lambda name: _of(one, name) == _of(two, name))
    rows = [_pair(name, _of(one, name), _of(two, name)) for name in names]
    return (
        table("Parameters of both runs", ["Name", "This run", "Other run"], rows, hide_caption=True) if rows else None
    )


def _of(parameters: Mapping[str, Any], name: str) -> str | None:
    return changes.text(parameters[name]) if name in parameters else None


def _pair(name: str, one: str | None, two: str | None) -> list[Cell | Content]:
    shown = [NOTHING if value is None else shortened(value) for value in (one, two)]
    return [name, Cell(shown[0], kind="changed" if one != two else ""), shown[1]]


def _tasks(recorded: RecordedRun, other: RecordedRun) -> Markup | None:
    one, two = recorded.run.tasks, other.run.tasks
    rows: list[list[Cell | Content]] = []
    for name in dict.fromkeys([*one, *two]):
        states = [word_of(str(tasks[name].state)) if name in tasks else NOTHING for tasks in (one, two)]
        times = [duration(tasks[name].seconds) if name in tasks else NOTHING for tasks in (one, two)]
        kind: Mark = "changed" if states[0] != states[1] else ""
        rows.append([name, Cell(states[0], kind=kind), states[1], times[0], times[1]])
    columns: list[str | Column] = [
        "Task",
        "This run",
        "Other run",
        Column("Time, this run", True),
        Column("Time, other run", True),
    ]
    return table("Tasks of both runs", columns, rows, hide_caption=True) if rows else None
