"""Runs side by side: parameters, metrics, tasks, and what their artifacts show together; what differs is marked.

The first of the runs is what the others are compared with.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from markupsafe import Markup

from components.contract.artifacts import Artifact
from components.reports.compared.artifacts import COMPARERS, Comparer
from components.reports.figures import NOTHING, duration, number, signed
from components.reports.markup import Content, slug
from components.reports.page import Section
from components.reports.parts import fold, heading, stack
from components.reports.tables import Cell, Column, Mark, table
from taxiway.reports import changes
from taxiway.reports.run import RecordedRun
from taxiway.reports.states import word_of
from taxiway.reports.values import shortened

Named = Sequence[tuple[str, RecordedRun]]
"""The runs, each with the name of its column."""

Values = Sequence[Any]


def section(named: Named) -> Section:
    """The section that compares runs."""
    parts = [("Metrics", metrics(named)), ("Parameters", parameters(named)), ("Tasks", tasks(named))]
    body = stack(*(stack(heading(title), shown) for title, shown in parts if shown))
    title = "Two runs" if len(named) == 2 else f"{len(named)} runs"
    last, *others = [run.run.id for _, run in reversed(named)]
    return Section("compare", title, body, f"{last} beside {', '.join(reversed(others))}.")


def of_artifacts(named: Named) -> Iterator[tuple[str, str, Callable[[], Section | None]]]:
    """Sections about artifacts that more than one run still has, by type: id, title, and what makes it."""
    for kind, title, comparer in COMPARERS:
        found = [(name, artifact) for name, run in named if (artifact := _output(run, kind))]
        if len(found) > 1:
            yield slug(title), title, _making(comparer, found)


def has(recorded: RecordedRun, title: str) -> bool:
    """Whether a run still has an artifact for the section of this title."""
    return any(_output(recorded, kind) for kind, each, _ in COMPARERS if each == title)


def _making(comparer: Comparer, found: Sequence[tuple[str, Artifact]]) -> Callable[[], Section | None]:
    return lambda: comparer(found)


def _output(recorded: RecordedRun, kind: str) -> Artifact | None:
    """A run's first artifact of a type that is still there."""
    outputs = (each for task in recorded.run.tasks.values() for each in task.outputs.values())
    return next((each for each in outputs if each.type_name == kind and each.path.exists()), None)


def document(named: Named) -> dict[str, Any]:
    """The same as JSON: runs, and the values of each parameter, metric and task in their order."""
    runs = [run for _, run in named]
    return {
        "runs": [run.run.id for run in runs],
        "parameters": _side_by_side([run.parameters for run in runs]),
        "metrics": _side_by_side([run.run.metrics for run in runs]),
        "tasks": _side_by_side([{name: str(task.state) for name, task in run.run.tasks.items()} for run in runs]),
    }


def _side_by_side(found: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """The values of each name; None where there is none."""
    names = dict.fromkeys(name for each in found for name in each)
    return {name: [each.get(name) for each in found] for name in names}


def _caption(what: str, named: Named) -> str:
    return f"{what} of both runs" if len(named) == 2 else f"{what} of {len(named)} runs"


def metrics(named: Named) -> Markup | None:
    """The metrics, with the difference of two runs, or the spread of more."""
    found = _side_by_side([run.run.metrics for _, run in named])
    last = "Difference" if len(named) == 2 else "Spread"
    columns: list[str | Column] = ["Metric", *(Column(name, True) for name, _ in named), Column(last, True)]
    rows = [[name, *map(_metric, values, _marks(values)), _spread(values)] for name, values in found.items()]
    return table(_caption("Metrics", named), columns, rows, hide_caption=True) if rows else None


def _marks(values: Values) -> list[Mark]:
    """Which values differ from the first."""
    return ["changed" if value != values[0] else "" for value in values]


def _metric(value: float | None, mark: Mark) -> Cell:
    return Cell(number(value), "" if value is None else value, mark)


def _spread(values: Values) -> Cell:
    known = [value for value in values if value is not None]
    if len(known) < 2:
        return Cell(NOTHING, sort="")
    if len(values) == 2:
        return Cell(signed(values[1] - values[0]), values[1] - values[0])
    return Cell(number(max(known) - min(known)), max(known) - min(known))


def parameters(named: Named) -> Markup | None:
    """The parameters that differ, and folded those that do not."""
    found = _side_by_side([_texts(run.parameters) for _, run in named])
    rows = {name: _parameter(name, values) for name, values in found.items()}
    columns = ["Name", *(name for name, _ in named)]
    differing = [row for name, row in rows.items() if len(set(found[name])) > 1]
    equal = [row for name, row in rows.items() if len(set(found[name])) == 1]
    caption = _caption("Parameters", named)
    if not rows:
        return None
    if not differing or len(named) == 2:
        return table(caption, columns, [*differing, *equal], hide_caption=True)
    same = table(f"Parameters that all of the {len(named)} runs share", columns[:2], [row[:2] for row in equal])
    folded = fold(f"{len(equal)} parameters are the same", same) if equal else None
    return stack(table(caption, columns, differing, hide_caption=True), folded)


def _texts(found: Mapping[str, Any]) -> dict[str, str]:
    return {name: changes.text(value) for name, value in found.items()}


def _parameter(name: str, values: Values) -> list[Cell | Content]:
    shown = [NOTHING if value is None else shortened(value) for value in values]
    return [name, *(Cell(each, kind=mark) for each, mark in zip(shown, _marks(values), strict=True))]


def tasks(named: Named) -> Markup | None:
    """How the tasks ended, and how long they took."""
    found = _side_by_side([run.run.tasks for _, run in named])
    rows: list[list[Cell | Content]] = []
    for name, ran in found.items():
        states = [word_of(str(task.state)) if task else NOTHING for task in ran]
        shown = [Cell(state, kind=mark) for state, mark in zip(states, _marks(states), strict=True)]
        times = [Cell(duration(task.seconds), task.seconds) if task else Cell(NOTHING, sort="") for task in ran]
        rows.append([name, *shown, *times])
    names = [name for name, _ in named]
    columns: list[str | Column] = ["Task", *names, *(Column(f"Time, {_lower(name)}", True) for name in names)]
    return table(_caption("Tasks", named), columns, rows, hide_caption=True) if rows else None


def _lower(name: str) -> str:
    return name[:1].lower() + name[1:] if len(name) > 1 else name
