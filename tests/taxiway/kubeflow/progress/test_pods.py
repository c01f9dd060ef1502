"""What Kubeflow's API does not say of a run's progress: why pods do not start, and how far a fused pod is."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from taxiway import loading
from taxiway.fusion.fuse import fused
from taxiway.kubeflow import following, workflows
from taxiway.kubeflow.host import Host
from taxiway.language.spec import Pipeline
from taxiway.runner.call import State
from taxiway.runs.progress import Lines
from taxiway.runs.record import Run
from tests.taxiway.doctor.doctor_servers import write_kubeconfig
from tests.taxiway.kubeflow.graphs import WORKFLOW, full_name, hashed, impl_pod, look
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


def _recorded(name: str) -> Any:
    return json.loads((Path(__file__).parents[1] / f"recordings/{name}-2.17.0-retries.json").read_text())


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


@pytest.mark.parametrize(
    ("driver", "template", "what"),
    [
        ("baseline-driver", "system-container-driver", "baseline"),
        ("condition-2-driver", "system-dag-driver", "condition-2"),
    ],
)
def test_a_driver_that_cannot_start_is_reported(
    kubeflow: Kubeflow, small: Pipeline, driver: str, template: str, what: str
) -> None:
    pod = f"{WORKFLOW}-{template}-{hashed(full_name(driver))}"
    waiting = {"initContainerStatuses": [{"state": {"waiting": {"reason": "ImagePullBackOff"}}}]}
    kubeflow.pods[pod] = {"status": {"phase": "Pending", **waiting}}
    _, lines = _follow(kubeflow, small, look("RUNNING", {driver: ("PENDING", 0)}), look("FAILED", {}))
    assert f"{what} is waiting: the pod {pod} cannot start: ImagePullBackOff" in lines
    assert any("fix: push the image to a registry" in line for line in lines)


def test_the_driver_of_a_run_that_cannot_start_is_reported(kubeflow: Kubeflow, taxi: Pipeline) -> None:
    pod = "chicago-taxi-cqnnp-system-dag-driver-493487780"
    waiting = {"initContainerStatuses": [{"state": {"waiting": {"reason": "ImagePullBackOff"}}}]}
    kubeflow.pods[pod] = {"status": {"phase": "Pending", **waiting}}
    _, lines = _follow(kubeflow, taxi, _recorded("waiting"), look("FAILED", {}))
    assert f"the run is waiting: the pod {pod} cannot start: ImagePullBackOff" in lines


REFUSAL = (
    'pods "chicago-taxi-7tjf7-system-container-impl-2786392821" is forbidden: exceeded quota: q, requested: pods=1, '
    "used: pods=0, limited: pods=0"
)


@pytest.mark.parametrize("message", [REFUSAL, "ContainerCreating"])
def test_a_pod_that_a_quota_refuses_is_reported_while_argo_tries_again(
    kubeflow: Kubeflow, taxi: Pipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, message: str
) -> None:
    found = {"chicago-taxi-7tjf7-2786392821": {"phase": "Pending", "message": message}}
    workflow = {"metadata": {"labels": {"pipeline/runid": "run-0"}}, "status": {"nodes": found}}
    path = "GET /apis/argoproj.io/v1alpha1/namespaces/kubeflow/workflows/chicago-taxi-7tjf7"
    kubeflow.overrides[path] = (200, json.dumps(workflow).encode())
    write_kubeconfig(tmp_path / "kubeconfig", kubeflow.url)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    refused = _recorded("refused")
    _, lines = _follow(kubeflow, taxi, refused, refused, look("FAILED", {}))
    said = [line for line in lines if line.startswith("trainer is waiting: ")]
    assert said == [f"trainer is waiting: Kubernetes refuses its pod: {message}"] * (message == REFUSAL)
    assert any("raise the namespace's ResourceQuota" in line for line in lines) == (message == REFUSAL)


def test_a_workflow_that_cannot_be_read_is_asked_for_once(
    kubeflow: Kubeflow, taxi: Pipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_kubeconfig(tmp_path / "kubeconfig", kubeflow.url)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    asked: list[str] = []
    read = workflows._read
    monkeypatch.setattr(workflows, "_read", lambda *names: asked.append(names[1]) or read(*names))
    _follow(kubeflow, taxi, *[_recorded("refused")] * 3, look("SUCCEEDED", {}))
    assert asked == ["chicago-taxi-7tjf7"]
