"""What Argo says of a run's workflow, where the user's own kubectl may read it.

A pod that was refused, by Pod Security or a quota, never was: neither Kubeflow's API nor its UI knows why. The nodes
of the workflow do.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from taxiway.network.kubernetes import KubernetesApi, NoAnswerError

_SECONDS = 5.0
_FAILED = ("Failed", "Error")
_RUN_LABEL = "pipeline/runid"


def messages(namespace: str, workflow: str, run_id: str, pods: Sequence[str] = ()) -> list[str]:
    """Why nodes of a run's workflow failed, in Argo's words; empty where nobody can tell.

    Args:
        namespace: Where the run's pods are.
        workflow: The workflow's name.
        run_id: Kubeflow's id of the run: the current context of kubectl may be another cluster's.
        pods: The pods of a task; of all where there are none.
    """
    found = _read(namespace, workflow) if workflow else {}
    if found.get("metadata", {}).get("labels", {}).get(_RUN_LABEL) != run_id:
        return []
    status = found.get("status", {})
    hashes = {pod.rpartition("-")[2] for pod in pods}
    nodes = [node for id_, node in status.get("nodes", {}).items() if not pods or id_.rpartition("-")[2] in hashes]
    said = [node["message"] for node in nodes if node.get("phase") in _FAILED and node.get("message")]
    # A node says of its children no more than that one failed.
    causes = [message for message in said if not message.startswith("child '")]
    return list(dict.fromkeys(causes)) or [text for text in [status.get("message", "")] if text and not pods]


def _read(namespace: str, workflow: str) -> dict[str, Any]:
    try:
        path = f"/apis/argoproj.io/v1alpha1/namespaces/{namespace}/workflows/{workflow}"
        return KubernetesApi(seconds=_SECONDS).get(path)
    except NoAnswerError:
        # No kubeconfig, no rights, no such workflow: then there is nothing to add.
        return {}
