"""Runs a pipeline on this machine.

`run` compiles and checks, `Graph` walks the tasks, `Tasks` executes each one, and the journal records what happens.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent import futures
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from taxiway import loading
from taxiway.checks import known, refusals
from taxiway.language import spec
from taxiway.language.spec import Pipeline
from taxiway.language.values import Json
from taxiway.runner.call import Context, Result, State, Values
from taxiway.runner.graph import Graph, settle
from taxiway.runner.launcher import Launcher
from taxiway.runner.local import LocalLauncher
from taxiway.runner.outputs import artifact_of
from taxiway.runner.task import Tasks
from taxiway.runs import cancel, folders
from taxiway.runs.journal import Journal, artifacts
from taxiway.runs.progress import Observer, observer_for
from taxiway.runs.record import Run, RunFailedError
from taxiway.storage.digest_store import DigestStore
from taxiway.storage.home import Home

# Seconds in which tasks usually stop after a signal.
_PATIENCE = 2.0
_INTERRUPTED = 130
"""The exit status of a run that was canceled."""

LauncherFactory = Callable[[], Launcher]


def run(
    pipeline: Any,
    *,
    home: Path | str | None = None,
    use_cache: bool = True,
    jobs: int | None = None,
    observer: Observer | None = None,
    launcher: LauncherFactory = LocalLauncher,
    command: str = "",
    run_id: str = "",
    **parameters: Any,
) -> Run:
    """Runs a pipeline on this machine.

    Args:
        pipeline: Its name, a compiled YAML file, a compiled `Pipeline`, or a function decorated with `@dsl.pipeline`.
        home: Where artifacts and runs are kept; default: `.taxiway` in the working folder.
        use_cache: Whether outputs of earlier runs may be used.
        jobs: Maximum number of parallel tasks; default: the number of CPUs.
        observer: Receives the run's events; default: a live table in a terminal, plain lines elsewhere.
        launcher: Makes the launcher that starts the containers.
        command: The command line that started the run, to show how to resume it.
        run_id: The run's id, which no run may have had; a new one by default.
        parameters: The pipeline's parameters.

    Returns:
        The run, with its artifacts and metrics.

    Raises:
        RunFailedError: A task failed.
        UserError: The pipeline or a parameter is wrong, or needs something only Kubernetes has; nothing was run.
    """
    where = Home(Path(home).absolute()) if home else Home.default()
    with contextlib.ExitStack() as stack:
        started = stack.enter_context(contextlib.closing(launcher()))
        if isinstance(pipeline, str | Path):
            # Their libraries load while kfp is imported and compiles.
            started.expect(loading.stages_named_in(str(pipeline)))
        compiled = _compiled(pipeline)
        values = spec.pipeline_parameters(compiled, parameters)
        refusals.require_none(compiled, values, has_images=started.has_images)
        started.prepare(known.images(compiled, values))
        record = stack.enter_context(folders.opened(compiled.name, where, run_id))
        record.command = command
        digests = stack.enter_context(contextlib.closing(DigestStore(where.digests)))
        context = Context(
            run_id=record.id, pipeline=compiled, home=where, launcher=started, digests=digests, use_cache=use_cache
        )
        _carry_out(context, record, values, observer or observer_for(), jobs or os.cpu_count() or 1)
    if record.state == State.FAILED:
        raise RunFailedError(record)
    return record


def _compiled(pipeline: Any) -> Pipeline:
    if isinstance(pipeline, Pipeline):
        return pipeline
    return loading.load(str(pipeline)) if isinstance(pipeline, str | Path) else loading.compiled(pipeline)


def _carry_out(context: Context, record: Run, parameters: Json, observer: Observer, jobs: int) -> None:
    """Runs all tasks and puts the result into the record."""
    folders.remove_abandoned(context.home)
    # JSON is valid YAML, and faster to write.
    (record.folder / "pipeline.yaml").write_text(json.dumps(context.pipeline.spec, indent=1))
    record.write(parameters)
    context.launcher.open(record.folder / "logs" / "launcher.log")
    with contextlib.closing(Journal(context, record, parameters, observer)) as journal:
        graph = Graph(context.pipeline, Tasks(context, journal, jobs).execute, _facts(context), context.stopping)
        try:
            result = _walk(graph, context, parameters, journal)
        except KeyboardInterrupt:
            record.state = State.CANCELED
            raise
        record.state, record.error, record.exit_status = result.state, result.error, result.exit_status
        record.outputs = _returned(context.pipeline, result.outputs)


def _facts(context: Context) -> dict[str, str]:
    """The values of the run's placeholders."""
    now = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
    # Exists for as long as the run, like Kubeflow's workspace.
    workspace = context.home.work / context.run_id / "workspace"
    workspace.mkdir()
    return {
        ".pipeline_job_name": context.run_id,
        ".pipeline_job_resource_name": context.run_id,
        ".pipeline_job_uuid": context.run_id,
        ".pipeline_root": str(context.home.artifacts),
        ".pipeline_job_create_time_utc": now,
        # Kubeflow also uses the creation time if no schedule started the run.
        ".pipeline_job_schedule_time_utc": now,
        ".workspace_path": str(workspace),
    }


def _walk(graph: Graph, context: Context, parameters: Json, journal: Journal) -> Result:
    outcome = Future[Result]()
    with _terminates_as_interrupt():
        try:
            settle(outcome, context.pipeline.name, lambda: graph.run(parameters))
            cancel.wait(outcome, context.run_id, context.home, lambda: _stop(context))
            result = outcome.result()
            # Another process asked for it, and no exception says so.
            return replace(result, exit_status=_INTERRUPTED) if result.state == State.CANCELED else result
        except KeyboardInterrupt:
            _end_tasks(context, outcome, journal)
            raise


def _stop(context: Context) -> None:
    """Lets no more tasks start, and asks those that run to stop."""
    context.stopping.set()
    context.interrupted.set()
    context.launcher.stop()


def _end_tasks(context: Context, outcome: Future[Result], journal: Journal) -> None:
    """Asks running tasks to stop, and waits for them; a second interrupt kills them and waits only briefly."""
    try:
        _stop(context)
        if not futures.wait([outcome], _PATIENCE).done:
            journal.remark("waiting for running tasks to stop; press Ctrl-C again to kill them")
        futures.wait([outcome])
    except KeyboardInterrupt:
        context.launcher.kill()
        futures.wait([outcome], _PATIENCE)


def _returned(pipeline: Pipeline, values: Values) -> dict[str, Any]:
    specs = pipeline.root.outputs.artifacts
    several = {name: [artifact_of(each) for each in found] for name, found in values.artifacts.items()}
    lists = {name: found for name, found in several.items() if specs[name].is_list}
    return {**values.parameters, **artifacts(values), **lists}


@contextmanager
def _terminates_as_interrupt() -> Iterator[None]:
    """Makes SIGTERM end a run and its children, like Ctrl-C. Only the main thread can set a signal handler."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
