"""A run as its files tell it: `run.json`, the compiled pipeline, the manifests of its outputs, its logs."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from components.contract.artifacts import Artifact
from components.contract.commands import typed
from components.contract.errors import UserError
from taxiway.language.spec import Pipeline
from taxiway.reports.stored import Stored
from taxiway.runner.call import State, log_name
from taxiway.runner.outputs import artifact_of
from taxiway.runs import folders
from taxiway.runs.index import KILLED, RUNNING
from taxiway.runs.record import Run, Task
from taxiway.runs.stages import Stage
from taxiway.storage.cache import MANIFEST
from taxiway.storage.home import Home

LATEST = "latest"
_LEVELS = 4
"""An output lies at `<artifacts>/<pipeline>/<task>/<key>/<output>`."""

Json = dict[str, Any]


@dataclass(frozen=True)
class RecordedRun:
    """A run that has begun.

    Attributes:
        run: Its record; artifacts have their metadata where their manifest is still there.
        state: As in `State`; `RUNNING`, or `KILLED` if its process ended without recording an end.
        started: The start time, in UTC.
        parameters: The pipeline's parameters.
        manifests: What each task's outputs were made from, by task; tasks whose outputs are gone are missing.
        running: When each task that is running was launched.
    """

    run: Run
    state: str
    started: datetime
    parameters: Json
    manifests: Mapping[str, Json] = field(default_factory=dict)
    running: Mapping[str, datetime] = field(default_factory=dict)

    @property
    def is_over(self) -> bool:
        """Whether nothing more will happen."""
        return self.state != RUNNING

    def log(self, task: str) -> Path:
        """The log file of a task."""
        return self.run.folder / "logs" / log_name(task)

    @cached_property
    def pipeline(self) -> Pipeline | None:
        """The compiled pipeline; None if the file is gone or damaged."""
        try:
            return Pipeline(json.loads((self.run.folder / "pipeline.yaml").read_text()), {})
        except (OSError, ValueError):
            return None

    @property
    def has_artifacts(self) -> bool:
        """Whether any output of the run is still there."""
        return any(output.path.exists() for task in self.run.tasks.values() for output in task.outputs.values())


def find(name: str, home: Home) -> RecordedRun:
    """The run with this id, or with the only id that begins with it; `latest` is the one that began last.

    Raises:
        UserError: There is no such run, there are several, or its record cannot be read.
    """
    known = ids(home)
    if not known:
        raise UserError(f"there are no runs in {home.runs}", fix=f"run a pipeline: {typed('taxiway run PIPELINE')}")
    if name == LATEST:
        return read(home.runs / known[-1], home)
    found = [name] if name in known else [each for each in known if name and each.startswith(name)]
    if len(found) > 1:
        listed = "\n".join(f"  {each}" for each in found)
        raise UserError(f"{name!r} is the beginning of {len(found)} runs:\n{listed}", fix="give more of the id")
    if not found:
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.4)
        hint = f"did you mean {near[0]}?" if near else f"list the runs with {typed('taxiway runs')}, or give {LATEST!r}"
        raise UserError(f"there is no run {name!r} in {home.runs}", fix=hint)
    return read(home.runs / found[0], home)


def ids(home: Home) -> list[str]:
    """The ids of the runs on this machine, in the order in which they began."""
    found = [file.parent for file in home.runs.glob("*/run.json")]
    return [each.name for each in sorted(found, key=lambda folder: (folders.started(folder), folder.name))]


def earlier(recorded: RecordedRun, home: Home, count: int) -> list[RecordedRun]:
    """The last runs of the same pipeline that began before a run, latest first; unreadable ones are passed over."""
    names = [name for name in ids(home) if name.startswith(f"{recorded.run.pipeline}-")]
    before = names[: names.index(recorded.run.id)] if recorded.run.id in names else []
    found: list[RecordedRun] = []
    for name in reversed(before):
        if len(found) == count:
            break
        found += [each for each in _readable(home.runs / name, home) if each.run.pipeline == recorded.run.pipeline]
    return found


def _readable(folder: Path, home: Home) -> list[RecordedRun]:
    try:
        return [read(folder, home)]
    except UserError:
        return []


def read(folder: Path, home: Home) -> RecordedRun:
    """The run in a folder.

    Raises:
        UserError: Its record cannot be read.
    """
    file = folder / "run.json"
    try:
        document = json.loads(file.read_text())
        return _recorded(document, folder, home)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        what = f"{file} cannot be read: {type(error).__name__}: {error}"
        raise UserError(what, fix="choose another run, or run the pipeline again") from error


def _recorded(document: Json, folder: Path, home: Home) -> RecordedRun:
    manifests = {name: found for name, task in document["tasks"].items() if (found := _manifest(task, home))}
    outputs = _Outputs(home, Stored(home))
    tasks = {
        name: _task(task, outputs.of(task, manifests.get(name, {})), folder / "logs" / log_name(name))
        for name, task in document["tasks"].items()
    }
    state = document["state"]
    if state == RUNNING and not folders.is_alive(folder):
        state = KILLED
    run = Run(
        id=folder.name,
        pipeline=document["pipeline"],
        folder=folder,
        state=State(state) if state in set(State) else State.FAILED,
        tasks=tasks,
        seconds=document["seconds"],
    )
    running = {name: datetime.fromisoformat(moment) for name, moment in (document.get("running") or {}).items()}
    return RecordedRun(
        run, state, folders.started(folder), document["parameters"], manifests=manifests, running=running
    )


def _task(task: Json, outputs: dict[str, Artifact], log: Path) -> Task:
    return Task(
        state=State(task["state"]),
        outputs=outputs,
        parameters=task["parameters"],
        seconds=task["seconds"],
        cpu_seconds=task["cpu_seconds"],
        peak_mb=task["peak_mb"],
        error=task["error"],
        log=log,
        stages=[
            Stage(each["name"], State(each["state"]) if each["state"] in set(State) else None, each["seconds"])
            for each in task.get("stages", [])
        ],
    )


@dataclass(frozen=True)
class _Outputs:
    """Finds the outputs of tasks: by their manifests, else in the lineage store."""

    home: Home
    stored: Stored

    def of(self, task: Json, manifest: Json) -> dict[str, Artifact]:
        return {output: self._artifact(output, uri, manifest) for output, uri in task["outputs"].items()}

    def _artifact(self, output: str, uri: str, manifest: Json) -> Artifact:
        described = manifest.get("artifacts", {}).get(output)
        artifact = artifact_of(described[0]) if described else self.stored.artifact(uri)
        artifact.path = _here(artifact.path, self.home)
        return artifact


def _manifest(task: Json, home: Home) -> Json:
    """What the outputs of a task were made from; empty if they are gone, or lie outside of the artifacts."""
    for uri in task["outputs"].values():
        try:
            found = json.loads((_here(Path(uri), home).parent / MANIFEST).read_text())
            return found if isinstance(found, dict) and found.get("artifacts") else {}
        except (OSError, ValueError):
            continue
    return {}


def _here(path: Path, home: Home) -> Path:
    """Where an output is now: the home may have been moved, or copied from another machine."""
    moved = home.artifacts.joinpath(*path.parts[-_LEVELS:])
    return path if path.exists() or not moved.exists() else moved


def log_end(task: Task, lines: int) -> str:
    """The last lines of a task's log; empty if there is none."""
    try:
        with task.log.open("rb") as log:
            log.seek(max(0, task.log.stat().st_size - 200 * lines))
            return "\n".join(log.read().decode(errors="replace").splitlines()[-lines:])
    except OSError:
        return ""
