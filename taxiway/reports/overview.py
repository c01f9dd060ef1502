"""The sections about a run as a whole: how it ended, its metrics beside earlier ones, its tasks and parameters."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from markupsafe import Markup

from components.contract.artifacts import Artifact
from components.contract.commands import typed
from components.reports import charts
from components.reports.figures import NOTHING, duration, number, short_digest, signed, size, when
from components.reports.markup import Content, join, tag
from components.reports.page import Section
from components.reports.parts import badge, block, code, facts, fold, notice, paragraph, stack, tiles
from components.reports.tables import Cell, Column, table
from taxiway.lineage.lookup import displayed
from taxiway.reports import changes, graph
from taxiway.reports.links import NOWHERE, Links, linked
from taxiway.reports.run import RecordedRun, log_end
from taxiway.reports.states import badge_of
from taxiway.reports.values import shortened
from taxiway.runs.record import Task

EARLIER = 5
"""So many earlier runs are beside a run's metrics."""
_LOG_LINES = 40


def overview(recorded: RecordedRun) -> Section:
    """How the run ended: the page's first section."""
    failed = [_failure(name, recorded.run.tasks[name]) for name in recorded.run.failures]
    gone = [] if recorded.has_artifacts or not recorded.run.tasks else [_gone()]
    notes = [notice(note, "info", name) for name, note in _notes(recorded)]
    body = stack(tiles(_tiles(recorded)), *_killed(recorded), *failed, *gone, facts(_facts(recorded)), *notes)
    return Section("overview", "Overview", body)


def _tiles(recorded: RecordedRun) -> Iterator[tuple[Content, Content, Content]]:
    tasks = recorded.run.tasks.values()
    cached = sum(str(task.state) == "CACHED" for task in tasks)
    yield "State", badge_of(recorded.state), None
    yield "Time", duration(recorded.run.seconds) if recorded.run.seconds else NOTHING, None
    yield "Tasks", number(len(tasks)), f"{cached} from the cache" if cached else "none from the cache"
    for name, blessed, reasons in _blessings(recorded):
        yield f"Blessing of {name}", badge("blessed", "good") if blessed else badge("not blessed", "bad"), reasons
    for version, destination in _pushed(recorded):
        yield "Pushed version", version, displayed(destination)


def _outputs(recorded: RecordedRun) -> Iterator[tuple[str, str, Artifact]]:
    for task, ran in recorded.run.tasks.items():
        yield from ((task, output, artifact) for output, artifact in ran.outputs.items())


def _blessings(recorded: RecordedRun) -> Iterator[tuple[str, bool, str]]:
    for task, _, artifact in _outputs(recorded):
        blessed = artifact.metadata.get("blessed")
        if isinstance(blessed, int | float):
            yield task, bool(blessed), str(artifact.metadata.get("not_blessed", ""))


def _pushed(recorded: RecordedRun) -> Iterator[tuple[str, str]]:
    for _, _, artifact in _outputs(recorded):
        if artifact.metadata.get("pushed"):
            destination = str(artifact.metadata.get("pushed_destination", ""))
            yield str(artifact.metadata.get("pushed_version") or destination), destination


def _facts(recorded: RecordedRun) -> Iterator[tuple[Content, Content]]:
    yield "Run", code(recorded.run.id)
    yield "Pipeline", recorded.run.pipeline
    yield "Started", when(recorded.started)
    if found := changes.commit(recorded):
        yield "Commit", code(found)
    for data in _data(recorded):
        yield f"Data in {data.get('path', '')}", _version(data)


def _data(recorded: RecordedRun) -> Iterable[dict[str, Any]]:
    found = [record["data"] for record in changes.records(recorded) if record.get("data")]
    return {json.dumps(data, sort_keys=True): data for data in found}.values()


def _version(data: dict[str, Any]) -> Content:
    version = data.get("dvc_hash") or short_digest(str(data.get("content", "")))
    return stack(code(version or NOTHING), " ", "" if data.get("versioned") else badge("no version", "warn"))


def _notes(recorded: RecordedRun) -> Iterator[tuple[str, str]]:
    for task, _, artifact in _outputs(recorded):
        yield from ((task, note) for note in artifact.notes)


def _failure(name: str, task: Task) -> Markup:
    log = log_end(task, _LOG_LINES)
    shown = [fold(f"The end of the log of {name}", block(log))] if log else []
    return stack(notice(task.error or "It gave no reason; its log may.", "bad", f"{name} failed."), *shown)


def _killed(recorded: RecordedRun) -> list[Markup]:
    if recorded.state == "RUNNING":
        return [notice("The run has not ended: this page shows what it has done so far.", "info")]
    killed = "The run's process ended before it could record a result, as after kill -9 or a power cut."
    return [notice(killed, "bad")] if recorded.state == "KILLED" else []


def _gone() -> Markup:
    return notice(
        "None of the run's artifacts is on this machine any more: only what its record says is shown. "
        "Run the pipeline again with the same parameters to make them again.",
        "warn",
    )


def changed(
    before: RecordedRun | None, recorded: RecordedRun, title: str = "What changed since the last run"
) -> Section:
    """What differs from another run."""
    if before is None:
        first = paragraph("This is the first run of the pipeline here: there is none to compare with.", quiet=True)
        return Section("changes", title, first)
    found = changes.between(before, recorded)
    unknown = changes.uncompared(before, recorded)
    rest = [paragraph(f"Not compared, because outputs are gone or missing: {', '.join(unknown)}.", quiet=True)]
    body = _changes(found) if found else notice("Nothing: the same parameters, code, data and packages.", "good")
    return Section("changes", title, stack(body, *(rest if unknown else [])), f"Compared with {before.run.id}.")


def _changes(found: Sequence[changes.Change]) -> Markup:
    rows = [
        [each.kind, each.what, shortened(each.before), shortened(each.now), ", ".join(each.tasks) or "all"]
        for each in found
    ]
    return table(f"Changes ({len(rows)})", ["Kind", "What", "Before", "Now", "Tasks"], rows)


def metrics(recorded: RecordedRun, before: Sequence[RecordedRun]) -> Section | None:
    """The run's metrics beside those of earlier runs."""
    own, others = recorded.run.metrics, [each.run.metrics for each in before]
    names = list(dict.fromkeys([*own, *(name for each in others for name in each)]))
    if not names:
        return None
    columns: list[str | Column] = ["Metric", Column("This run", True)]
    if others:
        columns += [Column("Change", True, "Since the run before"), Column("Trend", hint="From the oldest to this run")]
        columns += [Column(f"{each.started:%m-%d %H:%M}", True, each.run.id) for each in before]
    rows = [_metric(name, own.get(name), [each.get(name) for each in others]) for name in names]
    summary = f"Beside the last {len(before)} runs of {recorded.run.pipeline}." if len(before) > 1 else ""
    return Section("metrics", "Metrics", table(f"Metrics ({len(rows)})", columns, rows, hide_caption=True), summary)


def _metric(name: str, own: float | None, others: Sequence[float | None]) -> list[Cell | Content]:
    row: list[Cell | Content] = [name, own]
    if others:
        change = own - others[0] if own is not None and others[0] is not None else None
        known = [value for value in [*reversed(others), own] if value is not None]
        trend = charts.sparkline(known, title=f"{name} over {len(known)} runs") if len(known) > 1 else None
        row += [Cell(NOTHING if change is None else signed(change), sort=change), Cell(trend, sort=""), *others]
    return row


def tasks(recorded: RecordedRun, links: Links = NOWHERE) -> Section:
    """The graph of the tasks, and their times."""
    longest = max((task.seconds for task in recorded.run.tasks.values()), default=0) or 1
    columns: list[str | Column] = [
        "Task",
        "State",
        Column("Time", True),
        Column("CPU", True),
        Column("Peak memory", True),
    ]
    rows = [
        row
        for name, task in recorded.run.tasks.items()
        for row in _task_rows(linked(name, links.log(name)), task, longest)
    ]
    rows += [_running_row(linked(name, links.log(name)), began) for name, began in recorded.running.items()]
    listed = table(f"Tasks ({len(recorded.run.tasks) + len(recorded.running)})", columns, rows, hide_caption=True)
    body = tag("div", graph.picture(recorded, links), listed, class_="graphed")
    return Section("tasks", "Tasks", body, _slowest(recorded))


def _slowest(recorded: RecordedRun) -> str:
    ran = {name: task.seconds for name, task in recorded.run.tasks.items() if str(task.state) != "CACHED"}
    if not ran:
        return "All outputs came from the cache." if recorded.run.tasks else "No task has ended."
    slowest = max(ran, key=lambda name: ran[name])
    return f"The longest was {slowest}, {duration(ran[slowest])}."


def _running_row(name: Content, began: datetime) -> list[Cell | Content]:
    return [name, badge_of("RUNNING"), Cell(tag("time", "", data_since=began.isoformat()), sort=""), None, None]


def _task_rows(name: Content, task: Task, longest: float) -> Iterator[list[Cell | Content]]:
    yield [
        name,
        badge_of(str(task.state)),
        Cell(stack(duration(task.seconds), _length(task.seconds / longest)), task.seconds),
        Cell(duration(task.cpu_seconds) if task.cpu_seconds else NOTHING, task.cpu_seconds),
        Cell(size(1e6 * task.peak_mb) if task.peak_mb else NOTHING, task.peak_mb),
    ]
    for stage in task.stages:
        state = badge_of(str(stage.state or "RUNNING"))
        yield [join([name, f": {stage.name}"]), state, Cell(duration(stage.seconds), stage.seconds), None, None]


def _length(share: float) -> Markup:
    bar = tag("rect", width=round(100 * share, 1), height=4, class_="fill s0")
    return tag("svg", bar, viewBox="0 0 100 4", preserveAspectRatio="none", aria_hidden="true", class_="length")


def parameters(recorded: RecordedRun) -> Section:
    """The pipeline's parameters, and which of them are not the default."""
    defaults = recorded.pipeline.root.defaults if recorded.pipeline else {}
    rows = [
        [name, shortened(changes.text(value)), "default" if name in defaults and defaults[name] == value else "given"]
        for name, value in recorded.parameters.items()
    ]
    if not rows:
        return Section("parameters", "Parameters", paragraph("The pipeline has no parameters.", quiet=True))
    return Section("parameters", "Parameters", table("Parameters", ["Name", "Value", "From"], rows, hide_caption=True))


def artifacts(recorded: RecordedRun, links: Links = NOWHERE) -> Section:
    """Where everything lies that the run made."""
    columns: list[str | Column] = ["Output", "Task", "Type", "Digest", Column("Size", True), "Place"]
    rows = [
        _artifact(linked(output, links.artifact(task, output)), task, artifact)
        for task, output, artifact in _outputs(recorded)
    ]
    body = (
        table(f"Artifacts ({len(rows)})", columns, rows, hide_caption=True) if rows else paragraph("None.", quiet=True)
    )
    return Section(
        "artifacts",
        "Artifacts",
        body,
        f"{typed('taxiway lineage DIGEST')} shows what one was made from.",
    )


def _artifact(output: Content, task: str, artifact: Artifact) -> list[Cell | Content]:
    bytes_ = size_of(artifact.path)
    digest = short_digest(str(artifact.metadata.get("digest", "")))
    there = Cell(size(bytes_), bytes_) if bytes_ is not None else Cell("gone", sort="", kind="warn")
    kind = artifact.type_name if type(artifact) is not Artifact else NOTHING
    return [output, task, kind, code(digest) if digest else None, there, code(displayed(str(artifact.path)))]


def size_of(path: Path) -> int | None:
    """The bytes of all files; None if there is nothing."""
    if not path.exists():
        return None
    if path.is_file():
        return path.stat().st_size
    return sum((Path(folder) / name).lstat().st_size for folder, _, names in os.walk(path) for name in names)
