"""The page of a run, section by section; one that fails becomes a warning in the page."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Iterator

from components.contract.artifacts import Artifact
from components.reports.artifacts import RENDERERS, Renderer
from components.reports.figures import duration, when
from components.reports.page import Section, render
from components.reports.parts import notice
from components.reports.ran import Ran
from taxiway.reports import compare, overview
from taxiway.reports.links import NOWHERE, Links
from taxiway.reports.run import RecordedRun, earlier
from taxiway.reports.states import word_of
from taxiway.runs.record import Task
from taxiway.storage.home import Home

Warn = Callable[[str], object]
_Made = tuple[str, str, Callable[[], Section | None]]


def page(recorded: RecordedRun, home: Home, warn: Warn, other: RecordedRun | None = None) -> str:
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
    recorded: RecordedRun, home: Home, warn: Warn, other: RecordedRun | None = None, links: Links = NOWHERE
) -> list[Section]:
    """The parts of the report; see `page`. A page on a server has links."""
    made = [_made(*each, warn) for each in _sections(recorded, home, other, links)]
    return _with_unique_ids([section for section in made if section is not None])


def of_artifact(recorded: RecordedRun, task: str, output: str, warn: Warn) -> list[Section]:
    """The parts about one artifact, if it is still there."""
    ran = recorded.run.tasks[task]
    artifact = ran.outputs[output]
    made = [
        _made(output, f"{output} of {task}", _named(renderer, artifact, ran, ""), warn)
        for kind, renderer in RENDERERS
        if artifact.type_name == kind and artifact.path.exists()
    ]
    return _with_unique_ids([section for section in made if section is not None])


def _sections(recorded: RecordedRun, home: Home, other: RecordedRun | None, links: Links) -> Iterator[_Made]:
    before = earlier(recorded, home, overview.EARLIER)
    since = other or next(iter(before), None)
    title = "What changed between them" if other else "What changed since the last run"
    yield "overview", "Overview", lambda: overview.overview(recorded)
    if other:
        yield "compare", "Two runs", lambda: compare.section(recorded, other)
    yield "changes", title, lambda: overview.changed(since, recorded, title)
    yield "metrics", "Metrics", lambda: overview.metrics(recorded, before)
    yield "tasks", "Tasks", lambda: overview.tasks(recorded, links)
    yield from _of_artifacts(recorded)
    yield "parameters", "Parameters", lambda: overview.parameters(recorded)
    yield "artifacts", "Artifacts", lambda: overview.artifacts(recorded, links)


def _of_artifacts(recorded: RecordedRun) -> Iterator[_Made]:
    """The sections about artifacts that are still there, by type; of several of a type, each names its task."""
    for kind, renderer in RENDERERS:
        found = [
            (task, output, artifact)
            for task, ran in recorded.run.tasks.items()
            for output, artifact in ran.outputs.items()
            if artifact.type_name == kind and artifact.path.exists()
        ]
        for task, output, artifact in found:
            name = task if len(found) > 1 else ""
            yield output, f"{output} of {task}", _named(renderer, artifact, recorded.run.tasks[task], name)


def _named(renderer: Renderer, artifact: Artifact, task: Task, name: str) -> Callable[[], Section]:
    def make() -> Section:
        # A task whose outputs came from the cache took no time of its own.
        cost = {} if str(task.state) == "CACHED" else _cost(task)
        section = renderer(artifact, Ran(list(task.outputs.values()), **cost))
        return dataclasses.replace(section, title=f"{section.title}: {name}") if name else section

    return make


def _cost(task: Task) -> dict[str, float | None]:
    return {"seconds": task.seconds or None, "cpu_seconds": task.cpu_seconds or None, "peak_mb": task.peak_mb or None}


def _made(id_: str, title: str, make: Callable[[], Section | None], warn: Warn) -> Section | None:
    try:
        return make()
    except Exception as error:
        # What is shown was written by others: whatever is wrong with it must not cost the reader the rest.
        reason = f"{type(error).__name__}: {error}"
        warn(f"{title} cannot be shown: {reason}")
        return Section(id_, title, notice(reason, "warn", "This section cannot be shown."))


def _with_unique_ids(sections: list[Section]) -> list[Section]:
    seen: Counter[str] = Counter()
    found = []
    for section in sections:
        seen[section.id] += 1
        count = seen[section.id]
        found.append(dataclasses.replace(section, id=f"{section.id}-{count}") if count > 1 else section)
    return found
