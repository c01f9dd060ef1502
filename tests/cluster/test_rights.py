"""What `doctor`, and a run whose pod was rejected, report to accounts with few rights."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from taxiway.doctor import cluster as checks
from taxiway.doctor.findings import State, Use
from taxiway.kubeflow import compilation, following
from taxiway.kubeflow.host import Host
from taxiway.runs.progress import Lines
from taxiway.runs.record import Run
from tests.cluster.conftest import Cluster, Namespace
from tests.taxiway.kubeflow.conftest import SMALL
from tests.taxiway.kubeflow.graphs import WORKFLOW, full_name, hashed, look
from tests.taxiway.kubeflow.stub import Kubeflow, serving

FOLLOW = {"apiGroups": [""], "resources": ["pods", "pods/log"], "verbs": ["get", "list"]}
SUBMIT = {"apiGroups": ["pipelines.kubeflow.org"], "resources": ["runs", "pipelines"], "verbs": ["create"]}
WORKFLOWS = {"apiGroups": ["argoproj.io"], "resources": ["workflows"], "verbs": ["get"]}
Account = Callable[..., Cluster]


@pytest.mark.parametrize(
    ("rules", "states"),
    [([FOLLOW, SUBMIT], [State.OK]), ([FOLLOW], [State.WARNING]), ([], [State.WARNING, State.WARNING])],
)
def test_doctor_reports_the_rights_that_an_account_has(
    namespace: Namespace, account: Account, monkeypatch: pytest.MonkeyPatch, rules: list[Any], states: list[State]
) -> None:
    here = namespace("ann")
    monkeypatch.setenv("KUBECONFIG", str(account(here, *rules).kubeconfig))
    [check] = [each for each in checks.checks(Use(Path.cwd(), namespace=here)) if each.name == "rights"]
    assert [line.state for line in check.look()] == states


@pytest.mark.parametrize("rules", [[WORKFLOWS], []])
def test_users_who_may_read_workflows_get_the_reason_of_a_rejected_pod(
    cluster: Cluster,
    namespace: Namespace,
    account: Account,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    rules: list[Any],
) -> None:
    here = namespace("kubeflow")
    reason = 'pods "small" is forbidden: violates PodSecurity "restricted:latest": runAsNonRoot != true'
    node = f"{WORKFLOW}-{hashed(full_name('baseline.executor'))}"
    failed = {"phase": "Error", "message": reason, "id": node, "name": node, "type": "Pod"}
    cluster.apply(
        {
            "apiVersion": "argoproj.io/v1alpha1",
            "kind": "Workflow",
            "metadata": {"name": WORKFLOW, "namespace": here, "labels": {"pipeline/runid": "run-0"}},
            "spec": {},
            "status": {"nodes": {node: failed}},
        }
    )
    monkeypatch.setenv("KUBECONFIG", str(account(here, *rules).kubeconfig))
    monkeypatch.setenv("TAXIWAY_HOME", str(tmp_path / "home"))
    run = _followed()
    error = run.tasks["baseline"].error
    assert error.startswith(reason) == bool(rules)
    assert (f"kubectl --namespace kubeflow describe workflow {WORKFLOW}" in error) != bool(rules)


def _followed() -> Run:
    with serving(Kubeflow()) as kubeflow:
        kubeflow.runs["run-0"] = {"run_id": "run-0", "display_name": "small-1"}
        kubeflow.looks = [json.loads(json.dumps(look("FAILED", {"baseline": ("FAILED", 8)})))]
        observer = Lines(Console(file=io.StringIO(), width=200))
        pipeline = compilation.compiled(SMALL)
        commands = {"again": "again", "resume": "resume"}
        return following.follow(Host(kubeflow.url), pipeline, "run-0", "small-1", observer, **commands, seconds=0.01)
