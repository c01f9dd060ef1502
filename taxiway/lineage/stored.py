"""Runs, tasks and artifacts read from a lineage store, as plain values."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from components.execution.provenance import Record
from components.execution.pushed_models import pushed_place


@dataclass(frozen=True)
class Run:
    """One run of a pipeline.

    Attributes:
        id: The run's id.
        pipeline: The pipeline's name.
        state: As its runner recorded it, or `RUNNING`.
        started: The start time.
        seconds: How long it took, or has been running.
        tasks: Number of tasks by state.
        pushed: Where its models were pushed.
        blessed: Whether a model was blessed; None if none was evaluated.
        error: Why it failed, if known.
    """

    id: str
    pipeline: str
    state: str
    started: datetime
    seconds: float
    tasks: dict[str, int]
    pushed: list[str]
    blessed: bool | None
    error: str = ""


@dataclass(frozen=True)
class StoredArtifact:
    """An artifact in the store."""

    id: int
    type_name: str
    uri: str
    metadata: dict[str, Any]

    @property
    def digest(self) -> str:
        """The digest of its content; empty if none was recorded."""
        return str(self.metadata.get("digest", ""))

    @property
    def records(self) -> list[Record]:
        """Its own record, and those of sources outside the store; empty if no stage made it."""
        own = self.metadata.get("provenance")
        return [json.loads(own), *json.loads(self.metadata.get("source_provenance", "[]"))] if own else []

    @property
    def is_pushed(self) -> bool:
        """Whether it is the record of a push; a baseline has the destination as well."""
        return bool(self.metadata.get("pushed"))

    @property
    def pushed_to(self) -> str:
        """The version folder that a PushedModel was pushed to; empty for any other artifact."""
        return pushed_place(self.metadata)


@dataclass(frozen=True)
class StoredTask:
    """A task in the store: an execution of a stage.

    Attributes:
        name: `<run>/<task>`.
        state: `RUNNING`, `COMPLETE`, `CACHED`, `FAILED` or `CANCELED`.
        parameters: Its parameters.
        started: The start time.
    """

    name: str
    state: str
    parameters: dict[str, Any]
    started: datetime


@dataclass(frozen=True)
class Entry:
    """An execution of which there is only one by its name.

    Attributes:
        name: Its name.
        facts: Its properties.
    """

    name: str
    facts: dict[str, Any]
