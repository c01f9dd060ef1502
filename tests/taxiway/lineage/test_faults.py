"""If the store fails before or after a commit, the recorded result is the same as without faults."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from ml_metadata import errors
from ml_metadata.proto import metadata_store_pb2 as pb

from components.contract.artifacts import Examples, Model
from components.contract.errors import ServiceError
from taxiway.lineage.connection import connect
from taxiway.lineage.store import LineageStore

TASKS = ("example_gen", "trainer", "evaluator", "pusher")
FAULTS = (errors.AbortedError, errors.UnavailableError, errors.DeadlineExceededError, errors.InternalError)


class FaultyStore:
    """A real store in which some calls fail, half of them after the commit, as if the reply was lost."""

    def __init__(self, store: Any, rate: float) -> None:
        self._store, self._rate, self._random = store, rate, random.Random(2)
        self.before, self.after = 0, 0

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._store, name)

        def call(*arguments: Any, **named: Any) -> Any:
            roll = self._random.random()
            if roll < self._rate / 2:
                self.before += 1
                raise self._random.choice(FAULTS)("not even begun")
            result = method(*arguments, **named)
            if roll < self._rate:
                self.after += 1
                raise self._random.choice(FAULTS)("committed, but the reply was lost")
            return result

        return call


def _record(store: LineageStore, run_id: str) -> None:
    store.start_run(run_id, "trips", {}, datetime.now(UTC))
    raw = Examples(Path("/data"), {"digest": "sha256:" + "0" * 64})
    for task in TASKS:
        store.start_task(run_id, task, task, {"run": run_id})
        model = Model(Path(f"/{run_id}/{task}"), {"digest": "sha256:" + "1" * 64})
        store.finish_task(run_id, task, state="COMPLETE", inputs={"examples": raw}, outputs={"model": model})
    store.cached_task(run_id, "cached", "trainer", {}, inputs={"examples": raw}, outputs={"model": model})
    store.finish_run(run_id, "SUCCEEDED")


@pytest.mark.parametrize("faults", [100, pytest.param(1000, marks=pytest.mark.slow)])
def test_each_task_is_recorded_once_and_none_is_left_running(database, faults):
    real = connect(str(database))
    faulty = FaultyStore(real, rate=0.2)
    runs = 0
    while min(faulty.before, faulty.after) < faults / 2:
        # A new LineageStore for each run has an empty cache, as in a new process.
        _record(LineageStore(faulty, str(database), delays=[0.0] * 100), f"r{runs}")
        runs += 1
    executions = real.get_executions()
    assert sorted(e.name for e in executions) == sorted(
        f"r{run}/{task}" for run in range(runs) for task in (*TASKS, "cached")
    )
    assert {e.last_known_state for e in executions} == {pb.Execution.COMPLETE, pb.Execution.CACHED}
    assert len(real.get_artifacts()) == runs * len(TASKS) + 1
    events = real.get_events_by_execution_ids([e.id for e in executions])
    assert len(events) == 2 * len(executions)
    contexts = [(c.type, c.name) for c in real.get_contexts()]
    assert len(contexts) == len(set(contexts)) == runs + 2 + len(TASKS)
    assert all(len(real.get_contexts_by_execution(e.id)) == 3 for e in executions[:: len(TASKS)])
    recorded = LineageStore(real, str(database)).runs()
    assert {run.state for run in recorded} == {"SUCCEEDED"}
    assert all(run.tasks == {"COMPLETE": len(TASKS), "CACHED": 1} for run in recorded)
    assert len(recorded) == runs


def test_an_unavailable_store_is_a_service_error(database):
    store = LineageStore(FaultyStore(connect(str(database)), rate=1.0), str(database), delays=[0.0, 0.0])
    with pytest.raises(
        ServiceError, match=rf"the lineage store {database} failed: .*\n  fix: check that it is running"
    ):
        store.start_run("r", "p", {}, datetime.now(UTC))
