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
_WAITING = ("Pending",)
_REFUSED = " is forbidden: "
_RUN_LABEL = "pipeline/runid"


def messages(namespace: str, workflow: str, run_id: str, pods: Sequence[str] = ()) -> list[str]:
    """Argo's messages on why nodes of a run's workflow failed; empty if unavailable.

    Args:
        namespace: The namespace of the run's pods.
        workflow: The workflow's name.
        run_id: Kubeflow's id of the run, compared because kubectl's current context may be another cluster.
        pods: The pods of a task; default: all tasks.
    """
    status = _status(namespace, workflow, run_id) or {}
    failures = _messages(status, _FAILED, pods)
    # The message of a parent only says which child failed.
    causes = [message for message in failures if not message.startswith("child '")]
    return list(dict.fromkeys(causes)) or [text for text in [status.get("message", "")] if text and not pods]


def refusals(namespace: str, workflow: str, run_id: str, pods: Sequence[str]) -> list[str] | None:
    """Why pods of a task were refused that Argo still tries to create; None if unavailable."""
    status = _status(namespace, workflow, run_id)
    return None if status is None else [text for text in _messages(status, _WAITING, pods) if _REFUSED in text]


def _messages(status: dict[str, Any], phases: Sequence[str], pods: Sequence[str]) -> list[str]:
    """The messages of the nodes in these phases."""
    hashes = {pod.rpartition("-")[2] for pod in pods}
    nodes = [node for id_, node in status.get("nodes", {}).items() if not pods or id_.rpartition("-")[2] in hashes]
    return [node["message"] for node in nodes if node.get("phase") in phases and node.get("message")]


def _status(namespace: str, workflow: str, run_id: str) -> dict[str, Any] | None:
    """The status of a run's workflow; None if it is unavailable, or of another run."""
    found = _read(namespace, workflow) if workflow else {}
    is_own = found.get("metadata", {}).get("labels", {}).get(_RUN_LABEL) == run_id
    return dict(found.get("status", {})) if is_own else None


def _read(namespace: str, workflow: str) -> dict[str, Any]:
    try:
        path = f"/apis/argoproj.io/v1alpha1/namespaces/{namespace}/workflows/{workflow}"
        return KubernetesApi(seconds=_SECONDS).get(path)
    except NoAnswerError:
        # Without a kubeconfig, permission or workflow, there is nothing to add.
        return {}
