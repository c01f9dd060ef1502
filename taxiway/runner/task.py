"""Executes the tasks of a run: plans each, finds it in the cache or launches it, and keeps and records its outputs."""

from __future__ import annotations

import threading
import time
from typing import Protocol

from taxiway.fusion import members
from taxiway.language import spec
from taxiway.runner import attempts, keep, retries
from taxiway.runner.call import Call, Context, Result, State, failure
from taxiway.runner.plan import Planned, plan
from taxiway.storage import cache


class Journal(Protocol):
    """Receives the events of tasks, from several threads."""

    def begin(self, call: Call) -> None:
        """A task's inputs are ready."""

    def launch(self, call: Call) -> None:
        """A task was a cache miss and starts running."""

    def end(self, call: Call, result: Result, seconds: float) -> None:
        """A task ended."""


class Tasks:
    """Executes the tasks of one run, several in parallel.

    Args:
        context: What the tasks share.
        journal: Receives the events.
        jobs: Maximum number of parallel tasks.
    """

    def __init__(self, context: Context, journal: Journal, jobs: int) -> None:
        self._context = context
        self._journal = journal
        self._slots = threading.Semaphore(jobs)
        self._lock = threading.Lock()
        pipeline = context.pipeline
        self._leaves = spec.leaves(pipeline)
        self._ahead = {leaf.name: members.stages(pipeline.executor(leaf.component)) for leaf in self._leaves}

    def execute(self, call: Call) -> Result:
        """Finds a call's outputs in the cache, or runs it; never raises, because other threads wait for the result."""
        with self._slots:
            if self._context.stopping.is_set() and not call.at_exit:
                return Result(State.CANCELED)
            began = time.monotonic()
            self._journal.begin(call)
            result = self._result(call)
            self._journal.end(call, result, time.monotonic() - began)
            with self._lock:
                self._ahead.pop(call.name, None)
        return result

    def _result(self, call: Call) -> Result:
        try:
            return self._cached_or_run(call)
        except OSError as error:
            where = error.filename or self._context.home.root
            return Result(State.FAILED, error=f"{error.strerror or error}: {where}", exit_status=1)
        except BaseException as error:
            # A bug in Taxiway or in a library.
            return failure(error)

    def _cached_or_run(self, call: Call) -> Result:
        if call.executor.importer:
            return keep.imported(self._context, call, call.executor.importer)
        planned = plan(self._context, call)
        with cache.locked(planned.folder):
            if manifest := cache.find(planned.folder, planned.key, self._context.digests):
                return Result(State.CACHED, keep.values(manifest))
            self._journal.launch(call)
            self._load_ahead(call)
            self._start_ahead(call)
            return self._run(planned)

    def _run(self, planned: Planned) -> Result:
        began = time.monotonic()
        for pause in (*retries.pauses(planned.call.task.retry), None):
            with attempts.attempted(self._context, planned) as attempt:
                status = attempt.ended.status
                if status == 0:
                    return keep.kept(self._context, planned, attempt, time.monotonic() - began)
            if attempt.is_last or pause is None or self._context.interrupted.wait(pause):
                return attempts.failed(self._context, planned.call, status)
        raise AssertionError("unreachable: the last attempt returns")

    def _start_ahead(self, call: Call) -> None:
        """Lets the launcher prepare a container for the task after this one."""
        if not self._context.changed.is_set():
            return
        names = [leaf.name for leaf in self._leaves]
        following = names.index(call.name) + 1 if call.name in names else len(names)
        for leaf in self._leaves[following : following + 1]:
            if draft := attempts.draft(self._context, leaf):
                self._context.launcher.start_ahead(draft)

    def _load_ahead(self, call: Call) -> None:
        """On the first cache miss, makes the launcher load the libraries of the stages that follow."""
        # A task without caching always runs, even if all others are cached.
        if not call.task.is_cached:
            return
        self._context.changed.set()
        with self._lock:
            ahead, self._ahead = self._ahead, {}
        if ahead:
            self._context.launcher.expect([stage for found in ahead.values() for stage in found])
