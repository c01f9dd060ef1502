"""Follows a run on Kubeflow to its end, with the progress of a run on this machine."""

from __future__ import annotations

import json
import re
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from components.contract.errors import ServiceError, TaxiwayError
from taxiway.kubeflow import pods
from taxiway.kubeflow.host import Host
from taxiway.kubeflow.nodes import Node, node_id, nodes
from taxiway.language import spec
from taxiway.language.spec import Pipeline
from taxiway.lineage import kubeflow
from taxiway.lineage.store import LineageStore
from taxiway.runner.call import State
from taxiway.runs.progress import Observer
from taxiway.runs.record import Run, Task
from taxiway.storage.home import Home

_ENDS = {"SUCCEEDED": State.SUCCEEDED, "FAILED": State.FAILED, "CANCELED": State.CANCELED, "SKIPPED": State.SKIPPED}
_LINEAGE_STATES = {State.SUCCEEDED: "COMPLETE", State.FAILED: "FAILED"}
_SHORTEST = 1.0  # seconds: no pod starts and ends in this time, so what took less came from the cache
_PATIENCE = 120.0  # seconds without an answer, before the wait is given up


class InterruptedWaitError(TaxiwayError):
    """The wait was ended; the run goes on."""

    exit_status = 130


@dataclass
class _Watch:
    """What has been told of a run so far."""

    started: set[str] = field(default_factory=set)
    ended: set[str] = field(default_factory=set)
    reasons: set[str] = field(default_factory=set)


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
    _finish(host, pipeline, run, document, observer)
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
        details = (document.run_details and document.run_details.task_details) or []
        for name, node, detail in _matched(self.nodes, details):
            self._tell(name, node, detail, _workflow(details))
        return document

    def _tell(self, name: str, node: Node, detail: Any, workflow: str) -> None:
        if name in self._watch.ended:
            return
        if name not in self._watch.started:
            self._watch.started.add(name)
            self._observer.task_started(name)
            self._observer.task_launched(name)
        state = _ENDS.get(str(detail.state))
        if state:
            self._watch.ended.add(name)
            self._run.tasks[name] = self._task(name, node, detail, state, workflow)
            self._observer.task_finished(name, self._run.tasks[name])
        else:
            self._tell_why_it_waits(name, node, node.pods(workflow, _children(detail)))

    def _task(self, name: str, node: Node, detail: Any, state: State, workflow: str) -> Task:
        seconds = (detail.end_time - detail.start_time).total_seconds()
        if state == State.SUCCEEDED and seconds <= _SHORTEST and "container" in node.executor:
            state = State.CACHED
        log = self._run.folder / "logs" / (re.sub(r"[^\w.-]+", "-", name) + ".log")
        error = self._why_it_failed(node.pods(workflow, _children(detail)), log) if state == State.FAILED else ""
        return Task(state, seconds=max(seconds, 0.0), error=error, log=log)

    def _why_it_failed(self, names: list[str], log: Path) -> str:
        """The pod, what ended it, and its last words; the whole log goes into a file."""
        for pod in names:
            try:
                found = pods.pod(self._host, pod)
                text = pods.log(self._host, self._run_id, pod)
            except TaxiwayError:
                continue
            outside = pods.ended_by(found) if found else ""
            if text or outside:
                log.write_text(text)
                fix = pods.fix_of_end(outside, text)
                said = (f"the pod {pod} failed", outside, pods.last_words(text), fix and f"  fix: {fix}")
                return "\n".join(filter(None, said))
        log.write_text("")
        return f"its pod has left no log; look for it with: {self._listing()}"

    def _tell_why_it_waits(self, name: str, node: Node, names: list[str]) -> None:
        pod = next(iter(names), "")
        try:
            found = pods.pod(self._host, pod) if pod else None
        except TaxiwayError:
            return
        reason = pods.waits_for(found) if found else ""
        if reason and reason not in self._watch.reasons:
            self._watch.reasons.add(reason)
            fix = pods.fix_of(reason, node.executor)
            hint = f"\n  fix: {fix}" if fix else ""
            self._observer.remark(f"{name} waits: the pod {pod} cannot start: {reason}{hint}")

    def _listing(self) -> str:
        return f"kubectl --namespace {self._host.pods} get pods --selector pipeline/runid={self._run_id}"


def _matched(known: list[Node], details: list[Any]) -> Iterator[tuple[str, Node, Any]]:
    """What run details say of each task: its own entry, else that of its driver where this one failed."""
    labelled = defaultdict(list)
    for detail in details:
        labelled[str(detail.display_name)].append(detail)
    workflow = _workflow(details)
    children = {node.name: node_id(workflow, f"{node.path}.executor") for node in known if not node.is_looped}
    for node in known:
        found = _own(node, labelled[node.label], children)
        failed = [d for d in labelled[f"{node.label}-driver"] if str(d.state) == "FAILED"]
        for turn, detail in enumerate(sorted(found or failed, key=lambda d: d.start_time)):
            yield f"{node.name}[{turn}]" if node.is_looped else node.name, node, detail


def _own(node: Node, found: list[Any], children: Mapping[str, str]) -> list[Any]:
    """The entries of a task; where several tasks share a name, the child tells them apart, which only one has."""
    if node.is_looped:
        others = set(children.values())
        return [detail for detail in found if not others & set(_children(detail))]
    # An importer has no child.
    own = [detail for detail in found if children[node.name] in _children(detail)]
    return own or [detail for detail in found if "importer" in node.executor]


def _workflow(details: list[Any]) -> str:
    """The workflow's name, which every node's id begins with."""
    children = (child for detail in details for child in _children(detail))
    return next((child.rpartition("-")[0] for child in children), "")


def _children(detail: Any) -> list[str]:
    return [child.pod_name for child in detail.child_tasks or [] if child.pod_name]


def _finish(host: Host, pipeline: Pipeline, run: Run, document: Any, observer: Observer) -> None:
    """Puts into the run how it ended and what came out, and copies its lineage."""
    run.state = _ENDS[str(document.state)]
    run.seconds = max((document.finished_at - document.created_at).total_seconds(), 0.0)
    if run.state != State.SUCCEEDED:
        run.exit_status = 1
        run.error = (document.error and document.error.message) or "the run did not succeed, and Kubeflow says not why"
    for node in nodes(pipeline):
        if run.state == State.SUCCEEDED and not node.is_looped and node.name not in run.tasks:
            run.tasks[node.name] = Task(State.SKIPPED)
            observer.task_finished(node.name, run.tasks[node.name])
    tasks = kubeflow.tasks_of(document.run_id, lambda path, body: _posted(host, path, body))
    for task in tasks:
        if task.name in run.tasks:
            run.tasks[task.name].outputs = task.outputs
    _record(pipeline, run, document, tasks)


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
