"""Why a pod does not start or has failed, and the end of its log.

Kubeflow's UI serves pods; the API server's own port serves only their logs.
"""

from __future__ import annotations

import re
from typing import Any

from components.contract.errors import TaxiwayError
from taxiway.kubeflow.host import Host
from taxiway.language.executors import Executor

_LAST_LINES = 20
# Lines that Kubeflow's launcher and Argo's executor print after the stage's own output.
_NOT_OURS = re.compile(r"[IWEF]\d{4} |time=|Error: exit status|panic: ")
_FIXES = (
    (r"persistentvolumeclaim \"?([\w.-]+)\"? not found", "create the claim {0} in the namespace; manifests/ has ours"),
    (r"secret \"?([\w.-]+)\"? not found", "create the secret {0} in the namespace"),
    (
        r"ErrImagePull|ImagePullBackOff|InvalidImageName",
        "push the image to a registry that the nodes can pull from, or load it into the nodes",
    ),
    (
        r"violates PodSecurity",
        "set DEFAULT_SECURITY_CONTEXT_RUN_AS_NON_ROOT=true on Kubeflow's API server (docs/operations/kubeflow.md)",
    ),
    (r"exceeded quota", "request less in the pipeline's resources, or raise the namespace's ResourceQuota"),
    (r"Insufficient (cpu|memory)", "request less {0} in the pipeline's resources, or add a node"),
)
_FIXES_OF_ENDS = (
    (r"^OOMKilled", "increase memory_limit in the pipeline's resources"),
    (r"exec format error", "build the image for the nodes' CPU architecture, or select other nodes with node_selector"),
)
_GPU_FIX = (
    "no node has what it requests: add one with a free GPU, NVIDIA's device plugin and feature discovery, "
    "or compile without the profile that requests it"
)


def pod(host: Host, name: str) -> dict[str, Any] | None:
    """A pod as Kubernetes describes it; None if it is gone or unavailable."""
    found = host.get_json("k8s/pod", podname=name, podnamespace=host.pods)
    return found if found and "status" in found else None


def waits_for(found: dict[str, Any]) -> str:
    """Why a pod does not start; empty if nothing is wrong."""
    status = found["status"]
    if status.get("phase") != "Pending":
        return ""
    for condition in status.get("conditions", []):
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            return str(condition.get("message", condition.get("reason", "")))
    for container in _containers(status):
        waiting = container.get("state", {}).get("waiting", {})
        if waiting.get("reason") not in (None, "ContainerCreating", "PodInitializing"):
            return _joined(waiting)
    return ""


def fix_of(reason: str, executor: Executor | None) -> str:
    """How to fix the reason for which a pod is waiting; empty if unknown. A driver's pod has no executor of ours."""
    if (
        executor
        and executor.container.accelerator
        and re.search(r"nvidia.com/gpu|accelerator|node affinity|untolerated taint", reason)
    ):
        return _GPU_FIX
    for pattern, fix in _FIXES:
        if match := re.search(pattern, reason):
            return fix.format(*match.groups())
    return ""


def fix_of_end(outside: str, text: str) -> str:
    """How to fix a failure that was not reported by the stage itself; empty if unknown.

    Args:
        outside: What ended the pod from outside.
        text: The pod's log.
    """
    for pattern, fix in _FIXES_OF_ENDS:
        if re.search(pattern, f"{outside}\n{text[-1000:]}"):
            return fix
    return ""


def ended_by(found: dict[str, Any]) -> str:
    """What ended a pod from outside: out of memory, eviction; empty if it ended by itself."""
    status = found["status"]
    if status.get("reason"):
        return _joined(status)
    states = [container.get("state", {}).get("terminated", {}) for container in _containers(status)]
    return next((f"{state['reason']}: it exceeded its memory limit" for state in states if _was_killed(state)), "")


def has_succeeded(found: dict[str, Any] | None) -> bool:
    """Whether a pod is known to have succeeded; then its log does not explain a failure."""
    return found is not None and found["status"].get("phase") == "Succeeded"


def events(host: Host, name: str) -> list[str]:
    """Kubernetes' warnings about a pod, latest last; empty if unavailable."""
    try:
        found = host.get_json("k8s/pod/events", podname=name, podnamespace=host.pods) or {}
    except TaxiwayError:
        return []
    return [_joined(event) for event in found.get("items", []) if event.get("type") == "Warning"]


def log(host: Host, run_id: str, name: str) -> str:
    """A pod's log; empty if it is gone."""
    found = host.get("k8s/pod/logs", podname=name, podnamespace=host.pods, runid=run_id)
    if found is None:
        found = host.get(f"apis/v1alpha1/runs/{run_id}/nodes/{name}/log")
    text = (found or b"").decode(errors="replace")
    # The API server sends status 200 before it looks for the log.
    return "" if '"error_message"' in text or text.lstrip().startswith("<!") else text


def last_words(text: str) -> str:
    """The stage's error message, or else the last lines of the log."""
    lines = text.splitlines()
    errors = [index for index, line in enumerate(lines) if line.startswith("error: ")]
    if not errors:
        return "\n".join(lines[-_LAST_LINES:])
    rest = lines[errors[-1] :]
    end = next((index for index, line in enumerate(rest) if _NOT_OURS.match(line)), len(rest))
    return "\n".join(rest[:end]).removeprefix("error: ")


def _containers(status: dict[str, Any]) -> list[dict[str, Any]]:
    return [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]


def _was_killed(state: dict[str, Any]) -> bool:
    return bool(state.get("reason") == "OOMKilled")


def _joined(state: dict[str, Any]) -> str:
    return ": ".join(filter(None, (state.get("reason"), state.get("message"))))
