"""The page of a run, section by section; one that fails becomes a warning in the page."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator

from components.contract.artifacts import Artifact
from components.reports import guarded
from components.reports.artifacts import Renderer, renderers
from components.reports.figures import duration, when
from components.reports.page import Section, render
from components.reports.ran import Ran
from components.reports.readers import records
from taxiway.reports import compare, overview
from taxiway.reports.links import NOWHERE, Links
from taxiway.reports.run import RecordedRun, earlier
from taxiway.reports.states import word_of
from taxiway.runs.record import Task
from taxiway.storage.home import Home

_Made = tuple[str, str, Callable[[], Section | None]]


def page(recorded: RecordedRun, home: Home, warn: guarded.Warn, other: RecordedRun | None = None) -> str:
    """The report of a run as HTML.

    Args:
        recorded: The run.
        home: Where earlier runs are.
        warn: Is told of each section that cannot be shown.
        other: A run to compare it with.
    """
    took = f", {duration(recorded.run.seconds)}" if recorded.run.seconds else ""
    subtitle = f"{recorded.run.id} · {when(recorded.started)} · {word_of(recorded.state)}{took}"
    return render(f"Run of {recorded.run.pipeline}", sections(recorded, home, warn, other), subtitle=subtitle)


def sections(
    recorded: RecordedRun,
    home: Home,
    warn: guarded.Warn,
    other: RecordedRun | None = None,
    links: Links = NOWHERE,
) -> list[Section]:
    """The parts of the report; see `page`. A page on a server has links."""
    made = [guarded.made(*each, warn) for each in _sections(recorded, home, other, links)]
    return guarded.with_unique_ids([section for section in made if section is not None])


def of_artifact(recorded: RecordedRun, home: Home, task: str, output: str, *, warn: guarded.Warn) -> list[Section]:
    """The parts about one artifact, if it is still there."""
    artifact = recorded.run.tasks[task].outputs[output]
    ran = _ran(task, recorded, next(iter(earlier(recorded, home, 1)), None))
    made = [
        guarded.made(output, f"{output} of {task}", _named(renderer, artifact, ran, ""), warn)
        for kind, renderer in renderers()
        if _is_of(artifact, kind)
    ]
    return guarded.with_unique_ids([section for section in made if section is not None])


def _sections(recorded: RecordedRun, home: Home, other: RecordedRun | None, links: Links) -> Iterator[_Made]:
    before = earlier(recorded, home, overview.EARLIER)
    since = other or next(iter(before), None)
    title = "What changed between them" if other else "What changed since the last run"
    yield "overview", "Overview", lambda: overview.overview(recorded)
    if other:
        named = (("Other run", other), ("This run", recorded))
        yield "compare", "Two runs", lambda: compare.section(named)
        yield from compare.of_artifacts(named)
    yield "changes", title, lambda: overview.changed(since, recorded, title)
    yield "metrics", "Metrics", lambda: overview.metrics(recorded, before)
    yield "tasks", "Tasks", lambda: overview.tasks(recorded, links)
    yield from _of_artifacts(recorded, since)
    yield "parameters", "Parameters", lambda: overview.parameters(recorded)
    yield "artifacts", "Artifacts", lambda: overview.artifacts(recorded, links)


def _of_artifacts(recorded: RecordedRun, since: RecordedRun | None) -> Iterator[_Made]:
    """The sections about artifacts that are still there, by type; of several of a type, each names its task."""
    for kind, renderer in renderers():
        found = [
            (task, output, artifact)
            for task, ran in recorded.run.tasks.items()
            for output, artifact in ran.outputs.items()
            if _is_of(artifact, kind)
        ]
        for task, output, artifact in found:
            name = task if len(found) > 1 else ""
            yield output, f"{output} of {task}", _named(renderer, artifact, _ran(task, recorded, since), name)


def _is_of(artifact: Artifact, kind: str) -> bool:
    """Whether an artifact is of a type, and still there."""
    return artifact.metadata.get("tfx_type", artifact.type_name) == kind and artifact.path.exists()


def _named(renderer: Renderer, artifact: Artifact, ran: Ran, name: str) -> Callable[[], Section | None]:
    def make() -> Section | None:
        section = renderer(artifact, ran)
        return dataclasses.replace(section, title=f"{section.title}: {name}") if section and name else section

    return make


def _ran(name: str, recorded: RecordedRun, since: RecordedRun | None) -> Ran:
    """What is known of a task. If its outputs came from the cache, it took no time of its own."""
    task = recorded.run.tasks[name]
    is_own = str(task.state) != "CACHED"
    then = since.run.tasks.get(name) if since else None
    return Ran(
        list(task.outputs.values()),
        seconds=task.seconds or None if is_own else None,
        cpu_seconds=task.cpu_seconds or None if is_own else None,
        peak_mb=task.peak_mb or None if is_own else None,
        inputs=_inputs(task, recorded),
        before=list(then.outputs.values()) if then else [],
    )


def _inputs(task: Task, recorded: RecordedRun) -> dict[str, Artifact]:
    """The inputs of a task that other tasks of the run made, by the digests in its record."""
    record = next((found for each in task.outputs.values() if (found := records.own(each))), {})
    made = (output for other in recorded.run.tasks.values() for output in other.outputs.values())
    known = {each.metadata["digest"]: each for each in made if each.metadata.get("digest")}
    return {port: known[digest] for port, digest in record.get("inputs", {}).items() if digest in known}
