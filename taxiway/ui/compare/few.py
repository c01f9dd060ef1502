"""A few runs side by side, each with a letter and a colour; what differs from the first is marked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict

from markupsafe import Markup

from components.contract.errors import UserError
from components.reports.figures import counted, duration, when
from components.reports.guarded import made
from components.reports.markup import Content, join, tag
from components.reports.page import Section
from components.reports.parts import code, notice, paragraph, stack
from components.reports.tables import Cell, Column, table
from taxiway.reports import changes, compare, coordinates, overview
from taxiway.reports.coordinates import Point
from taxiway.reports.run import RecordedRun
from taxiway.reports.states import badge_of
from taxiway.runs.index import Summary
from taxiway.ui.views import Json, Site, View, address


def view(site: Site, runs: Sequence[Summary]) -> View:
    """The page of two to eight runs."""
    title = "Two runs" if len(runs) == 2 else f"{len(runs)} runs"
    subtitle = ", ".join(dict.fromkeys(run.pipeline for run in runs))
    return View(title, lambda: _sections(site, runs), lambda: _document(site, runs), subtitle, (("Runs", "/runs"),))


def _letter(place: int) -> str:
    return chr(ord("A") + place)


def _read(site: Site, runs: Sequence[Summary]) -> tuple[list[tuple[str, RecordedRun]], list[str]]:
    """The runs by letter, and what cannot be read."""
    found, failed = [], []
    for place, run in enumerate(runs):
        try:
            found.append((_letter(place), site.read(run.id)))
        except UserError as error:
            failed.append(str(error))
    return found, failed


def _document(site: Site, runs: Sequence[Summary]) -> Json:
    named, failed = _read(site, runs)
    differing = [asdict(each) for each in changes.between(named[0][1], named[1][1])] if len(named) == 2 else []
    return {**compare.document(named), "changes": differing, "unreadable": failed}


def _sections(site: Site, runs: Sequence[Summary]) -> list[Section]:
    named, failed = _read(site, runs)
    return [Section("runs", "Runs", stack(*(notice(each, "warn") for each in failed), _runs(runs))), *_compared(named)]


def _compared(named: Sequence[tuple[str, RecordedRun]]) -> Iterator[Section]:
    points = [Point(name, run.parameters, run.run.metrics) for name, run in named]
    shown = [
        ("coordinates", "Parameters and metrics", coordinates.picture(points)),
        ("metrics", "Metrics", compare.metrics(named)),
        ("parameters", "Parameters", compare.parameters(named)),
    ]
    yield from (Section(id_, title, body) for id_, title, body in shown if body)
    yield from (found for each in compare.of_artifacts(named) if (found := made(*each)))
    if len(named) == 2:
        (first, before), (second, now) = named
        yield overview.changed(before, now, f"What changed from {first} to {second}")
    if tasks := compare.tasks(named):
        yield Section("tasks", "Tasks", tasks)


def _runs(runs: Sequence[Summary]) -> Markup:
    columns: list[str | Column] = [
        "Name",
        "Run",
        "State",
        Column("Started", True),
        Column("Time", True),
        "Data",
        "Commit",
        "Show",
    ]
    listed = table("Runs", columns, [_row(place, runs) for place in range(len(runs))], hide_caption=True)
    note = f"The others are compared with A: ≠ marks what differs from it in {counted(len(runs) - 1, 'other run')}."
    return stack(listed, paragraph(note, quiet=True))


def _row(place: int, runs: Sequence[Summary]) -> list[Cell | Content]:
    run = runs[place]
    key = join([tag("span", class_=f"key s{place}"), _letter(place)])
    took = Cell(duration(run.seconds) if run.seconds else None, run.seconds)
    data = join((code(data_name(each)) for each in run.data), " ")
    commits = join((code(f"{each[:12]}{'+' if each.endswith('+') else ''}") for each in run.commits), " ")
    link = tag("a", run.id, href=address("runs", run.id))
    return [key, link, badge_of(run.state), when(run.started), took, data, commits, _others(place, runs)]


def _others(place: int, runs: Sequence[Summary]) -> Markup:
    """Links to the same page with this run first, or without it."""
    rest = [run.id for run in runs if run is not runs[place]]
    links = []
    if place:
        first = address("compare", run=[runs[place].id, *rest])
        links.append(tag("a", "first", href=first, aria_label=f"Compare with {_letter(place)}"))
    if len(rest) > 1:
        without = address("compare", run=rest)
        links.append(tag("a", "without", href=without, aria_label=f"Without {_letter(place)}"))
    return join(links, " · ")


def data_name(data: Json) -> str:
    """A data version in a few characters."""
    version = data.get("revision") or data.get("dvc_hash") or data.get("content") or ""
    return "@".join(part for part in (str(data.get("path", "")), str(version).removeprefix("sha256:")[:12]) if part)
