"""One task to carry out, how it ended, and what the tasks of a run share."""

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
"""The exit status of a stage whose input has to change; see components/__main__.py."""


@dataclass(frozen=True)
class Values:
    """Parameters by name, and artifacts by name as Kubeflow's RuntimeArtifact documents, a list each."""

    parameters: Json = field(default_factory=dict)
    artifacts: dict[str, list[Json]] = field(default_factory=dict)


@dataclass(frozen=True)
class Result:
    """How a task ended.

    Attributes:
        state: See `State`.
        outputs: What it gave.
        error: Why it failed.
        exit_status: 2 for a failure that the user can fix, 1 for any other.
        cpu_seconds: What its process used.
        peak_mb: The most memory that it held, in MB.
    """

    state: State
    outputs: Values = field(default_factory=Values)
    error: str = ""
    exit_status: int = 0
    cpu_seconds: float = 0.0
    peak_mb: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Call:
    """One container or importer to carry out.

    Attributes:
        name: Unique in the run: `transform`, `sub/transform`, `trainer[2]`.
        component: Its component in the compiled pipeline.
        executor: Its executor there, with the placeholders in its settings filled.
        inputs: Its parameters, defaults included, and artifacts.
        task: The task in the compiled pipeline: caching and retries.
        facts: What placeholders of the run and of the task stand for.
        platform: What Kubernetes is to add to its pod.
        at_exit: Whether it runs, as an exit handler or in one, though another task failed.
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
        digests: Remembered digests.
        use_cache: Whether earlier outputs may be used.
        stopping: Set when a task failed or the user interrupts; no task starts after.
        interrupted: Set when the user interrupts; no task is tried again.
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
        # No two tasks share one: `step[2]`, `step-2` and `sub/step` are three.
        plain = name.replace("/", ".").replace("[", ".").replace("]", "")
        return self.home.runs / self.run_id / "logs" / f"{file_name(plain)}.log"

    @cached_property
    def packages(self) -> Packages:
        """The packages that are installed here."""
        return Packages(self.home.packages)

    @cached_property
    def commit(self) -> provenance.Commit:
        """The commit of the working folder, asked once a run: in a large repository it takes its time."""
        return provenance.code_commit()


def failure(error: BaseException, prefix: str = "") -> Result:
    """The result of what raised an exception; one that is not ours is a defect, or a spec that no compiler writes."""
    if isinstance(error, TaxiwayError):
        return Result(State.FAILED, error=f"{prefix}{error}", exit_status=error.exit_status)
    return Result(State.FAILED, error=f"{prefix}{type(error).__name__}: {error}", exit_status=1)


def file_name(name: str) -> str:
    """A task's name as a file's."""
    return re.sub(r"[^\w.-]+", "-", name).strip("-")
