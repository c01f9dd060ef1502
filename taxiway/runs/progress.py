"""What a run shows while it goes on: a live table in a terminal, plain lines elsewhere, and a summary at the end."""

from __future__ import annotations

import json
import os
import shlex
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from components.versioning import data_versions
from taxiway.runner.call import State

if TYPE_CHECKING:
    from taxiway.runs.record import Run, Task

_STYLES = {
    State.SUCCEEDED: ("✓", "green"),
    State.CACHED: ("✓", "cyan"),
    State.SKIPPED: ("–", "dim"),
    State.FAILED: ("✗", "bold red"),
    State.CANCELED: ("–", "yellow"),
}
_WORDS = {
    State.SUCCEEDED: "done",
    State.CACHED: "cached",
    State.SKIPPED: "skipped",
    State.FAILED: "failed",
    State.CANCELED: "canceled",
}


class Observer(Protocol):
    """Is told what happens in a run, from several threads."""

    def run_started(self, run: Run, tasks: list[str]) -> None:
        """A run begins; the names are those of the tasks that are known before it."""

    def task_started(self, name: str) -> None:
        """A task's inputs are there; it may be found in the cache or wait for another run."""

    def task_launched(self, name: str) -> None:
        """A task was not found in the cache and really runs."""

    def task_finished(self, name: str, task: Task) -> None:
        """A task ended."""

    def run_finished(self, run: Run) -> None:
        """The run ended."""

    def remark(self, text: str) -> None:
        """Something is to be known while the run goes on."""

    def run_left(self, run: Run) -> None:
        """Nobody follows the run any more, which goes on elsewhere."""


class Silent:
    """Shows nothing."""

    def run_started(self, run: Run, tasks: list[str]) -> None:
        """See `Observer`."""

    def task_started(self, name: str) -> None:
        """See `Observer`."""

    def task_launched(self, name: str) -> None:
        """See `Observer`."""

    def task_finished(self, name: str, task: Task) -> None:
        """See `Observer`."""

    def run_finished(self, run: Run) -> None:
        """See `Observer`."""

    def remark(self, text: str) -> None:
        """See `Observer`."""

    def run_left(self, run: Run) -> None:
        """See `Observer`."""


class Lines(Silent):
    """A line an event: for logs and pipes."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def run_started(self, run: Run, tasks: list[str]) -> None:
        """Names the run."""
        self._say(f"run {run.id}")

    def task_launched(self, name: str) -> None:
        """Says that a task runs."""
        self._say(f"{name}: running")

    def task_finished(self, name: str, task: Task) -> None:
        """Says how a task ended."""
        self._say(f"{name}: {_WORDS[task.state]} in {task.seconds:.1f} s")

    def run_finished(self, run: Run) -> None:
        """Says how the run ended, and what to do next."""
        self._console.print(summary(run), soft_wrap=True)

    def remark(self, text: str) -> None:
        """Prints it."""
        self._say(text)

    def _say(self, line: str) -> None:
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)


class LiveTable(Silent):
    """A live table of tasks with state and seconds."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._lock = threading.RLock()
        self._began: dict[str, float] = {}
        self._running: set[str] = set()
        self._ended: dict[str, Task] = {}
        self._names: list[str] = []
        self._start = time.monotonic()
        self._is_over = False
        self._spinner = Spinner("dots")
        self._live = Live(get_renderable=self._render, console=console, refresh_per_second=10)

    def run_started(self, run: Run, tasks: list[str]) -> None:
        """Opens the table with every known task."""
        self._names = list(tasks)
        self._console.print(Text.assemble("run ", (run.id, "bold")))
        self._live.start()

    def task_started(self, name: str) -> None:
        """Starts the task's clock."""
        with self._lock:
            if name not in self._began:
                # Behind all that have started: the rows stand in the order of execution.
                self._names = [other for other in self._names if other != name]
                self._names.insert(len(self._began), name)
            self._began[name] = time.monotonic()

    def task_launched(self, name: str) -> None:
        """Shows the task as running."""
        with self._lock:
            self._running.add(name)

    def task_finished(self, name: str, task: Task) -> None:
        """Shows how the task ended."""
        with self._lock:
            self._running.discard(name)
            self._ended[name] = task

    def run_finished(self, run: Run) -> None:
        """Leaves the table with every task's end and adds the summary."""
        with self._lock:
            self._names = [name for name in self._names if name in self._ended or not self._was_looped(name)]
            self._is_over = True
        self._live.stop()
        self._console.print(summary(run), soft_wrap=True)

    def remark(self, text: str) -> None:
        """Prints it above the table."""
        self._console.print(text, style="yellow", markup=False, highlight=False)

    def run_left(self, run: Run) -> None:
        """Leaves the table as it is."""
        self._live.stop()

    def _render(self) -> RenderableType:
        with self._lock:
            table = Table.grid(padding=(0, 2))
            table.add_column(width=1)
            table.add_column(min_width=24)
            table.add_column(justify="right", min_width=8)
            table.add_column()
            for name in self._names:
                table.add_row(*self._row(name))
            return table

    def _row(self, name: str) -> tuple[RenderableType, ...]:
        if task := self._ended.get(name):
            sign, style = _STYLES[task.state]
            return Text(sign, style), Text(name), Text(f"{task.seconds:.1f} s"), Text(_WORDS[task.state], style)
        if name in self._running:
            seconds = time.monotonic() - self._began[name]
            return self._spinner, Text(name, "bold"), Text(f"{seconds:.1f} s"), Text("running", "bold")
        return Text("·", "dim"), Text(name, "dim"), Text(""), Text("not run" if self._is_over else "", "dim")

    def _was_looped(self, name: str) -> bool:
        """Whether a name stands for turns of a loop that have rows of their own."""
        return any(other.startswith(f"{name}[") for other in self._ended)


def observer_for(console: Console | None = None) -> Observer:
    """A live table where standard error is a terminal, plain lines elsewhere."""
    console = console or Console(file=sys.stderr)
    return LiveTable(console) if console.is_terminal else Lines(console)


def summary(run: Run) -> RenderableType:
    """How a run ended: metrics, what its artifacts say, and what to type next; or the cause and how to resume."""
    parts: list[RenderableType] = [Text(f"\n{_headline(run)}", "bold" if run.state != State.FAILED else "bold red")]
    for name in run.failures:
        parts.append(_failure(name, run.tasks[name]))
    if run.error and not run.failures:
        parts.append(Text(f"  {run.error}", "red"))
    parts += [Text(f"  {label:<9} {value}") for label, value in _findings(run)]
    next_step = _next_step(run)
    if next_step:
        parts.append(Text(f"  {next_step[0]:<9} {next_step[1]}", "cyan"))
    return Group(*parts)


def _headline(run: Run) -> str:
    states = [task.state for task in run.tasks.values()]
    counts = ", ".join(f"{states.count(s)} {_WORDS[s]}" for s in State if s in states)
    return f"{run.pipeline} {run.state.lower()} in {run.seconds:.1f} s ({counts or 'nothing ran'})"


def _failure(name: str, task: Task) -> RenderableType:
    return Group(
        Text(f"\n{name} failed", "bold red"),
        Text("\n".join(f"  {line}" for line in task.error.splitlines())),
        Text(f"  log: {_relative(task.log)}\n", "dim"),
    )


def _findings(run: Run) -> list[tuple[str, str]]:
    outputs = [(name, artifact) for name, task in run.tasks.items() for artifact in task.outputs.values()]
    records = [json.loads(artifact.metadata.get("provenance", "{}")) for _, artifact in outputs]
    found = [("data", text) for record in records if (text := _unversioned(record.get("data")))]
    found += _by_task("metrics", [(name, _metrics(metrics)) for name, metrics in run.evaluations.items()])
    summaries = [(name, *line) for name, artifact in outputs for line in artifact.summary]
    for label in dict.fromkeys(label for _, label, _ in summaries):
        found += _by_task(label, [(name, _shown(text)) for name, its, text in summaries if its == label])
    return found + [("note", f"{name}: {note}") for name, artifact in outputs for note in artifact.notes]


def _by_task(label: str, lines: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """The lines of a label, with the task's name where there are several."""
    return [(label, line if len(lines) == 1 else f"{name}: {line}") for name, line in lines]


def _metrics(metrics: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:.4g}" for name, value in sorted(metrics.items()))


def _unversioned(record: dict[str, Any] | None) -> str:
    """What the user may not know of the data: that nobody can name them later, and what changes that."""
    if not record or record.get("versioned", True):
        return ""
    adding = data_versions.adding(record)
    return f"{record['path']} is not versioned" + (f"; this versions it: {adding}" if adding else "")


def _next_step(run: Run) -> tuple[str, str] | None:
    if run.state in (State.FAILED, State.CANCELED):
        return "resume", resume_command(run)
    for artifact in run.artifacts.values():
        if words := artifact.next_step:
            return "next", f"{command_name()} {shlex.join(map(_shown, words))}"
    return None


def resume_command(run: Run) -> str:
    """The command that goes on from the last finished task."""
    return run.command or f"{command_name()} run {run.pipeline}"


def command_name() -> str:
    """How the user called Taxiway: `bin/taxiway` or the installed command."""
    return os.environ.get("TAXIWAY_COMMAND", "taxiway")


def _shown(text: str) -> str:
    """A text, or a path as a user types it."""
    return _relative(Path(text)) if text.startswith("/") else text


def _relative(path: Path) -> str:
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
