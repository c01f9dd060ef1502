"""Runs on a Kubeflow with its own task API; the answers follow its public proposal (12147-mlmd-removal)."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from taxiway.kubeflow import following
from taxiway.kubeflow.host import Host
from taxiway.language.spec import Pipeline
from taxiway.runner.graph import State
from taxiway.runs.progress import Lines
from taxiway.runs.record import Run
from tests.taxiway.kubeflow.stub import Kubeflow

Json = dict[str, Any]
START, END = "2026-11-21T03:00:00Z", "2026-11-21T03:00:12Z"


def _task(name: str, kind: str = "RUNTIME", parent: str = "root", state: str = "SUCCEEDED", **others: Any) -> Json:
    ended = {"end_time": END} if state not in ("RUNNING", "PENDING") else {}
    return {
        "task_id": others.pop("id", name),
        "name": name,
        "type": kind,
        "state": state,
        "parent_task_id": parent,
        "start_time": START,
        **ended,
        **others,
    }


ROOT = {"task_id": "root", "name": "root", "type": "ROOT", "state": "RUNNING"}


def _pod(name: str, kind: str = "EXECUTOR") -> Json:
    return {"name": name, "uid": name, "type": kind}


def _follow(kubeflow: Kubeflow, pipeline: Pipeline, state: str, tasks: list[Json]) -> tuple[Run, str]:
    kubeflow.runs["run-0"] = {"run_id": "run-0", "display_name": "small-1"}
    ended = {"created_at": START, "finished_at": "2026-11-21T03:01:00Z"}
    kubeflow.looks = [{"state": state, **ended}]
    kubeflow.tasks = [[ROOT, *tasks]]
    shown = io.StringIO()
    observer = Lines(Console(file=shown, width=200))
    commands = {"again": "taxiway again", "resume": "taxiway submit"}
    run = following.follow(Host(kubeflow.url), pipeline, "run-0", "small-1", observer, **commands, seconds=0.01)
    return run, shown.getvalue()


def test_states_are_those_of_the_api(kubeflow: Kubeflow, small: Pipeline) -> None:
    tasks = [
        _task("example-gen"),
        _task("statistics-gen", state="CACHED"),
        _task("described", "DAG"),
        _task("statistics-gen", parent="described", id="inner", state="SKIPPED", cache_fingerprint="f00d"),
        _task("condition-2", "CONDITION", state="SKIPPED"),
    ]
    run, shown = _follow(kubeflow, small, "SUCCEEDED", tasks)
    assert {name: task.state for name, task in run.tasks.items()} == {
        "example-gen": State.SUCCEEDED,
        "statistics-gen": State.CACHED,
        "described/statistics-gen": State.CACHED,
        "pusher": State.SKIPPED,
    }
    assert run.tasks["example-gen"].seconds == 12
    assert "small succeeded in 60.0 s (1 done, 2 cached, 1 skipped)" in shown


def test_iterations_are_distinguished(kubeflow: Kubeflow, small: Pipeline) -> None:
    tasks = [_task("for-loop-1", "LOOP")]
    for turn in (0, 1):
        attributes = {"type_attributes": {"iteration_index": str(turn)}}
        tasks.append(_task("for-loop-1", "LOOP_ITERATION", "for-loop-1", id=f"turn-{turn}", **attributes))
        state = "FAILED" if turn else "SUCCEEDED"
        tasks.append(_task("schema-gen", parent=f"turn-{turn}", id=f"task-{turn}", state=state))
    run, _ = _follow(kubeflow, small, "FAILED", tasks)
    assert {name: task.state for name, task in run.tasks.items()} == {
        "schema-gen[0]": State.SUCCEEDED,
        "schema-gen[1]": State.FAILED,
    }


@pytest.mark.parametrize(
    ("pods", "message"),
    [
        ([_pod("d", "DRIVER"), _pod("first"), _pod("second")], "the pod second failed\nsecond"),
        ([_pod("d", "DRIVER")], "the pod d failed\nd"),
    ],
)
def test_the_api_names_the_pods(kubeflow: Kubeflow, small: Pipeline, pods: list[Json], message: str) -> None:
    kubeflow.logs = {name: f"error: {name}\n" for name in ("d", "first", "second")}
    run, _ = _follow(kubeflow, small, "FAILED", [_task("baseline", state="FAILED", pods=pods)])
    assert run.tasks["baseline"].error == message


def test_the_api_s_own_error_is_reported(kubeflow: Kubeflow, small: Pipeline) -> None:
    tasks = [_task("baseline", state="FAILED", error={"code": 2, "message": "the pod was refused"})]
    run, _ = _follow(kubeflow, small, "FAILED", tasks)
    assert run.tasks["baseline"].error == "the pod was refused"
