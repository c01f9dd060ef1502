"""Pods like those that Kubeflow creates for stages are admitted under Pod Security's level `restricted`."""

from __future__ import annotations

from typing import Any

import pytest

from taxiway.kubeflow import compilation
from taxiway.kubeflow.nodes import nodes
from tests.cluster.conftest import Cluster, Namespace

RESTRICTED = {"pod-security.kubernetes.io/enforce": "restricted"}
_KUBEFLOW = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "seccompProfile": {"type": "RuntimeDefault"},
}
"""What Kubeflow sets itself on `main` (backend/src/v2/compiler/argocompiler, 2.17); the user it leaves to the task."""

_ARGO = {**_KUBEFLOW, "runAsNonRoot": True, "runAsUser": 65532}
"""Its manifests' setting of Argo's own containers and of the launcher."""


def _pod(namespace: str, name: str, executor: Any, settings: Any) -> dict[str, Any]:
    own = {"runAsNonRoot": True} if settings.get("securityContext", {}).get("runAsNonRoot") else {}
    main = {"name": "main", "image": executor["container"]["image"], "securityContext": {**_KUBEFLOW, **own}}
    needs = executor["container"].get("resources", {})
    limits = {"cpu": needs.get("resourceCpuLimit"), "memory": needs.get("resourceMemoryLimit")}
    requests = {"cpu": needs.get("resourceCpuRequest"), "memory": needs.get("resourceMemoryRequest")}
    main["resources"] = {
        "limits": {key: value for key, value in limits.items() if value},
        "requests": {key: value for key, value in requests.items() if value},
    }
    around = [{"name": each, "image": each, "securityContext": _ARGO} for each in ("init", "kfp-launcher")]
    wait = {"name": "wait", "image": "argoexec", "securityContext": _ARGO}
    meta = {"name": name, "namespace": namespace}
    spec = {"initContainers": around, "containers": [main, wait], "restartPolicy": "Never"}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec}


@pytest.mark.parametrize("profiles", [[], ["gpu", "cluster"]])
def test_stages_are_admitted_only_with_their_security_setting(
    cluster: Cluster, namespace: Namespace, profiles: list[str]
) -> None:
    here = namespace("runs", RESTRICTED)
    pipeline = compilation.compiled("chicago_taxi", profiles)
    platform = pipeline.platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    found = {node.name: (node.executor.written, platform[f"exec-{node.name}"]) for node in nodes(pipeline)}
    assert len(found) == 10
    for name, (executor, settings) in found.items():
        assert cluster.refusal(_pod(here, name, executor, settings)) == ""
        assert "runAsNonRoot != true" in cluster.refusal(_pod(here, name, executor, {}))
