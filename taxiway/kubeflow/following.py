"""Follows a run on Kubeflow to its end, with the progress of a run on this machine."""

from __future__ import annotations

import json
import re
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from components.contract.errors import ServiceError, TaxiwayError
from taxiway.kubeflow import details, native_tasks, pods, workflows
from taxiway.kubeflow.details import PENDING, Seen
from taxiway.kubeflow.host import Host
from taxiway.kubeflow.nodes import Node, nodes
from taxiway.language import spec
from taxiway.language.spec import Pipeline
from taxiway.lineage import kubeflow
from taxiway.lineage.store import LineageStore
from taxiway.runner.graph import State
from taxiway.runs.progress import Observer
from taxiway.runs.record import Run, Task
from taxiway.storage.home import Home

_ENDS = {"SUCCEEDED": State.SUCCEEDED, "FAILED": State.FAILED, "CANCELED": State.CANCELED, "SKIPPED": State.SKIPPED}
_LINEAGE_STATES = {State.SUCCEEDED: "COMPLETE", State.FAILED: "FAILED"}
_PATIENCE = 120.0  # seconds without an answer, before the wait is given up


class InterruptedWaitError(TaxiwayError):
    """The wait was ended; the run goes on."""

    exit_status = 130


@dataclass
class _Watch:
    """What has been told of a run so far."""

    started: set[str] = field(default_factory=set)
    launched: set[str] = field(default_factory=set)
    ended: set[str] = field(default_factory=set)
    reasons: set[str] = field(default_factory=set)
    attempts: dict[str, int] = field(default_factory=dict)


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
        pipeline: What the run runs.
        run_id: Kubeflow's id of it.
        name: What people call it.
        observer: Is told what happens.
        again: The command that follows it again.
        resume: What to do to go on where it failed.
        seconds: The time between two looks.

    Returns:
        The run, failed or not.

    Raises:
        InterruptedWaitError: Ctrl-C; the run goes on.
        UserError: Kubeflow does not accept the user any more; the run goes on.
        ServiceError: Nothing has answered for two minutes; the run goes on.
    """
    run = Run(name, pipeline.name, Home.default().runs / name, command=resume)
    (run.folder / "logs").mkdir(parents=True, exist_ok=True)
    follower = _Follower(host, nodes(pipeline), run_id, run, observer)
    observer.run_started(run, [node.name for node in follower.nodes])
    try:
        document = follower.to_the_end(seconds)
    except KeyboardInterrupt:
        observer.run_left(run)
        raise InterruptedWaitError(f"the run {name} goes on; follow it with:\n  {again}") from None
    except TaxiwayError as error:
        observer.run_left(run)
        raise type(error)(error.what, fix=f"{error.fix or 'look again later'}; the run goes on: {again}") from error
    _finish(host, pipeline, run, document, follower)
    observer.run_finished(run)
    return run


class _Follower:
    """One run while it is followed."""

    def __init__(self, host: Host, known: list[Node], run_id: str, run: Run, observer: Observer) -> None:
        self.nodes = known
        self._host = host
        self._run_id = run_id
        self._run = run
        self._observer = observer
        self._watch = _Watch()
        self._workflow = ""

    def to_the_end(self, seconds: float) -> Any:
        """Looks again and again, and returns Kubeflow's last word."""
        heard = time.monotonic()
        while True:
            try:
                document = self._look()
                heard = time.monotonic()
                if str(document.state) in _ENDS:
                    return document
            except ServiceError:
                if time.monotonic() - heard > _PATIENCE:
                    raise
            time.sleep(seconds)

    def _look(self) -> Any:
        with self._host.explained("read the run"):
            document = self._host.client.get_run(self._run_id)
        is_over = str(document.state) in _ENDS
        for found in self._seen(document):
            self._tell(found, is_over)
        return document

    def _seen(self, document: Any) -> list[Seen]:
        """The tasks, from the run's details, or from the task API of a Kubeflow that has none."""
        described = (document.run_details and document.run_details.task_details) or []
        self._workflow = details.workflow_of(described) or self._workflow
        if described:
            return details.seen(self.nodes, described)
        return native_tasks.seen(self.nodes, native_tasks.listed(self._host, self._run_id))

    def _tell(self, found: Seen, is_over: bool) -> None:
        if found.name in self._watch.ended:
            return
        state = _ENDS.get(found.state)
        # What had begun when the run ended, and has no end of its own, does not run any more.
        if is_over and not state:
            return
        self._tell_of_its_start(found, state)
        if state:
            self._watch.ended.add(found.name)
            self._run.tasks[found.name] = self._task(found, state)
            self._observer.task_finished(found.name, self._run.tasks[found.name])
        else:
            self._tell_why_it_waits(found)

    def _tell_of_its_start(self, found: Seen, state: State | None) -> None:
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

    def _task(self, found: Seen, state: State) -> Task:
        log = self._run.folder / "logs" / (re.sub(r"[^\w.-]+", "-", found.name) + ".log")
        error = self._why_it_failed(found, log) if state == State.FAILED else ""
        ended = State.CACHED if found.is_cached and state == State.SUCCEEDED else state
        return Task(ended, seconds=found.seconds, error=error, log=log)

    def _why_it_failed(self, found: Seen, log: Path) -> str:
        """The pod, what ended it, and its last words; the whole log goes into a file."""
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
                said = (f"the pod {name} failed", outside, pods.last_words(text), fix and f"  fix: {fix}")
                return "\n".join(filter(None, said))
        return self._why_no_pod_tells(found)

    def _why_no_pod_tells(self, found: Seen) -> str:
        """What Kubeflow, Argo's workflow or Kubernetes' events say of a pod that never was, or is gone."""
        words = [found.error, *workflows.messages(self._host.pods, self._workflow, self._run_id, found.pods)]
        words += [event for name in found.pods for event in pods.events(self._host, name)]
        if said := "\n".join(dict.fromkeys(filter(None, words))):
            fix = pods.fix_of(said, found.node.executor)
            return said + (f"\n  fix: {fix}" if fix else "")
        return f"its pod has left no log; see why with: {self._listing()}"

    def _tell_why_it_waits(self, found: Seen) -> None:
        name = next(iter(found.pods), "")
        try:
            pod = pods.pod(self._host, name) if name else None
            reason = pods.waits_for(pod) if pod else ""
        except TaxiwayError:
            return
        if reason and reason not in self._watch.reasons:
            self._watch.reasons.add(reason)
            fix = pods.fix_of(reason, found.node.executor)
            hint = f"\n  fix: {fix}" if fix else ""
            self._observer.remark(f"{found.name} waits: the pod {name} cannot start: {reason}{hint}")

    def _listing(self) -> str:
        if self._workflow:
            return f"kubectl --namespace {self._host.pods} describe workflow {self._workflow}"
        return f"kubectl --namespace {self._host.pods} get pods --selector pipeline/runid={self._run_id}"

    def why_the_run_failed(self, document: Any) -> str:
        """Kubeflow's own words, or where else to look."""
        said = (document.error and document.error.message) or ""
        said = said or "\n".join(workflows.messages(self._host.pods, self._workflow, self._run_id))
        return said or f"the run did not succeed, and Kubeflow gave no reason; see: {self._listing()}"


def _finish(host: Host, pipeline: Pipeline, run: Run, document: Any, follower: _Follower) -> None:
    """Puts into the run how it ended and what came out, and copies its lineage."""
    run.state = _ENDS[str(document.state)]
    run.seconds = max((document.finished_at - document.created_at).total_seconds(), 0.0)
    if run.state != State.SUCCEEDED:
        run.exit_status = 1
        run.error = follower.why_the_run_failed(document)
    tasks = _results(host, pipeline, document.run_id)
    for task in tasks:
        if task.name in run.tasks:
            run.tasks[task.name].outputs = task.outputs
    _record(pipeline, run, document, tasks)


def _results(host: Host, pipeline: Pipeline, run_id: str) -> list[kubeflow.RemoteTask]:
    """What went in and out of the tasks: from ML Metadata, or from the task API of a Kubeflow that has none."""
    found = kubeflow.tasks_of(run_id, lambda path, body: _posted(host, path, body))
    found = found or native_tasks.results(nodes(pipeline), native_tasks.listed(host, run_id))
    return [task.made() for task in found]


def _posted(host: Host, path: str, body: bytes) -> bytes:
    try:
        return host.post(path, body, kubeflow.CONTENT_TYPE)
    except TaxiwayError:
        return b""


def _record(pipeline: Pipeline, run: Run, document: Any, tasks: list[kubeflow.RemoteTask]) -> None:
    if not tasks:
        return
    stages = {leaf.name: spec.stage_name(pipeline.executor(leaf.component)) for leaf in spec.leaves(pipeline)}
    parameters = (document.runtime_config and document.runtime_config.parameters) or {}
    remote = kubeflow.RemoteRun(json.loads(json.dumps(parameters)), tasks, {n: s for n, s in stages.items() if s})
    state = _LINEAGE_STATES.get(run.state, "CANCELED")
    started = document.created_at or datetime.now(UTC)
    kubeflow.record(LineageStore.open(Home.default().lineage), run.id, run.pipeline, started, state, remote)
