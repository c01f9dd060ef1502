"""A run of a pipeline on this machine, and what it gives back."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent import futures
from concurrent.futures import Future
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from components.contract import files
from components.contract.artifacts import Artifact
from components.contract.errors import ServiceError
from taxiway import loading
from taxiway.checks import known, refusals
from taxiway.fusion import members
from taxiway.language import spec
from taxiway.language.spec import Pipeline
from taxiway.runner.graph import Call, Graph, Result, State, Values, failure, settle
from taxiway.runner.launcher import Launcher
from taxiway.runner.local import LocalLauncher
from taxiway.runner.task import TaskRunner, artifact_of
from taxiway.runs.progress import Observer, observer_for
from taxiway.runs.record import Run, RunFailedError, Task
from taxiway.storage.digest_store import DigestStore
from taxiway.storage.home import Home

_LINEAGE_STATES = {
    State.SUCCEEDED: "COMPLETE",
    State.FAILED: "FAILED",
    State.CANCELED: "CANCELED",
}

# Seconds in which what is told to end usually has.
_PATIENCE = 2.0

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
    **parameters: Any,
) -> Run:
    """Runs a pipeline on this machine.

    Args:
        pipeline: Its name, a compiled YAML file, a compiled `Pipeline`, or a function decorated with `@dsl.pipeline`.
        home: Where artifacts and runs are kept; `.taxiway` in the working folder by default.
        use_cache: Whether outputs of earlier runs may be used.
        jobs: How many tasks run at once; as many as there are processors by default.
        observer: Told what happens; a live table in a terminal, plain lines elsewhere.
        launcher: Makes what starts the containers.
        command: The command line that the run came from, to show how to resume it.
        parameters: The pipeline's parameters.

    Returns:
        The run, with its artifacts and metrics.

    Raises:
        RunFailedError: A task failed.
        UserError: The pipeline or a parameter is wrong, or asks for what only Kubernetes has; nothing was run.
    """
    where = Home(Path(home).absolute()) if home else Home.default()
    with contextlib.closing(launcher()) as started:
        if isinstance(pipeline, str | Path):
            # While kfp is imported and compiles.
            started.expect(loading.stages_named_in(str(pipeline)))
        compiled = _compiled(pipeline)
        values = spec.pipeline_parameters(compiled, parameters)
        refusals.require_none(compiled, values, has_images=started.has_images)
        started.prepare(known.images(compiled, values))
        with _started(compiled, where) as (record, digests):
            record.command = command
            session = _Session(compiled, record, where, digests, values, observer or observer_for())
            session.carry_out(started, use_cache, jobs or os.cpu_count() or 1)
    if record.state == State.FAILED:
        raise RunFailedError(record)
    return record


def _compiled(pipeline: Any) -> Pipeline:
    if isinstance(pipeline, Pipeline):
        return pipeline
    return loading.load(str(pipeline)) if isinstance(pipeline, str | Path) else loading.compiled(pipeline)


@contextmanager
def _started(pipeline: Pipeline, home: Home) -> Iterator[tuple[Run, DigestStore]]:
    """A run's folder and lock; the lock goes with the process, however it ends, and tells others that it lives."""
    now = datetime.now(UTC)
    run_id = f"{pipeline.name}-{now:%Y%m%d-%H%M%S}-{os.urandom(4).hex()}"
    folder = home.runs / run_id
    with contextlib.ExitStack() as stack:
        try:
            (folder / "logs").mkdir(parents=True)
            stack.enter_context(files.locked(folder / "lock"))
            # Under the lock: what has no living run is removed by others.
            (home.work / run_id).mkdir(parents=True)
            stack.callback(shutil.rmtree, home.work / run_id, ignore_errors=True)
        except OSError as error:
            fix = "name another folder with TAXIWAY_HOME"
            raise ServiceError(f"{home.root} cannot be written: {error}", fix=fix) from error
        digests = stack.enter_context(contextlib.closing(DigestStore(home.digests)))
        yield Run(run_id, pipeline.name, folder), digests


def is_alive(folder: Path) -> bool:
    """Whether the process of a run still runs."""
    return files.is_locked(folder / "lock")


class _Session:
    """One run while it goes on: passes what happens to the observer, the lineage and the run's record."""

    def __init__(
        self,
        pipeline: Pipeline,
        record: Run,
        home: Home,
        digests: DigestStore,
        parameters: Mapping[str, Any],
        observer: Observer,
    ) -> None:
        self._pipeline = pipeline
        self._record = record
        self._home = home
        self._digests = digests
        self._parameters = dict(parameters)
        self._observer = observer
        self._stopping = threading.Event()
        self._interrupted = threading.Event()
        self._lock = threading.Lock()
        self._began: dict[str, float] = {}
        self._attempts: dict[str, int] = {}
        self._leaves = spec.leaves(pipeline)

    def carry_out(self, launcher: Launcher, use_cache: bool, jobs: int) -> None:
        self._forget_the_dead()
        # JSON is YAML too, and quicker to write.
        (self._record.folder / "pipeline.yaml").write_text(json.dumps(self._pipeline.spec, indent=1))
        self._write_record()
        launcher.open(self._record.folder / "logs" / "launcher.log")
        self._slots = threading.Semaphore(jobs)
        # It brings gRPC, while the stages' libraries are being loaded on another processor.
        from taxiway.lineage.store import LineageStore

        self._lineage = LineageStore.open(self._home.lineage)
        self._lineage.close_abandoned(self._living())
        self._lineage.start_run(self._record.id, self._record.pipeline, self._parameters, datetime.now(UTC))
        self._tasks = TaskRunner(
            self._record.id,
            self._record.pipeline,
            self._home,
            launcher,
            self._digests,
            use_cache,
            launched=lambda call: self._launched(launcher, call),
            sources=self._pipeline.sources,
            pause=self._interrupted.wait,
            allow_unversioned=partial(spec.allowing_unversioned, self._pipeline),
        )
        began = time.monotonic()
        self._observer.run_started(self._record, [leaf.name for leaf in self._leaves])
        try:
            result = self._walk(launcher)
            self._record.state, self._record.error = result.state, result.error
            self._record.exit_status = result.exit_status
            self._record.outputs = _returned(self._pipeline, result.outputs)
        finally:
            self._record.seconds = time.monotonic() - began
            self._lineage.finish_run(self._record.id, _LINEAGE_STATES[self._record.state], self._record.error)
            self._write_record()
            self._observer.run_finished(self._record)

    def _facts(self) -> dict[str, str]:
        """What placeholders of the run stand for."""
        now = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
        # Lives as long as the run, as Kubeflow's own does.
        workspace = self._home.work / self._record.id / "workspace"
        workspace.mkdir()
        return {
            ".pipeline_job_name": self._record.id,
            ".pipeline_job_resource_name": self._record.id,
            ".pipeline_job_uuid": self._record.id,
            ".pipeline_root": str(self._home.artifacts),
            ".pipeline_job_create_time_utc": now,
            # Kubeflow's, too, is that of its creation where no schedule started the run.
            ".pipeline_job_schedule_time_utc": now,
            ".workspace_path": str(workspace),
        }

    def _walk(self, launcher: Launcher) -> Result:
        graph = Graph(self._pipeline, self._carry, self._facts(), self._stopping)
        outcome = Future[Result]()
        with _terminates_as_interrupt():
            try:
                settle(outcome, self._record.pipeline, lambda: graph.run(self._parameters))
                return outcome.result()
            except KeyboardInterrupt:
                self._record.state = State.CANCELED
                self._stopping.set()
                self._interrupted.set()
                self._end_tasks(launcher, outcome)
                raise

    def _end_tasks(self, launcher: Launcher, outcome: Future[Result]) -> None:
        """Asks what runs to end, and waits for it; a second interrupt kills it, and waits no longer than need be."""
        try:
            launcher.stop()
            if not futures.wait([outcome], _PATIENCE).done:
                self._observer.remark("waiting for what still runs; Ctrl-C again kills it")
            futures.wait([outcome])
        except KeyboardInterrupt:
            launcher.kill()
            futures.wait([outcome], _PATIENCE)

    def _carry(self, call: Call) -> Result:
        with self._slots:
            if self._stopping.is_set() and not call.at_exit:
                return Result(State.CANCELED)
            self._begin(call)
            try:
                result = self._tasks.carry(call)
            except OSError as error:
                where = error.filename or self._home.root
                result = Result(State.FAILED, error=f"{error.strerror or error}: {where}", exit_status=1)
            except BaseException as error:
                # A defect of ours or of a library; others wait for a result all the same.
                result = failure(error)
            self._end(call, result)
        return result

    def _begin(self, call: Call) -> None:
        with self._lock:
            self._began[call.name] = time.monotonic()
            self._attempts[call.name] = self._attempts.get(call.name, 0) + 1
        self._observer.task_started(call.name)

    def _launched(self, launcher: Launcher, call: Call) -> None:
        """The first task that changed makes the launcher load what the stages after it will need."""
        # One that runs every time says nothing of the others.
        changed = call.task.get("cachingOptions", {}).get("enableCache", False)
        with self._lock:
            self._lineage.start_task(*self._known(call), _stage(call), call.inputs.parameters)
            ahead = [leaf for leaf in self._leaves if leaf.name not in self._record.tasks]
            self._leaves = [] if changed else self._leaves
        if changed and ahead:
            executors = [self._pipeline.executor(leaf.component) for leaf in ahead]
            launcher.expect([stage for executor in executors for stage in members.stages(executor)])
        self._observer.task_launched(call.name)

    def _end(self, call: Call, result: Result) -> None:
        with self._lock:
            task = Task(
                state=result.state,
                outputs=_artifacts(result.outputs),
                parameters=result.outputs.parameters,
                seconds=time.monotonic() - self._began[call.name],
                cpu_seconds=result.cpu_seconds,
                peak_mb=result.peak_mb,
                error=result.error,
                log=self._tasks.log(call.name),
            )
            self._record.tasks[call.name] = task
            self._record_task(call, task)
            self._write_record()
        self._observer.task_finished(call.name, task)

    def _known(self, call: Call) -> tuple[str, str]:
        """A task as the lineage knows it: one of a sub-pipeline that is tried again is there once an attempt."""
        attempt = self._attempts[call.name]
        return self._record.id, call.name if attempt == 1 else f"{call.name}~{attempt}"

    def _record_task(self, call: Call, task: Task) -> None:
        known = self._known(call)
        inputs, parameters = _artifacts(call.inputs), call.inputs.parameters
        if task.state == State.CACHED:
            self._lineage.cached_task(*known, _stage(call), parameters, inputs=inputs, outputs=task.outputs)
            return
        # One that failed before it was launched is not there yet; otherwise this does nothing.
        self._lineage.start_task(*known, _stage(call), parameters)
        state = _LINEAGE_STATES[task.state]
        self._lineage.finish_task(*known, state=state, inputs=inputs, outputs=task.outputs, error=task.error)

    def _write_record(self) -> None:
        """`run.json`, whole at any moment."""
        document = {
            "run": self._record.id,
            "pipeline": self._record.pipeline,
            "parameters": self._parameters,
            "state": str(self._record.state) if self._record.seconds else "RUNNING",
            "seconds": round(self._record.seconds, 3),
            "tasks": {
                name: {
                    "state": str(task.state),
                    "seconds": round(task.seconds, 3),
                    "cpu_seconds": task.cpu_seconds,
                    "peak_mb": task.peak_mb,
                    "outputs": {output: artifact.uri for output, artifact in task.outputs.items()},
                    "parameters": task.parameters,
                    "error": task.error,
                }
                for name, task in self._record.tasks.items()
            },
        }
        files.write(self._record.folder / "run.json", json.dumps(document, indent=1))

    def _living(self) -> set[str]:
        return {folder.name for folder in self._home.runs.iterdir() if is_alive(folder)}

    def _forget_the_dead(self) -> None:
        """Removes what killed runs were writing."""
        for folder in self._home.work.iterdir():
            if not is_alive(self._home.runs / folder.name):
                shutil.rmtree(folder, ignore_errors=True)


def _returned(pipeline: Pipeline, values: Values) -> dict[str, Any]:
    definitions = pipeline.root.get("outputDefinitions", {}).get("artifacts", {})
    several = {name: [artifact_of(each) for each in found] for name, found in values.artifacts.items()}
    lists = {name: found for name, found in several.items() if definitions[name].get("isArtifactList")}
    return {**values.parameters, **_artifacts(values), **lists}


def _artifacts(values: Values) -> dict[str, Artifact]:
    return {name: artifact_of(found[0]) for name, found in values.artifacts.items() if found}


def _stage(call: Call) -> str:
    return spec.stage_name(call.executor) or call.name


@contextmanager
def _terminates_as_interrupt() -> Iterator[None]:
    """SIGTERM ends a run as Ctrl-C does, children and all. Only a main thread may say so."""
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
