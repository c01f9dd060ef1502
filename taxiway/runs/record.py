"""The record of a run: its tasks, their outputs, and how they ended."""

from __future__ import annotations

import importlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from components.contract import files
from components.contract.artifacts import Artifact, Metrics
from components.contract.errors import TaxiwayError
from taxiway.runner.call import State
from taxiway.runs.stages import Stage


class RunFailedError(TaxiwayError):
    """A task failed; `run` says which, and has the outputs of the others."""

    def __init__(self, run: Run) -> None:
        super().__init__(run.error)
        self.exit_status = run.exit_status
        self.run = run


@dataclass
class Task:
    """How one task of a run ended.

    Attributes:
        state: How it ended.
        outputs: Its artifacts by output name; for a list, its first.
        parameters: Its output parameters.
        seconds: Wall time; near 0 if it was cached.
        cpu_seconds: CPU time.
        peak_mb: Peak memory in MB.
        error: Why it failed.
        log: Its log file.
        stages: The stages of a fused task that have begun; empty for any other, and for one that was cached as a whole.
    """

    state: State
    outputs: dict[str, Artifact] = field(default_factory=dict)
    parameters: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    peak_mb: float = 0.0
    error: str = ""
    log: Path = Path()
    stages: list[Stage] = field(default_factory=list)


@dataclass
class Run:
    """A run of a pipeline.

    Attributes:
        id: Its name: `<pipeline>-<UTC time>-<suffix>`.
        pipeline: The pipeline's name.
        folder: The folder with its logs, its `run.json` and the compiled pipeline.
        state: How it ended.
        tasks: Its tasks by name, in the order they ended.
        outputs: What the pipeline function returned, by name: parameters, artifacts, and lists of artifacts.
        seconds: Wall time.
        command: The command that resumes it, if it was started from the command line.
        error: Why it failed.
        exit_status: 0 on success; 2 if the input, a setting or the user's code has to change; else 1.
        running: When each task that is running was launched.
    """

    id: str
    pipeline: str
    folder: Path
    state: State = State.SUCCEEDED
    tasks: dict[str, Task] = field(default_factory=dict)
    outputs: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    command: str = ""
    error: str = ""
    exit_status: int = 0
    running: dict[str, datetime] = field(default_factory=dict)

    @property
    def artifacts(self) -> dict[str, Artifact]:
        """All artifacts by output name, or as `<task>.<output>` if several tasks have an output of that name."""
        several = [name for task in self.tasks.values() for name in task.outputs]
        return {
            name if several.count(name) == 1 else f"{task_name}.{name}": artifact
            for task_name, task in self.tasks.items()
            for name, artifact in task.outputs.items()
        }

    @property
    def metrics(self) -> dict[str, float]:
        """The metrics of all tasks by name, or as `<task>.<name>` if several tasks have a metric of that name."""
        found = [(task, *metric) for task, metrics in self.evaluations.items() for metric in metrics.items()]
        names = [name for _, name, _ in found]
        return {name if names.count(name) == 1 else f"{task}.{name}": value for task, name, value in found}

    @property
    def evaluations(self) -> dict[str, dict[str, float]]:
        """The metrics of each task that has any."""
        return {
            name: metrics
            for name, task in self.tasks.items()
            if (metrics := {k: v for output in task.outputs.values() for k, v in _metrics(output).items()})
        }

    @property
    def blessings(self) -> dict[str, bool]:
        """What each task that judged something said of it."""
        found = {name: [o.metadata.get("blessed") for o in task.outputs.values()] for name, task in self.tasks.items()}
        judged = {name: [each for each in said if isinstance(each, int | float)] for name, said in found.items()}
        return {name: all(said) for name, said in judged.items() if said}

    @property
    def pushed(self) -> list[str]:
        """Where its models were pushed to."""
        outputs = [output for task in self.tasks.values() for output in task.outputs.values()]
        return [str(each.metadata.get("pushed_destination", "")) for each in outputs if each.metadata.get("pushed")]

    def write(self, parameters: Mapping[str, Any]) -> None:
        """Writes `run.json` atomically, with the run's parameters."""
        # Written at each change of a task: the run does not survive a power cut anyway.
        files.write(self.folder / "run.json", json.dumps(self._document(parameters), indent=1))

    def _repr_html_(self) -> str | None:
        # By name: only a notebook asks for it, and reports know runs, not the other way around.
        return importlib.import_module("taxiway.reports.notebook").of_run(self)  # type: ignore[no-any-return]

    @property
    def failures(self) -> list[str]:
        """The names of the tasks that failed."""
        return [name for name, task in self.tasks.items() if task.state == State.FAILED]

    def _document(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "run": self.id,
            "pipeline": self.pipeline,
            "parameters": dict(parameters),
            "state": str(self.state) if self.seconds else "RUNNING",
            "seconds": round(self.seconds, 3),
            "running": {name: moment.isoformat(timespec="milliseconds") for name, moment in self.running.items()},
            "tasks": {name: _task_document(task) for name, task in self.tasks.items()},
            "metrics": self.metrics,
            "blessings": self.blessings,
            "pushed": self.pushed,
            **_origins(self.tasks),
        }


def _origins(tasks: Mapping[str, Task]) -> dict[str, Any]:
    """The data versions and the commits that the outputs were made from, each once."""
    outputs = [output for task in tasks.values() for output in task.outputs.values()]
    records = [json.loads(found) for each in outputs if (found := each.metadata.get("provenance"))]
    data = {json.dumps(found, sort_keys=True): found for record in records if (found := record.get("data"))}
    codes = [code for record in records if (code := record.get("code") or {}).get("commit")]
    commits = dict.fromkeys(f"{code['commit']}{'+' if code.get('modified') else ''}" for code in codes)
    return {"data": list(data.values()), "commits": list(commits)}


def _task_document(task: Task) -> dict[str, Any]:
    return {
        "state": str(task.state),
        "seconds": round(task.seconds, 3),
        "cpu_seconds": task.cpu_seconds,
        "peak_mb": task.peak_mb,
        "outputs": {output: artifact.uri for output, artifact in task.outputs.items()},
        "digests": {output: artifact.metadata.get("digest", "") for output, artifact in task.outputs.items()},
        "parameters": task.parameters,
        "error": task.error,
        **({"stages": [_stage_document(stage) for stage in task.stages]} if task.stages else {}),
    }


def _stage_document(stage: Stage) -> dict[str, Any]:
    return {"name": stage.name, "state": str(stage.state or "RUNNING"), "seconds": stage.seconds}


def _metrics(artifact: Artifact) -> dict[str, float]:
    return artifact.metrics if isinstance(artifact, Metrics) else {}
