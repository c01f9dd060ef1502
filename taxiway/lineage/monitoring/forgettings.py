"""What was forgotten in the lineage: an execution of type `forget`, from each table or file before to the same after.

The execution has keyed hashes of the values, never the values. A run that is killed stays marked as running until the
next run finishes it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.contract.artifacts import Artifact, Examples

if TYPE_CHECKING:
    from taxiway.lineage.store import LineageStore

_STAGE = "forget"
Digests = Mapping[str, str]
"""Digests by table's or file's path; an empty one is left out."""


def start(store: LineageStore, request: str, parameters: Mapping[str, Any], began: datetime) -> str:
    """Records that a request to forget is running, once, and returns the run's id."""
    run = f"{_STAGE}-{request}"
    store.start_run(run, _STAGE, parameters, began)
    store.start_task(run, _STAGE, _STAGE, parameters)
    return run


def finish(store: LineageStore, run: str, before: Digests, after: Digests, error: str = "") -> None:
    """Records the end of a request.

    Args:
        store: The lineage store.
        run: The run's id.
        before: The tables and files as they were.
        after: The same as they are now.
        error: Why it failed; empty if it did not.
    """
    state = "FAILED" if error else "COMPLETE"
    store.finish_task(run, _STAGE, state=state, inputs=_artifacts(before), outputs=_artifacts(after), error=error)
    store.finish_run(run, state, error)


def all_of(store: LineageStore | None) -> list[dict[str, Any]]:
    """The requests to forget, latest last, each with its state."""
    return [{**task.parameters, "state": task.state} for task in (store.tasks(_STAGE) if store else [])]


def _artifacts(found: Digests) -> dict[str, Artifact]:
    named = [(place, digest) for place, digest in sorted(found.items()) if digest]
    return {
        f"place_{number}": Examples(Path(place), {"digest": digest, "forgotten": json.dumps(True)}, place)
        for number, (place, digest) in enumerate(named)
    }
