"""The list of runs."""

from __future__ import annotations

from dataclasses import asdict

from components.reports.figures import counted, duration, when
from components.reports.markup import tag
from components.reports.page import Section
from components.reports.tables import Cell, table
from taxiway.reports.states import badge_of
from taxiway.runs.index import Summary
from taxiway.ui.views import Asked, Json, Site, View, address


def show(site: Site, asked: Asked) -> View:
    """The runs on this machine."""
    runs = site.index.runs()
    return View("Runs", lambda: [_section(runs)], lambda: {"runs": [to_json(run) for run in runs]})


def to_json(run: Summary) -> Json:
    """A run as JSON."""
    return {**asdict(run), "started": run.started.isoformat()}


def _section(runs: list[Summary]) -> Section:
    rows = [
        [
            tag("a", run.id, href=address("runs", run.id)),
            badge_of(run.state),
            when(run.started),
            Cell(duration(run.seconds), run.seconds),
        ]
        for run in runs
    ]
    return Section("runs", "", table(counted(len(runs), "run"), ["Run", "State", "Started", "Time"], rows))
