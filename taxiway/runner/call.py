"""A task to execute, its result, and what all tasks of a run share."""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from pathlib import Path

from components.contract.errors import TaxiwayError
from components.execution import provenance
from taxiway.language.components import ExecutorComponent
from taxiway.language.executors import Executor
from taxiway.language.platforms import Platform
from taxiway.language.spec import Pipeline
from taxiway.language.tasks import Task
from taxiway.language.values import Json
from taxiway.packages.packages import Packages
from taxiway.runner.launcher import Launcher
from taxiway.storage.digest_store import DigestStore
from taxiway.storage.home import Home


class State(StrEnum):
    """How a task ended."""

    SUCCEEDED = "SUCCEEDED"
    CACHED = "CACHED"
    SKIPPED = "SKIPPED"
    FAILED = "FAILED"
    CANCELED = "CANCELED"


DONE = (State.SUCCEEDED, State.CACHED)
USER_ERROR = 2
"""The exit status of a stage that failed because of its input; see components/__main__.py."""


@dataclass(frozen=True)
class Values:
    """Parameters by name, and lists of artifacts by name, as Kubeflow's RuntimeArtifact documents."""

    parameters: Json = field(default_factory=dict)
    artifacts: dict[str, list[Json]] = field(default_factory=dict)


@dataclass(frozen=True)
class Result:
    """How a task ended.

    Attributes:
        state: See `State`.
        outputs: Its outputs.
        error: Why it failed.
        exit_status: 2 for a failure that the user can fix, 1 for any other.
        cpu_seconds: CPU time of its process.
        peak_mb: Peak memory in MB.
    """

    state: State
    outputs: Values = field(default_factory=Values)
    error: str = ""
    exit_status: int = 0
    cpu_seconds: float = 0.0
    peak_mb: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Call:
    """One container or importer to execute.

    Attributes:
        name: Unique in the run: `transform`, `sub/transform`, `trainer[2]`.
        component: Its component in the compiled pipeline.
        executor: Its executor there, with the placeholders in its settings filled.
        inputs: Its parameters, including defaults, and its artifacts.
        task: The task in the compiled pipeline, with its caching and retries.
        facts: The values of the placeholders for the run and the task.
        platform: The Kubernetes settings of its pod.
        at_exit: Whether it belongs to an exit handler, and so runs even after another task failed.
    """

    name: str
    component: ExecutorComponent
    executor: Executor
    inputs: Values
    task: Task
    facts: Mapping[str, str] = field(default_factory=dict)
    platform: Platform = field(default_factory=Platform)
    at_exit: bool = False


@dataclass(frozen=True, kw_only=True)
class Context:
    """What the tasks of a run share.

    Attributes:
        run_id: The run's name.
        pipeline: The compiled pipeline.
        home: Where files are kept.
        launcher: Starts containers.
        digests: The store of known digests.
        use_cache: Whether outputs of earlier runs may be used.
        stopping: Set when a task fails or the user interrupts the run; no more tasks start.
        interrupted: Set when the user interrupts the run; no task is retried.
        changed: Set when a task that may be cached was not.
    """

    run_id: str
    pipeline: Pipeline
    home: Home
    launcher: Launcher
    digests: DigestStore
    use_cache: bool = True
    stopping: threading.Event = field(default_factory=threading.Event)
    interrupted: threading.Event = field(default_factory=threading.Event)
    changed: threading.Event = field(default_factory=threading.Event)

    def log(self, name: str) -> Path:
        """The log file of a task."""
        return self.home.runs / self.run_id / "logs" / log_name(name)

    @cached_property
    def packages(self) -> Packages:
        """The packages that are installed here."""
        return Packages(self.home.packages)

    @cached_property
    def commit(self) -> provenance.Commit:
        """The commit of the working folder; read once per run, because Git is slow in large repositories."""
        return provenance.code_commit()


def failure(error: BaseException, prefix: str = "") -> Result:
    """The result for an exception. One that is not Taxiway's is a bug, or comes from a spec that no compiler writes."""
    if isinstance(error, TaxiwayError):
        return Result(State.FAILED, error=f"{prefix}{error}", exit_status=error.exit_status)
    return Result(State.FAILED, error=f"{prefix}{type(error).__name__}: {error}", exit_status=1)


def log_name(task: str) -> str:
    """The name of a task's log file."""
    # Different for each task, such as `step[2]`, `step-2` and `sub/step`.
    return f"{file_name(task.replace('/', '.').replace('[', '.').replace(']', ''))}.log"


def file_name(name: str) -> str:
    """A task's name as a file name."""
    return re.sub(r"[^\w.-]+", "-", name).strip("-")
