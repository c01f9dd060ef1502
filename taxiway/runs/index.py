"""All runs on this machine at a glance: each `run.json` is read once, and again when it changes."""

from __future__ import annotations

import json
import os
import sys
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from components.contract import files
from taxiway.runs import folders
from taxiway.storage.home import Home

RUNNING = "RUNNING"
KILLED = "KILLED"
UNREADABLE = "UNREADABLE"

Json = dict[str, Any]


@dataclass(frozen=True)
class Summary:
    """What `run.json` says of a run.

    Attributes:
        id: The run's id.
        pipeline: The pipeline's name.
        state: As in `State`; `RUNNING`; `KILLED` if its process ended without recording an end; `UNREADABLE`.
        started: The start time, in UTC.
        seconds: How long it took; 0 while it runs.
        tasks: Number of tasks by state.
        running: The tasks that are running.
        parameters: The pipeline's parameters.
        metrics: Its metrics.
        blessed: Whether everything that was judged was blessed; None if nothing was.
        pushed: Where its models were pushed.
        data: The data versions, as provenance records have them.
        commits: The commits, with a trailing `+` for uncommitted changes.
        outputs: Its artifacts: task, output and digest.
    """

    id: str
    pipeline: str
    state: str
    started: datetime
    seconds: float = 0.0
    tasks: Mapping[str, int] = field(default_factory=dict)
    running: tuple[str, ...] = ()
    parameters: Json = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    blessed: bool | None = None
    pushed: tuple[str, ...] = ()
    data: tuple[Json, ...] = ()
    commits: tuple[str, ...] = ()
    outputs: tuple[tuple[str, str, str], ...] = ()


class Index:
    """The runs of a home. Threads may share it."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._lock = threading.Lock()
        self._known: dict[str, tuple[object, Summary]] = {}

    def runs(self) -> list[Summary]:
        """All runs, latest first."""
        with self._lock:
            self._known = {name: self._read(name) for name in self._names()}
            found = [summary for _, summary in self._known.values()]
        current = [_current(each, self._home) if each.state == RUNNING else each for each in found]
        return sorted(current, key=lambda each: (each.started, each.id), reverse=True)

    def _names(self) -> list[str]:
        try:
            with os.scandir(self._home.runs) as entries:
                return [entry.name for entry in entries if entry.is_dir()]
        except OSError:
            return []

    def _read(self, name: str) -> tuple[object, Summary]:
        folder = self._home.runs / name
        mark = files.fingerprint(folder / "run.json")
        known = self._known.get(name)
        return known if known and known[0] == mark else (mark, _summary(folder))


def _current(summary: Summary, home: Home) -> Summary:
    is_alive = folders.is_alive(home.runs / summary.id)
    return summary if is_alive else replace(summary, state=KILLED, running=())


def _summary(folder: Path) -> Summary:
    try:
        return _of(folder, json.loads((folder / "run.json").read_bytes()))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return Summary(folder.name, folder.name.rsplit("-", 3)[0], UNREADABLE, folders.started(folder))


def _of(folder: Path, document: Json) -> Summary:
    # Names of metrics are interned: thousands of runs share them, and comparing them is quick.
    blessings = document.get("blessings") or {}
    return Summary(
        id=folder.name,
        pipeline=str(document["pipeline"]),
        state=str(document["state"]),
        started=folders.started(folder),
        seconds=float(document["seconds"]),
        tasks=dict(Counter(str(task["state"]) for task in document["tasks"].values())),
        running=tuple(document.get("running") or ()),
        parameters=dict(document["parameters"]),
        metrics={sys.intern(k): v for k, v in (document.get("metrics") or {}).items() if isinstance(v, int | float)},
        blessed=all(blessings.values()) if blessings else None,
        pushed=tuple(map(str, document.get("pushed") or ())),
        data=tuple(dict(each) for each in document.get("data") or ()),
        commits=tuple(map(str, document.get("commits") or ())),
        outputs=tuple(_outputs(document["tasks"])),
    )


def _outputs(tasks: Json) -> Iterator[tuple[str, str, str]]:
    for name, task in tasks.items():
        for output, digest in (task.get("digests") or {}).items():
            yield name, output, str(digest)
