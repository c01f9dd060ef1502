"""Which runs are compared: those that the address names, else those of a pipeline."""

from __future__ import annotations

from components.reports.charts import COLOURS
from components.reports.figures import counted
from components.reports.page import Section
from components.reports.parts import paragraph
from taxiway.runs.index import Summary
from taxiway.ui.compare import few, many
from taxiway.ui.views import Asked, MissingError, Site, View


def show(site: Site, asked: Asked) -> View:
    """The runs `?run=A&run=B`; without any, all runs of `?pipeline=`, by default of the one that ran last."""
    known = site.index.runs()
    chosen = _named(known, list(dict.fromkeys(asked.query.getall("run", []))))
    if 2 <= len(chosen) <= COLOURS:
        return few.view(site, chosen)
    if len(chosen) == 1:
        return _alone(chosen[0])
    pipelines = list(dict.fromkeys(run.pipeline for run in known))
    pipeline = asked.query.get("pipeline", "") or next(iter(pipelines), "")
    if pipeline and pipeline not in pipelines:
        raise MissingError(f"there is no run of a pipeline {pipeline!r}", fix="see the runs at /runs")
    found = chosen or [run for run in known if run.pipeline == pipeline]
    return many.view(found, many.asked_for(asked, [] if chosen else pipelines, "" if chosen else pipeline))


def _named(known: list[Summary], ids: list[str]) -> list[Summary]:
    by_id = {run.id: run for run in known}
    for name in ids:
        if name not in by_id:
            raise MissingError(f"there is no run {name!r}", fix="see the runs at /runs")
    return [by_id[name] for name in ids]


def _alone(run: Summary) -> View:
    body = paragraph("A comparison needs two runs: tick another one in the list of runs.")
    return View("Compare", lambda: [Section("alone", run.id, body)], lambda: {"runs": [run.id]}, counted(1, "run"))
