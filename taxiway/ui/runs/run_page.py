"""The page of a run: its report with links to logs and artifacts, what is running, and what can be done with it."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
from collections.abc import Iterator, Sequence

from aiohttp import web
from markupsafe import Markup

from components.contract import files
from components.reports.figures import duration, when
from components.reports.markup import Content, join, tag
from components.reports.page import Section
from components.reports.parts import paragraph, stack
from taxiway.reports import report as reports
from taxiway.reports.links import Links
from taxiway.reports.run import RecordedRun
from taxiway.reports.states import badge_of
from taxiway.runs import cancel
from taxiway.ui import forms
from taxiway.ui.runs.logs import tail
from taxiway.ui.views import Asked, Json, Live, Site, View, address

_LAST_LINES = 12
_LAST_BYTES = 16 << 10

_log = logging.getLogger(__name__)


def links_of(run_id: str) -> Links:
    """Where the server has a run's logs and artifacts."""
    return Links(
        log=lambda task: address("runs", run_id, "logs", task),
        artifact=lambda task, output: address("runs", run_id, "artifacts", task, output),
    )


def show(site: Site, asked: Asked) -> View:
    """A run."""
    recorded = site.read(asked.path["run"])
    run_id = recorded.run.id
    live = None if recorded.is_over else Live(address("runs", run_id, "state"), _mark(recorded))
    return View(
        recorded.run.pipeline,
        lambda: _sections(recorded, site),
        lambda: to_json(recorded),
        subtitle=join([badge_of(recorded.state), f" {run_id} · {when(recorded.started)}", *_took(recorded)]),
        crumbs=[("Runs", "/runs")],
        actions=_actions(recorded, site, asked),
        live=live,
    )


def _took(recorded: RecordedRun) -> Iterator[Content]:
    if recorded.run.seconds:
        yield f" · {duration(recorded.run.seconds)}"
    elif not recorded.is_over:
        yield join([" · ", tag("time", "", data_since=recorded.started.isoformat())])


def _sections(recorded: RecordedRun, site: Site) -> Sequence[Section]:
    found = reports.sections(recorded, site.home, _warn, links=links_of(recorded.run.id))
    if recorded.is_over:
        return found
    tasks = [section for section in found if section.id == "tasks"]
    return [*found[:1], *tasks, *_running(recorded), *(each for each in found[1:] if each not in tasks)]


def _warn(text: str) -> None:
    _log.warning("%s", text)


def _running(recorded: RecordedRun) -> Iterator[Section]:
    """The ends of the logs of tasks that are running."""
    if recorded.running and not recorded.is_over:
        yield Section("running", "Running now", stack(*(_last_lines(recorded, task) for task in recorded.running)))


def _last_lines(recorded: RecordedRun, task: str) -> Markup:
    end = tail(recorded.log(task), _LAST_BYTES, _LAST_LINES)
    since = tag("time", "", class_="quiet", data_since=recorded.running[task].isoformat())
    name = tag("h3", tag("a", task, href=links_of(recorded.run.id).log(task)), " ", since)
    return stack(
        name, tag("pre", end.text, class_="log", tabindex="0") if end.size else paragraph("No output yet.", quiet=True)
    )


def _actions(recorded: RecordedRun, site: Site, asked: Asked) -> Markup:
    run_id = recorded.run.id
    again = tag("a", "Run again…", class_="button", href=address("runs", run_id, "again"))
    parts: list[Content] = [] if site.is_copy else [again]
    if recorded.is_over:
        parts.append(tag("a", "Save as one file", class_="button", href=address("runs", run_id, "report.html")))
    elif site.is_copy:
        parts.append(tag("span", "It runs on Kubeflow.", class_="quiet"))
    elif cancel.is_requested(run_id, site.home):
        parts.append(tag("span", "Stopping: running tasks are asked to end.", class_="quiet"))
    else:
        parts.append(
            forms.doing(address("runs", run_id, "cancel"), asked, forms.button("Cancel the run", kind="danger"))
        )
    return join(parts)


def state(site: Site, asked: Asked) -> Json:
    """Changes when the page does."""
    return {"state": _mark(site.read(asked.path["run"]))}


def _mark(recorded: RecordedRun) -> str:
    logs = [files.fingerprint(recorded.log(task)) for task in recorded.running]
    said = [files.fingerprint(recorded.run.folder / "run.json"), recorded.state, logs]
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()[:16]


def to_json(recorded: RecordedRun) -> Json:
    """A run as JSON: its record, with the state as it is and the digests of its artifacts."""
    run = recorded.run
    return {
        "run": run.id,
        "pipeline": run.pipeline,
        "state": recorded.state,
        "started": recorded.started.isoformat(),
        "seconds": run.seconds,
        "parameters": recorded.parameters,
        "metrics": run.metrics,
        "running": {name: began.isoformat() for name, began in recorded.running.items()},
        "tasks": {
            name: {
                "state": str(task.state),
                "seconds": task.seconds,
                "cpu_seconds": task.cpu_seconds,
                "peak_mb": task.peak_mb,
                "error": task.error,
                "log": address("runs", run.id, "logs", name),
                "stages": [
                    {"name": stage.name, "state": str(stage.state or "RUNNING"), "seconds": stage.seconds}
                    for stage in task.stages
                ],
                "outputs": {
                    output: {
                        "type": artifact.type_name,
                        "digest": artifact.metadata.get("digest", ""),
                        "uri": artifact.uri,
                        "page": address("runs", run.id, "artifacts", name, output),
                    }
                    for output, artifact in task.outputs.items()
                },
            }
            for name, task in run.tasks.items()
        },
    }


async def report(site: Site, request: web.Request) -> web.StreamResponse:
    """The run as one file, as `taxiway report` writes it."""

    def made() -> tuple[str, str]:
        recorded = site.read(request.match_info["run"])
        return recorded.run.id, reports.page(recorded, site.home, _warn)

    name, page = await asyncio.to_thread(made)
    headers = {"Content-Disposition": f'attachment; filename="{name}.html"'}
    return web.Response(text=page, content_type="text/html", headers=headers)
