"""Lists of runs, for terminals and programs."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from taxiway.lineage.lookup import displayed
from taxiway.lineage.stored import Run

_STATE_STYLES = {"COMPLETE": "green", "FAILED": "red", "CANCELED": "yellow", "RUNNING": "yellow"}


def to_json(run: Run) -> dict[str, Any]:
    """A run for programs."""
    return {**dataclasses.asdict(run), "started": run.started.isoformat()}


def render(runs: Sequence[Run]) -> RenderableType:
    """A table of runs."""
    # The run's name tells the pipeline and the time of its start.
    table = Table("run", "state", "took", "tasks", "blessed", "pushed", box=None, pad_edge=False)
    table.columns[0].no_wrap = True
    for run in runs:
        table.add_row(
            run.id,
            Text(run.state.lower(), _STATE_STYLES.get(run.state, "")),
            _duration(run.seconds),
            ", ".join(f"{count} {state.lower()}" for state, count in sorted(run.tasks.items())),
            {True: "yes", False: "no", None: "-"}[run.blessed],
            Text("\n".join(map(displayed, run.pushed)) or "-", overflow="fold"),
        )
    return table


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"
