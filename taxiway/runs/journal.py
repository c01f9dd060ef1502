"""Reports the events of a run to its observer, the lineage store and the run's record."""

from __future__ import annotations

import functools
import threading
import time
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from components.contract.artifacts import Artifact
from taxiway.fusion import members
from taxiway.language import spec
from taxiway.runner.call import Call, Context, Result, State, Values
from taxiway.runner.outputs import artifact_of
from taxiway.runs import folders, stages
from taxiway.runs.progress import Observer
from taxiway.runs.record import Run, Task

_LINEAGE_STATES = {
    State.SUCCEEDED: "COMPLETE",
    State.FAILED: "FAILED",
    State.CANCELED: "CANCELED",
}


class Journal:
    """The journal of one run; a `taxiway.runner.task.Journal`."""

    def __init__(self, context: Context, run: Run, parameters: Mapping[str, Any], observer: Observer) -> None:
        # Imports gRPC, so it is loaded here, while the stages' libraries load on another CPU.
        from taxiway.lineage.store import LineageStore

        self._context = context
        self._run = run
        self._parameters = dict(parameters)
        self._observer = observer
        self._lock = threading.Lock()
        self._attempts: Counter[str] = Counter()
        self._watches: dict[str, stages.Watch] = {}
        self._lineage = LineageStore.open(context.home.lineage)
        self._lineage.close_abandoned(folders.living(context.home))
        self._lineage.start_run(run.id, run.pipeline, self._parameters, datetime.now(UTC))
        self._began = time.monotonic()
        observer.run_started(run, [leaf.name for leaf in spec.leaves(context.pipeline)])

    def begin(self, call: Call) -> None:
        """A task's inputs are ready."""
        with self._lock:
            self._attempts[call.name] += 1
        self._observer.task_started(call.name)

    def launch(self, call: Call) -> None:
        """A task was a cache miss and starts running."""
        with self._lock:
            self._lineage.start_task(*self._known(call), _stage(call), call.inputs.parameters)
            self._run.running[call.name] = datetime.now(UTC)
            self._run.write(self._parameters)
        self._observer.task_launched(call.name)
        if members.is_fused(call.executor):
            tell = functools.partial(self._observer.task_reported, call.name)
            watch = stages.Watch(self._context.log(call.name), tell)
            with self._lock:
                self._watches[call.name] = watch

    def end(self, call: Call, result: Result, seconds: float) -> None:
        """A task ended."""
        with self._lock:
            watch = self._watches.pop(call.name, None)
        if watch:
            watch.stop()
        task = Task(
            state=result.state,
            outputs=artifacts(result.outputs),
            parameters=result.outputs.parameters,
            seconds=seconds,
            cpu_seconds=result.cpu_seconds,
            peak_mb=result.peak_mb,
            error=result.error,
            log=self._context.log(call.name),
            stages=stages.read(self._context.log(call.name), result.state) if watch else [],
        )
        with self._lock:
            self._run.running.pop(call.name, None)
            self._run.tasks[call.name] = task
            self._record(call, task)
            self._run.write(self._parameters)
        self._observer.task_finished(call.name, task)

    def remark(self, text: str) -> None:
        """Passes a message to the observer while the run continues."""
        self._observer.remark(text)

    def close(self) -> None:
        """The run ended; its record holds the result."""
        self._run.seconds = time.monotonic() - self._began
        self._lineage.finish_run(self._run.id, _LINEAGE_STATES[self._run.state], self._run.error)
        self._run.write(self._parameters)
        self._observer.run_finished(self._run)

    def _known(self, call: Call) -> tuple[str, str]:
        """A task's name in the lineage. A task in a sub-pipeline that is retried has one name per attempt."""
        attempt = self._attempts[call.name]
        return self._run.id, call.name if attempt == 1 else f"{call.name}~{attempt}"

    def _record(self, call: Call, task: Task) -> None:
        known = self._known(call)
        inputs, parameters = artifacts(call.inputs), call.inputs.parameters
        if task.state == State.CACHED:
            self._lineage.cached_task(*known, _stage(call), parameters, inputs=inputs, outputs=task.outputs)
            return
        # Adds a task that failed before it was launched; otherwise this does nothing.
        self._lineage.start_task(*known, _stage(call), parameters)
        state = _LINEAGE_STATES[task.state]
        self._lineage.finish_task(*known, state=state, inputs=inputs, outputs=task.outputs, error=task.error)


def artifacts(values: Values) -> dict[str, Artifact]:
    """The artifacts among values by name; for a list, its first."""
    return {name: artifact_of(found[0]) for name, found in values.artifacts.items() if found}


def _stage(call: Call) -> str:
    return call.executor.stage or call.name
