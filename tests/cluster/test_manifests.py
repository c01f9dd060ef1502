"""Every overlay can be applied, and Pod Security and quotas admit its pods."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from tests.cluster.conftest import Cluster, Namespace
from tests.manifests.objects import BUILDS, MANIFESTS, NAMESPACE, Pod, build, of_kind, pods

QUOTA = {"requests.cpu": "40", "requests.memory": "40Gi", "limits.cpu": "40", "limits.memory": "80Gi"}


def _pod(pod: Pod, name: str = "pod") -> dict[str, Any]:
    meta = {"name": name, "namespace": NAMESPACE, "labels": dict(pod.labels)}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": copy.deepcopy(dict(pod.spec))}


@pytest.mark.parametrize("name", BUILDS)
def test_an_overlay_is_applied_and_its_pods_are_admitted(cluster: Cluster, namespace: Namespace, name: str) -> None:
    if any(each["metadata"].get("namespace") == "kubeflow" for each in build(name)):
        namespace("kubeflow")
    namespace(NAMESPACE)
    cluster.do("apply", "--server-side", "--force-conflicts", "--kustomize", MANIFESTS / name)
    # Applying it again changes no immutable field.
    cluster.do("apply", "--server-side", "--kustomize", MANIFESTS / name)
    meta = {"name": "quota", "namespace": NAMESPACE}
    cluster.apply({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": meta, "spec": {"hard": QUOTA}})
    assert [cluster.refusal(_pod(pod)) for pod in pods(build(name))] == [""] * len(list(pods(build(name))))
    breach = _pod(next(iter(pods(build(name)))))
    breach["spec"]["securityContext"]["runAsNonRoot"] = False
    assert 'violates PodSecurity "restricted:' in cluster.refusal(breach)
    volumes = [each["metadata"]["name"] for each in of_kind(build(name), "PersistentVolume")]
    if volumes:
        cluster.do("delete", "persistentvolume", *volumes, "--wait=false")


def test_a_misspelt_field_is_refused(cluster: Cluster, namespace: Namespace) -> None:
    namespace(NAMESPACE)
    wrong = _pod(next(iter(pods(build("base")))))
    wrong["spec"]["containerz"] = []
    assert 'unknown field "spec.containerz"' in cluster.refusal(wrong)
