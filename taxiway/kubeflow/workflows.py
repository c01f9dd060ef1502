"""Reads Argo's messages in a run's workflow, if the user's own kubeconfig permits it.

A pod that was refused by Pod Security or a quota was never created, so neither Kubeflow's API nor its UI knows the
reason. The nodes of the workflow contain it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from taxiway.network.kubernetes import KubernetesApi, NoAnswerError

_SECONDS = 5.0
_FAILED = ("Failed", "Error")
_RUN_LABEL = "pipeline/runid"


def messages(namespace: str, workflow: str, run_id: str, pods: Sequence[str] = ()) -> list[str]:
    """Argo's messages on why nodes of a run's workflow failed; empty if unavailable.

    Args:
        namespace: The namespace of the run's pods.
        workflow: The workflow's name.
        run_id: Kubeflow's id of the run, compared because kubectl's current context may be another cluster.
        pods: The pods of a task; default: all tasks.
    """
    found = _read(namespace, workflow) if workflow else {}
    if found.get("metadata", {}).get("labels", {}).get(_RUN_LABEL) != run_id:
        return []
    status = found.get("status", {})
    hashes = {pod.rpartition("-")[2] for pod in pods}
    nodes = [node for id_, node in status.get("nodes", {}).items() if not pods or id_.rpartition("-")[2] in hashes]
    failures = [node["message"] for node in nodes if node.get("phase") in _FAILED and node.get("message")]
    # The message of a parent only says which child failed.
    causes = [message for message in failures if not message.startswith("child '")]
    return list(dict.fromkeys(causes)) or [text for text in [status.get("message", "")] if text and not pods]


def _read(namespace: str, workflow: str) -> dict[str, Any]:
    try:
        path = f"/apis/argoproj.io/v1alpha1/namespaces/{namespace}/workflows/{workflow}"
        return KubernetesApi(seconds=_SECONDS).get(path)
    except NoAnswerError:
        # Without a kubeconfig, permission or workflow, there is nothing to add.
        return {}
