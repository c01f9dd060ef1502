"""The progress output of a run: a live table in a terminal, plain lines elsewhere, and a summary at the end."""

from __future__ import annotations

import json
import os
import shlex
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from components.versioning import data_versions
from taxiway.runner.call import State
from taxiway.runs import pages
from taxiway.storage.home import Home

if TYPE_CHECKING:
    from taxiway.runs.record import Run, Task
    from taxiway.runs.stages import Stage

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


class Observer:
    """Receives the events of a run, from several threads, and shows nothing."""

    def run_started(self, run: Run, tasks: list[str]) -> None:
        """A run begins; `tasks` are the names that are known in advance."""

    def task_started(self, name: str) -> None:
        """A task's inputs are ready; it may be a cache hit or wait for another run."""

    def task_launched(self, name: str) -> None:
        """A task was a cache miss and starts running."""

    def task_reported(self, name: str, stages: list[Stage]) -> None:
        """A fused task has begun these stages."""

    def task_finished(self, name: str, task: Task) -> None:
        """A task ended."""

    def run_finished(self, run: Run) -> None:
        """The run ended."""

    def remark(self, text: str) -> None:
        """A message for the user while the run continues."""

    def run_left(self, run: Run) -> None:
        """The user stopped following the run, which continues elsewhere."""


class Lines(Observer):
    """One line per event, for logs and pipes."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._said: set[tuple[str, str]] = set()

    def run_started(self, run: Run, tasks: list[str]) -> None:
        """Prints the run's name."""
        self._say(f"run {run.id}")

    def task_launched(self, name: str) -> None:
        """Prints that a task is running."""
        self._say(f"{name}: running")

    def task_reported(self, name: str, stages: list[Stage]) -> None:
        """Prints how the stages of a fused task ended, each once."""
        for stage in stages:
            if stage.state and (name, stage.name) not in self._said:
                self._said.add((name, stage.name))
                self._say(f"{name}: {stage.name} {_WORDS[stage.state]} in {stage.seconds:.1f} s")

    def task_finished(self, name: str, task: Task) -> None:
        """Prints how a task ended."""
        self._say(f"{name}: {_WORDS[task.state]} in {task.seconds:.1f} s")

    def run_finished(self, run: Run) -> None:
        """Prints how the run ended, and what to do next."""
        self._console.print(summary(run), soft_wrap=True)

    def remark(self, text: str) -> None:
        """Prints the message."""
        self._say(text)

    def _say(self, line: str) -> None:
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)


class LiveTable(Observer):
    """A live table of tasks with state and seconds."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._lock = threading.RLock()
        self._began: dict[str, float] = {}
        self._running: set[str] = set()
        self._ended: dict[str, Task] = {}
        self._stages: dict[str, dict[str, tuple[Stage, float]]] = {}
        self._names: list[str] = []
        self._start = time.monotonic()
        self._is_over = False
        self._spinner = Spinner("dots")
        self._live = Live(get_renderable=self._render, console=console, refresh_per_second=10)

    def run_started(self, run: Run, tasks: list[str]) -> None:
        """Shows the table with every known task."""
        self._names = list(tasks)
        self._console.print(Text.assemble("run ", (run.id, "bold")))
        self._live.start()

    def task_started(self, name: str) -> None:
        """Starts the task's clock."""
        with self._lock:
            if name not in self._began:
                # After all tasks that have started: the rows are in execution order.
                self._names = [other for other in self._names if other != name]
                self._names.insert(len(self._began), name)
            self._began[name] = time.monotonic()

    def task_launched(self, name: str) -> None:
        """Shows the task as running."""
        with self._lock:
            self._running.add(name)

    def task_reported(self, name: str, stages: list[Stage]) -> None:
        """Shows the stages of a fused task, below it."""
        with self._lock:
            known = self._stages.setdefault(name, {})
            for stage in stages:
                known[stage.name] = stage, known.get(stage.name, (stage, time.monotonic()))[1]

    def task_finished(self, name: str, task: Task) -> None:
        """Shows how the task ended."""
        self.task_reported(name, task.stages)
        with self._lock:
            self._running.discard(name)
            self._ended[name] = task

    def run_finished(self, run: Run) -> None:
        """Shows the final state of every task, and the summary below."""
        with self._lock:
            self._names = [name for name in self._names if name in self._ended or not self._was_looped(name)]
            self._is_over = True
        self._live.stop()
        self._console.print(summary(run), soft_wrap=True)

    def remark(self, text: str) -> None:
        """Prints the message above the table."""
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
                for stage, began in self._stages.get(name, {}).values():
                    table.add_row(*self._stage_row(stage, began))
            return table

    def _stage_row(self, stage: Stage, began: float) -> tuple[RenderableType, ...]:
        name = f"  {stage.name}"
        if stage.state is None:
            return Text(""), Text(name, "bold"), Text(f"{time.monotonic() - began:.1f} s"), Text("running", "bold")
        sign, style = _STYLES[stage.state]
        return Text(""), Text(name), Text(f"{stage.seconds:.1f} s"), Text(f"{sign} {_WORDS[stage.state]}", style)

    def _row(self, name: str) -> tuple[RenderableType, ...]:
        if task := self._ended.get(name):
            sign, style = _STYLES[task.state]
            return Text(sign, style), Text(name), Text(f"{task.seconds:.1f} s"), Text(_WORDS[task.state], style)
        if name in self._running:
            seconds = time.monotonic() - self._began[name]
            return self._spinner, Text(name, "bold"), Text(f"{seconds:.1f} s"), Text("running", "bold")
        return Text("·", "dim"), Text(name, "dim"), Text(""), Text("not run" if self._is_over else "", "dim")

    def _was_looped(self, name: str) -> bool:
        """Whether a name is a loop task whose iterations have their own rows."""
        return any(other.startswith(f"{name}[") for other in self._ended)


def observer_for(console: Console | None = None) -> Observer:
    """A live table where standard error is a terminal, plain lines elsewhere."""
    console = console or Console(file=sys.stderr)
    return LiveTable(console) if console.is_terminal else Lines(console)


def summary(run: Run) -> RenderableType:
    """How a run ended: metrics, notes of its artifacts, and the next command; or the error and how to resume."""
    parts: list[RenderableType] = [Text(f"\n{_headline(run)}", "bold" if run.state != State.FAILED else "bold red")]
    for name in run.failures:
        parts.append(_failure(name, run.tasks[name]))
    if run.error and not run.failures:
        parts.append(Text(f"  {run.error}", "red"))
    parts += [Text(f"  {label:<9} {value}") for label, value in _findings(run)]
    next_step = _next_step(run)
    if next_step:
        parts.append(Text(f"  {next_step[0]:<9} {next_step[1]}", "cyan"))
    if page := _page(run):
        parts.append(Text(f"  {'page':<9} {page}", "cyan"))
    return Group(*parts)


def _headline(run: Run) -> str:
    states = [state for task in run.tasks.values() for state in _states(task)]
    counts = ", ".join(f"{states.count(s)} {_WORDS[s]}" for s in State if s in states)
    return f"{run.pipeline} {run.state.lower()} in {run.seconds:.1f} s ({counts or 'nothing ran'})"


def _states(task: Task) -> list[State]:
    """How a task ended, or if it is a fused one, its stages."""
    return [stage.state for stage in task.stages if stage.state] or [task.state]


def _failure(name: str, task: Task) -> RenderableType:
    return Group(
        Text(f"\n{' '.join([name, 'failed', *_where(task)])}", "bold red"),
        Text("\n".join(f"  {line}" for line in task.error.splitlines())),
        Text(f"  log: {_relative(task.log)}\n", "dim"),
    )


def _where(task: Task) -> list[str]:
    """The stage of a fused task that failed."""
    return [f"in {stage.name}" for stage in task.stages if stage.state == State.FAILED]


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
    """The lines of a label, with the task's name if there is more than one."""
    return [(label, line if len(lines) == 1 else f"{name}: {line}") for name, line in lines]


def _metrics(metrics: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:.4g}" for name, value in sorted(metrics.items()))


def _unversioned(record: dict[str, Any] | None) -> str:
    """Warns that the data has no version, so that it cannot be identified later, and how to give it one."""
    if not record or record.get("versioned", True):
        return ""
    adding = data_versions.adding(record)
    return f"{record['path']} is not versioned" + (f"; to version it: {adding}" if adding else "")


def _next_step(run: Run) -> tuple[str, str] | None:
    if run.state in (State.FAILED, State.CANCELED):
        return "resume", resume_command(run)
    for artifact in run.artifacts.values():
        if words := artifact.next_step:
            return "next", f"{command_name()} {shlex.join(map(_shown, words))}"
    return None


def _page(run: Run) -> str:
    """How to see the run's page; empty if it is in no home that commands would look in."""
    home = Home.default()
    is_here = run.folder.parent == home.runs and (run.folder / "run.json").is_file()
    return pages.way_to(run.id, home) if is_here else ""


def resume_command(run: Run) -> str:
    """The command that resumes the run after its last finished task."""
    return run.command or f"{command_name()} run {run.pipeline}"


def command_name() -> str:
    """The command that the user called Taxiway by: `bin/taxiway` or the installed one."""
    return os.environ.get("TAXIWAY_COMMAND", "taxiway")


def _shown(text: str) -> str:
    """A text as it is; an absolute path relative to the working folder, if it is inside."""
    return _relative(Path(text)) if text.startswith("/") else text


def _relative(path: Path) -> str:
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
