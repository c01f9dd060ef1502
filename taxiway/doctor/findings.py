"""The lines of the doctor's page, and the use that they are asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

from taxiway.doctor.requirements import Task

_LONGEST = 160


class State(Enum):
    """What a line says of its thing."""

    WELL = "well"
    WARNING = "warning"
    """It works, though something about it wants attention."""

    ABSENT = "absent"
    """It is not there, and the named use does not need it."""

    MISSING = "missing"
    """The named use needs it, and it is not there or does not work: the only state that fails."""

    UNKNOWN = "unknown"
    """It could not be seen from here."""


@dataclass(frozen=True)
class Line:
    """One line: a thing, its state, what was found, and the command or change that fixes it."""

    name: str
    state: State
    found: str
    fix: str = ""


@dataclass(frozen=True)
class Check:
    """Something to look at, independent of all others.

    Attributes:
        name: What its line is called where it gives no answer in time.
        group: The heading that its lines stand under.
        look: Gives the lines.
        silent: The state of no answer in time.
    """

    name: str
    group: str
    look: Callable[[], list[Line]]
    silent: State = State.UNKNOWN


@dataclass(frozen=True)
class Use:
    """What Taxiway is going to be used for.

    Attributes:
        folder: The working folder.
        pipeline: What the user called the pipeline; empty where none was named.
        parameters: The pipeline's, as given.
        tasks: The pipeline's tasks, once it is read.
        sdk_version: The version of kfp that compiled it.
        host: Kubeflow's address.
        token_file: The token for it.
        ca: The authority that it is known by.
        namespace: Where the pipeline's pods run.
        context: kubectl's; the current one by default.
        runner: `local` or `docker`.
    """

    folder: Path
    pipeline: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    tasks: tuple[Task, ...] = ()
    sdk_version: str = ""
    host: str = ""
    token_file: Path | None = None
    ca: Path | None = None
    namespace: str = ""
    context: str = ""
    runner: str = "local"

    @property
    def on_cluster(self) -> bool:
        """Whether the pipeline is going to run in pods."""
        return bool(self.host or self.namespace)


def unless_well(needed: bool) -> State:
    """The state of what is not there."""
    return State.MISSING if needed else State.ABSENT


def short(error: object) -> str:
    """An error in one line."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
