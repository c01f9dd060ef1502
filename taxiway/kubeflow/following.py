"""Follows a run on Kubeflow to its end, and shows the same progress as for a local run."""

from __future__ import annotations

import contextlib
import json
import re
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from components.contract.errors import ServiceError, TaxiwayError
from taxiway.fusion import members
from taxiway.kubeflow import details, native_tasks, pods, workflows
from taxiway.kubeflow.details import PENDING, Seen
from taxiway.kubeflow.host import Host
from taxiway.kubeflow.nodes import Node, nodes
from taxiway.language import spec
from taxiway.language.executors import Executor
from taxiway.language.spec import Pipeline
from taxiway.lineage import kubeflow
from taxiway.lineage.store import LineageStore
from taxiway.runner.call import State
from taxiway.runs import stages
from taxiway.runs.progress import Observer
from taxiway.runs.record import Run, Task
from taxiway.storage.home import Home

_ENDS = {"SUCCEEDED": State.SUCCEEDED, "FAILED": State.FAILED, "CANCELED": State.CANCELED, "SKIPPED": State.SKIPPED}
_LINEAGE_STATES = {State.SUCCEEDED: "COMPLETE", State.FAILED: "FAILED"}
_FURTHER_LOOKS = 3
"""After the end of a run: Kubeflow writes the run's final state before those of its tasks."""
_PATIENCE = 120.0  # seconds without an answer before giving up


class InterruptedWaitError(TaxiwayError):
    """The wait was interrupted; the run continues."""

    exit_status = 130


@dataclass
class _Watch:
    """What has been reported of a run so far."""

    started: set[str] = field(default_factory=set)
    launched: set[str] = field(default_factory=set)
    ended: set[str] = field(default_factory=set)
    reasons: set[str] = field(default_factory=set)
    attempts: dict[str, int] = field(default_factory=dict)
    can_read_workflow: bool = True


def follow(
    host: Host,
    pipeline: Pipeline,
    run_id: str,
    name: str,
    observer: Observer,
    *,
    again: str,
    resume: str,
    seconds: float = 3.0,
) -> Run:
    """Follows a run to its end, and fetches its results and lineage.

    Args:
        host: Kubeflow.
        pipeline: The run's pipeline.
        run_id: Kubeflow's id of the run.
        name: The run's display name.
        observer: Is notified of what happens.
        again: The command that follows the run again.
        resume: How to resume the run after a failure.
        seconds: Time between two polls.

    Returns:
        The run, failed or not.

    Raises:
        InterruptedWaitError: Ctrl-C; the run continues.
        UserError: Kubeflow no longer accepts the user; the run continues.
        ServiceError: No answer for two minutes; the run continues.
    """
    run = Run(name, pipeline.name, Home.default().runs / name, command=resume)
    (run.folder / "logs").mkdir(parents=True, exist_ok=True)
    follower = _Follower(host, nodes(pipeline), run_id, run, observer)
    observer.run_started(run, [node.name for node in follower.nodes])
    try:
        document = follower.until_end(seconds)
    except KeyboardInterrupt:
        observer.run_left(run)
        raise InterruptedWaitError(f"the run {name} continues; follow it with:\n  {again}") from None
    except TaxiwayError as error:
        observer.run_left(run)
        raise type(error)(
            error.what, fix=f"{error.fix or 'try again later'}; the run continues, follow it with: {again}"
        ) from error
    _finish(host, pipeline, run, document, follower, home=Home.default())
    observer.run_finished(run)
    return run


def look_once(host: Host, pipeline: Pipeline, run_id: str, run: Run, home: Home) -> Any:
    """Reads what a run has done so far; of one that ended, its lineage goes into the home.

    Args:
        host: Kubeflow.
        pipeline: The run's pipeline.
        run_id: Kubeflow's id of the run.
        run: Gets the tasks, and the state at the end.
        home: Where the lineage is recorded.

    Returns:
        Kubeflow's answer about the run.
    """
    follower = _Follower(host, nodes(pipeline), run_id, run, Observer())
    document = follower.look()
    if str(document.state) in _ENDS:
        _finish(host, pipeline, run, document, follower, home=home)
    else:
        run.running = follower.running()
        _add_outputs(run, _results(host, pipeline, run_id))
    return document


class _Follower:
    """Follows one run."""

    def __init__(self, host: Host, known: list[Node], run_id: str, run: Run, observer: Observer) -> None:
        self.nodes = known
        self._host = host
        self._run_id = run_id
        self._run = run
        self._observer = observer
        self._watch = _Watch()
        self._workflow = ""
        self._is_behind = False

    def until_end(self, seconds: float) -> Any:
        """Polls until the run ends, and returns Kubeflow's final answer."""
        answered, further = time.monotonic(), _FURTHER_LOOKS
        while True:
            try:
                document = self.look()
                answered = time.monotonic()
                if str(document.state) in _ENDS:
                    if not self._is_behind or not further:
                        return document
                    further -= 1
            except ServiceError:
                if time.monotonic() - answered > _PATIENCE:
                    raise
            time.sleep(seconds)

    def running(self) -> dict[str, datetime]:
        """The tasks that were seen running, with this moment: Kubeflow does not say when they began."""
        now = datetime.now(UTC)
        return dict.fromkeys(self._watch.launched - self._watch.ended, now)

    def look(self) -> Any:
        """Kubeflow's answer about the run, after what it says of tasks was reported."""
        with self._host.explained("read the run"):
            document = self._host.client.get_run(self._run_id)
        is_over = str(document.state) in _ENDS
        seen = self._seen(document)
        self._is_behind = is_over and any(found.state not in _ENDS for found in seen)
        for found in seen:
            self._report(found, is_over)
        for group, names in details.drivers(self.nodes, _described(document)).items():
            self._report_waiting("the run" if group == "root" else group.removeprefix("root."), names)
        return document

    def _seen(self, document: Any) -> list[Seen]:
        """The tasks, from the run's details, or from the task API if there are no details."""
        described = _described(document)
        self._workflow = details.workflow_of(described) or self._workflow
        if described:
            return details.seen(self.nodes, described)
        return native_tasks.seen(self.nodes, native_tasks.listed(self._host, self._run_id))

    def _report(self, found: Seen, is_over: bool) -> None:
        if found.name in self._watch.ended:
            return
        state = _ENDS.get(found.state)
        # A task without a final state in a run that has ended is no longer running.
        if is_over and not state:
            return
        self._report_start(found, state)
        self._report_stages(found, state)
        if state:
            self._watch.ended.add(found.name)
            self._run.tasks[found.name] = self._task(found, state)
            self._observer.task_finished(found.name, self._run.tasks[found.name])
        else:
            self._report_waiting(found.name, found.pods, found.node.executor)

    def _report_start(self, found: Seen, state: State | None) -> None:
        if found.name not in self._watch.started:
            self._watch.started.add(found.name)
            self._observer.task_started(found.name)
        runs = found.state != PENDING and state != State.SKIPPED and not found.is_cached
        if runs and found.name not in self._watch.launched:
            self._watch.launched.add(found.name)
            self._observer.task_launched(found.name)
        if found.attempts > self._watch.attempts.setdefault(found.name, 1):
            self._watch.attempts[found.name] = found.attempts
            self._observer.remark(f"{found.name}: attempt {found.attempts}")

    def _report_stages(self, found: Seen, state: State | None) -> None:
        """Copies the log of a fused task, and shows what it says of the task's stages."""
        if not members.is_fused(found.node.executor) or found.is_cached or found.state == PENDING:
            return
        for name in found.pods[:1]:
            with contextlib.suppress(TaxiwayError):
                if text := pods.log(self._host, self._run_id, name):
                    self._log(found).write_text(text)
        self._observer.task_reported(found.name, stages.read(self._log(found), state))

    def _task(self, found: Seen, state: State) -> Task:
        log = self._log(found)
        of_stages = stages.read(log, state) if members.is_fused(found.node.executor) else []
        error = self._why_it_failed(found, log) if state == State.FAILED else ""
        ended = State.CACHED if found.is_cached and state == State.SUCCEEDED else state
        return Task(ended, seconds=found.seconds, error=error, log=log, stages=of_stages)

    def _log(self, found: Seen) -> Path:
        return self._run.folder / "logs" / (re.sub(r"[^\w.-]+", "-", found.name) + ".log")

    def _why_it_failed(self, found: Seen, log: Path) -> str:
        """The pod, what ended it, and the end of its log; the whole log goes to a file."""
        log.write_text("")
        for name in found.pods:
            try:
                pod = pods.pod(self._host, name)
                text = pods.log(self._host, self._run_id, name)
            except TaxiwayError:
                continue
            outside = pods.ended_by(pod) if pod else ""
            if (text or outside) and not pods.has_succeeded(pod):
                log.write_text(text)
                fix = pods.fix_of_end(outside, text)
                lines = (f"the pod {name} failed", outside, pods.last_words(text), fix and f"  fix: {fix}")
                return "\n".join(filter(None, lines))
        return self._why_without_a_pod(found)

    def _why_without_a_pod(self, found: Seen) -> str:
        """Reasons from Kubeflow, Argo's workflow and Kubernetes' events, if the pod was never created or is gone."""
        reasons = [found.error, *workflows.messages(self._host.pods, self._workflow, self._run_id, found.pods)]
        reasons += [event for name in found.pods for event in pods.events(self._host, name)]
        if text := "\n".join(dict.fromkeys(filter(None, reasons))):
            fix = pods.fix_of(text, found.node.executor)
            return text + (f"\n  fix: {fix}" if fix else "")
        return f"its pod left no log; find the reason with: {self._listing()}"

    def _report_waiting(self, what: str, names: tuple[str, ...], executor: Executor | None = None) -> None:
        """Says once why the latest of these pods does not start."""
        name = next(iter(names), "")
        try:
            pod = pods.pod(self._host, name) if name else None
        except TaxiwayError:
            return
        if pod and (reason := pods.waits_for(pod)):
            self._say_why(reason, f"{what} is waiting: the pod {name} cannot start: {reason}", executor)
        if not pod and name:
            for reason in self._refusals(name):
                self._say_why(reason, f"{what} is waiting: Kubernetes refuses its pod: {reason}", executor)

    def _say_why(self, reason: str, text: str, executor: Executor | None) -> None:
        if reason not in self._watch.reasons:
            self._watch.reasons.add(reason)
            fix = pods.fix_of(reason, executor)
            self._observer.remark(text + (f"\n  fix: {fix}" if fix else ""))

    def _refusals(self, pod: str) -> list[str]:
        """Why a pod does not exist yet, from Argo's workflow; it is not asked again once it cannot be read."""
        if not self._workflow or not self._watch.can_read_workflow:
            return []
        found = workflows.refusals(self._host.pods, self._workflow, self._run_id, [pod])
        self._watch.can_read_workflow = found is not None
        return found or []

    def _listing(self) -> str:
        if self._workflow:
            return f"kubectl --namespace {self._host.pods} describe workflow {self._workflow}"
        return f"kubectl --namespace {self._host.pods} get pods --selector pipeline/runid={self._run_id}"

    def why_the_run_failed(self, document: Any) -> str:
        """Kubeflow's own message, or where to look for the reason."""
        message = (document.error and document.error.message) or ""
        message = message or "\n".join(workflows.messages(self._host.pods, self._workflow, self._run_id))
        return message or f"the run did not succeed, and Kubeflow gave no reason; see: {self._listing()}"


def _described(document: Any) -> list[Any]:
    return (document.run_details and document.run_details.task_details) or []


def _finish(host: Host, pipeline: Pipeline, run: Run, document: Any, follower: _Follower, home: Home) -> None:
    """Adds the final state and the outputs to the run, and copies its lineage."""
    run.state = _ENDS[str(document.state)]
    run.seconds = max((document.finished_at - document.created_at).total_seconds(), 0.0)
    if run.state != State.SUCCEEDED:
        run.exit_status = 1
        run.error = follower.why_the_run_failed(document)
    tasks = _results(host, pipeline, document.run_id)
    _add_outputs(run, tasks)
    _record(pipeline, run, document, tasks, home)


def _add_outputs(run: Run, tasks: list[kubeflow.RemoteTask]) -> None:
    for task in tasks:
        if task.name in run.tasks:
            run.tasks[task.name].outputs = task.outputs


def _results(host: Host, pipeline: Pipeline, run_id: str) -> list[kubeflow.RemoteTask]:
    """The tasks with inputs and outputs, from ML Metadata, or from the task API if Kubeflow has no ML Metadata."""
    found = kubeflow.tasks_of(run_id, lambda path, body: _posted(host, path, body))
    found = found or native_tasks.results(nodes(pipeline), native_tasks.listed(host, run_id))
    return [task.made() for task in found]


def _posted(host: Host, path: str, body: bytes) -> bytes:
    try:
        return host.post(path, body, kubeflow.CONTENT_TYPE)
    except TaxiwayError:
        return b""


def _record(pipeline: Pipeline, run: Run, document: Any, tasks: list[kubeflow.RemoteTask], home: Home) -> None:
    if not tasks:
        return
    stage_of = {leaf.name: pipeline.executor(leaf.component).stage for leaf in spec.leaves(pipeline)}
    parameters = (document.runtime_config and document.runtime_config.parameters) or {}
    remote = kubeflow.RemoteRun(json.loads(json.dumps(parameters)), tasks, {n: s for n, s in stage_of.items() if s})
    state = _LINEAGE_STATES.get(run.state, "CANCELED")
    started = document.created_at or datetime.now(UTC)
    kubeflow.record(
        LineageStore.open(home.lineage),
        run_id=run.id,
        pipeline=run.pipeline,
        started=started,
        ended=document.finished_at or datetime.now(UTC),
        state=state,
        run=remote,
    )
