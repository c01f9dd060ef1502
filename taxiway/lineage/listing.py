"""Lists of runs, as a table or as JSON."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.text import Text

from taxiway import tables
from taxiway.lineage.lookup import displayed
from taxiway.lineage.stored import Run
from taxiway.tables import Table

_STATE_STYLES = {"COMPLETE": "green", "FAILED": "red", "CANCELED": "yellow", "RUNNING": "yellow"}


def to_json(run: Run) -> dict[str, Any]:
    """A run as JSON."""
    return {**dataclasses.asdict(run), "started": run.started.isoformat()}


def show(runs: Sequence[Run], console: Console) -> None:
    """Prints the runs, one per row. A run's name contains the pipeline and the start time."""
    columns = ("run", "state", "took", "blessed", "tasks", "pushed")
    tables.show(Table(columns, [_row(run) for run in runs]), console)


def _row(run: Run) -> list[str | Text]:
    return [
        run.id,
        Text(run.state.lower(), _STATE_STYLES.get(run.state, "")),
        _duration(run.seconds),
        {True: "yes", False: "no", None: "-"}[run.blessed],
        ", ".join(f"{count} {state.lower()}" for state, count in sorted(run.tasks.items())) or "-",
        ", ".join(map(displayed, run.pushed)) or "-",
    ]


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"
