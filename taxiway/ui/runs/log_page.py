"""The log of a task: its end, growing while the task runs; all of it as a file."""

from __future__ import annotations

import asyncio
from pathlib import Path

from aiohttp import web

from components.reports.figures import size
from components.reports.markup import join, tag
from components.reports.page import Section
from components.reports.parts import paragraph, stack
from taxiway.reports.run import RecordedRun
from taxiway.reports.states import badge_of
from taxiway.ui.runs.logs import Tail, tail
from taxiway.ui.views import Asked, Json, Live, MissingError, Site, View, address

_CHUNK = 1 << 18


def show(site: Site, asked: Asked) -> View:
    """The end of a task's log."""
    recorded, task = _asked(site, asked)
    run_id = recorded.run.id
    end = tail(recorded.log(task))
    is_running = task in recorded.running and not recorded.is_over
    own = address("runs", run_id, "logs", task)
    return View(
        f"Log of {task}",
        lambda: [_section(end, own)],
        lambda: {"run": run_id, "task": task, "state": _state(recorded, task), "size": end.size, "text": end.text},
        subtitle=join([badge_of(_state(recorded, task)), f" {size(end.size)}"]),
        crumbs=[("Runs", "/runs"), (run_id, address("runs", run_id))],
        live=Live(f"{own}/state", _mark(recorded, task)) if is_running else None,
    )


def _section(end: Tail, own: str) -> Section:
    if not end.size:
        return Section("log", "", paragraph("The task has printed nothing.", quiet=True))
    whole = tag("a", "the whole log", href=f"{own}/whole")
    note = paragraph("Only the end is shown: ", whole, ".", quiet=True) if not end.is_whole else paragraph(whole)
    return Section("log", "", stack(tag("pre", end.text, class_="log whole", tabindex="0", aria_label="Log"), note))


def state(site: Site, asked: Asked) -> Json:
    """Changes when the page does."""
    return {"state": _mark(*_asked(site, asked))}


def _mark(recorded: RecordedRun, task: str) -> str:
    log = recorded.log(task)
    return f"{_state(recorded, task)} {log.stat().st_size if log.exists() else 0}"


def _state(recorded: RecordedRun, task: str) -> str:
    if task in recorded.running:
        return "KILLED" if recorded.is_over else "RUNNING"
    return str(recorded.run.tasks[task].state)


def _asked(site: Site, asked: Asked) -> tuple[RecordedRun, str]:
    recorded, task = site.read(asked.path["run"]), asked.path["task"]
    if task not in recorded.run.tasks and task not in recorded.running:
        raise MissingError(
            f"the run {recorded.run.id} has no task {task!r} that has begun", fix="follow a link on the run's page"
        )
    return recorded, task


async def whole(site: Site, request: web.Request) -> web.StreamResponse:
    """All of a log as text, as far as it is now."""

    def located() -> Path:
        recorded, task = _asked(site, Asked(request.match_info, request.query, request.query))
        return recorded.log(task)

    log = await asyncio.to_thread(located)
    try:
        file = log.open("rb")
    except OSError:
        raise MissingError("the task has printed nothing") from None
    with file:
        left = log.stat().st_size
        response = web.StreamResponse(
            headers={"Content-Type": "text/plain; charset=utf-8", "Content-Length": str(left)}
        )
        await response.prepare(request)
        while left and (chunk := await asyncio.to_thread(file.read, min(_CHUNK, left))):
            await response.write(chunk)
            left -= len(chunk)
    return response
