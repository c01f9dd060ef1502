"""Fused tasks on Kubeflow: the progress of their stages, which only their pods' logs tell."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from taxiway import loading
from taxiway.fusion.fuse import fused
from taxiway.kubeflow import following
from taxiway.kubeflow.host import Host
from taxiway.language.spec import Pipeline
from taxiway.runner.call import State
from taxiway.runs.progress import Lines
from taxiway.runs.record import Run
from tests.taxiway.kubeflow.graphs import impl_pod, look
from tests.taxiway.kubeflow.stub import Kubeflow

JUDGEMENT = "baseline-to-pusher"
LOG = """\
I1128 00:40:50.1 14 launcher_v2.go:90] input ComponentSpec
==> baseline, 1 of 4
    baseline took 0.1 s
==> evaluator, 2 of 4
    evaluator was cached, 0.4 s
==> infra-validator, 3 of 4
"""


@pytest.fixture(scope="module")
def taxi() -> Pipeline:
    return fused(loading.load("pipelines/chicago_taxi/pipeline.yaml"))


def _follow(kubeflow: Kubeflow, pipeline: Pipeline, *looks: Any) -> tuple[Run, list[str]]:
    kubeflow.runs["run-0"] = {"run_id": "run-0", "display_name": "taxi-1"}
    kubeflow.looks = list(looks)
    shown = io.StringIO()
    observer = Lines(Console(file=shown, width=200))
    commands = {"again": "taxiway again", "resume": "taxiway submit"}
    run = following.follow(Host(kubeflow.url), pipeline, "run-0", "taxi-1", observer, **commands, seconds=0.01)
    return run, shown.getvalue().splitlines()


def _looks(state: str, ended: str) -> list[Any]:
    running = {JUDGEMENT: ("RUNNING", 0)}
    return [
        look("RUNNING", {f"{JUDGEMENT}-driver": ("RUNNING", 0)}),
        look("RUNNING", running),
        look(state, {**running, JUDGEMENT: (ended, 20)}),
    ]


def test_stages_in_a_pod_are_shown(kubeflow: Kubeflow, taxi: Pipeline) -> None:
    kubeflow.logs[impl_pod(JUDGEMENT)] = LOG
    run, lines = _follow(kubeflow, taxi, *_looks("SUCCEEDED", "SUCCEEDED"))
    assert lines[1:5] == [
        f"{JUDGEMENT}: running",
        f"{JUDGEMENT}: baseline done in 0.1 s",
        f"{JUDGEMENT}: evaluator cached in 0.4 s",
        f"{JUDGEMENT}: done in 20.0 s",
    ]
    task = run.tasks[JUDGEMENT]
    assert [stage.name for stage in task.stages] == ["baseline", "evaluator", "infra-validator"]
    assert task.log
    assert task.log.read_text() == LOG


def test_the_stage_that_failed_is_shown(kubeflow: Kubeflow, taxi: Pipeline) -> None:
    kubeflow.logs[impl_pod(JUDGEMENT)] = f"{LOG}error: no model\n"
    run, lines = _follow(kubeflow, taxi, *_looks("FAILED", "FAILED"))
    assert f"{JUDGEMENT}: infra-validator failed in 0.0 s" in lines
    assert [stage.state for stage in run.tasks[JUDGEMENT].stages] == [State.SUCCEEDED, State.CACHED, State.FAILED]
    assert run.tasks[JUDGEMENT].error.endswith("\nno model")


def test_a_pod_without_a_log_has_no_stages(kubeflow: Kubeflow, taxi: Pipeline) -> None:
    run, lines = _follow(kubeflow, taxi, *_looks("SUCCEEDED", "SUCCEEDED"))
    assert run.tasks[JUDGEMENT].stages == []
    assert lines[1:3] == [f"{JUDGEMENT}: running", f"{JUDGEMENT}: done in 20.0 s"]
    assert not Path(str(run.tasks[JUDGEMENT].log)).exists()
