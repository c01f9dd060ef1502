"""The lines of the doctor's report, and what the user wants to do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

from taxiway.doctor.requirements import Task
from taxiway.network.login import ANONYMOUS, Login

_LONGEST = 160


class State(Enum):
    """The result of a check."""

    OK = "ok"
    WARNING = "warning"
    """It works, but needs attention."""

    ABSENT = "absent"
    """It does not exist, but the given use does not need it."""

    MISSING = "missing"
    """The given use needs it, but it does not exist or does not work. Only this state makes the command fail."""

    UNKNOWN = "unknown"
    """It could not be determined from here."""


@dataclass(frozen=True)
class Line:
    """One line of the report: what was checked, its state, what was found, and the command or change that fixes it."""

    name: str
    state: State
    found: str
    fix: str = ""


@dataclass(frozen=True)
class Check:
    """A check, independent of all others.

    Attributes:
        name: The name of its line if it times out.
        group: The heading of its lines.
        look: Runs the check and returns its lines.
        silent: Its state if it times out.
    """

    name: str
    group: str
    look: Callable[[], list[Line]]
    silent: State = State.UNKNOWN


@dataclass(frozen=True)
class Use:
    """What the user wants to do with Taxiway.

    Attributes:
        folder: The working folder.
        pipeline: The pipeline as given by the user; empty if none.
        parameters: The given parameters of the pipeline.
        tasks: The pipeline's tasks, once it has been read.
        sdk_version: The version of kfp that compiled the pipeline.
        host: URL of Kubeflow Pipelines.
        login: The user's identity for it.
        ca: CA certificate for its server.
        namespace: The namespace of the pipeline's pods.
        context: kubectl's context; default: the current one.
        runner: `local` or `docker`.
    """

    folder: Path
    pipeline: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    tasks: tuple[Task, ...] = ()
    sdk_version: str = ""
    host: str = ""
    login: Login = ANONYMOUS
    ca: Path | None = None
    namespace: str = ""
    context: str = ""
    runner: str = "local"

    @property
    def on_cluster(self) -> bool:
        """Whether the pipeline will run in pods."""
        return bool(self.host or self.namespace)


def absent_or_missing(needed: bool) -> State:
    """The state of something that does not exist."""
    return State.MISSING if needed else State.ABSENT


def short(error: object) -> str:
    """An error as one line."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
