"""Why a pod does not start or has failed, and what it said last.

Kubeflow's UI tells of pods; the API server's own port has their logs only.
"""

from __future__ import annotations

import re
from typing import Any

from components.contract.errors import TaxiwayError
from taxiway.kubeflow.host import Host

_LAST_LINES = 20
# What Kubeflow's launcher and Argo's executor add behind the stage's own words.
_NOT_OURS = re.compile(r"[IWEF]\d{4} |time=|Error: exit status|panic: ")
_FIXES = (
    (r"persistentvolumeclaim \"?([\w.-]+)\"? not found", "make the claim {0} in the namespace; manifests/ has ours"),
    (r"secret \"?([\w.-]+)\"? not found", "make the secret {0} in the namespace"),
    (r"ErrImagePull|ImagePullBackOff|InvalidImageName", "push the image to where the nodes can pull it, or load it"),
    (
        r"violates PodSecurity",
        "set DEFAULT_SECURITY_CONTEXT_RUN_AS_NON_ROOT=true on Kubeflow's API server (docs/operations/kubeflow.md)",
    ),
    (r"exceeded quota", "ask for less in the pipeline's resources, or for a larger ResourceQuota of the namespace"),
    (r"Insufficient (cpu|memory)", "ask for less {0} in the pipeline's resources, or add a node"),
)
_FIXES_OF_ENDS = (
    (r"^OOMKilled", "give it more in the pipeline's resources (memory_limit)"),
    (r"exec format error", "build the image for the nodes' processors, or choose other nodes by node_selector"),
)
_GPU_FIX = (
    "no node has what it asks for: add one with a free GPU, NVIDIA's device plugin and feature discovery, "
    "or compile without the profile that asks for it"
)


def pod(host: Host, name: str) -> dict[str, Any] | None:
    """A pod as Kubernetes has it; None where it is gone, or where nobody can tell."""
    found = host.get_json("k8s/pod", podname=name, podnamespace=host.pods)
    return found if found and "status" in found else None


def waits_for(found: dict[str, Any]) -> str:
    """Why a pod does not start; empty where nothing is wrong."""
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


def fix_of(reason: str, executor: dict[str, Any]) -> str:
    """What lets a pod start that waits for a reason; empty where that is not known."""
    gpu = executor.get("container", {}).get("resources", {}).get("accelerator", {})
    if gpu and re.search(r"nvidia.com/gpu|accelerator|node affinity|untolerated taint", reason):
        return _GPU_FIX
    for pattern, fix in _FIXES:
        if match := re.search(pattern, reason):
            return fix.format(*match.groups())
    return ""


def fix_of_end(outside: str, text: str) -> str:
    """What keeps a task from failing so again, where not the stage says it.

    Args:
        outside: What ended its pod from outside.
        text: What the pod printed.
    """
    for pattern, fix in _FIXES_OF_ENDS:
        if re.search(pattern, f"{outside}\n{text[-1000:]}"):
            return fix
    return ""


def ended_by(found: dict[str, Any]) -> str:
    """What ended a pod from outside: no memory, an eviction; empty where it ended by itself."""
    status = found["status"]
    if status.get("reason"):
        return _joined(status)
    states = [container.get("state", {}).get("terminated", {}) for container in _containers(status)]
    return next((f"{state['reason']}: it used more memory than it may" for state in states if _was_killed(state)), "")


def has_succeeded(found: dict[str, Any] | None) -> bool:
    """Whether a pod is known to have done its work; its log then says nothing of a failure."""
    return found is not None and found["status"].get("phase") == "Succeeded"


def events(host: Host, name: str) -> list[str]:
    """Kubernetes' warnings about a pod, the latest last; empty where nobody can tell."""
    try:
        found = host.get_json("k8s/pod/events", podname=name, podnamespace=host.pods) or {}
    except TaxiwayError:
        return []
    return [_joined(event) for event in found.get("items", []) if event.get("type") == "Warning"]


def log(host: Host, run_id: str, name: str) -> str:
    """What a pod printed; empty where nothing is left of it."""
    found = host.get("k8s/pod/logs", podname=name, podnamespace=host.pods, runid=run_id)
    if found is None:
        found = host.get(f"apis/v1alpha1/runs/{run_id}/nodes/{name}/log")
    text = (found or b"").decode(errors="replace")
    # The API server answers 200 before it looks for the log.
    return "" if '"error_message"' in text or text.lstrip().startswith("<!") else text


def last_words(text: str) -> str:
    """What a stage said was wrong, or the last lines of a log."""
    lines = text.splitlines()
    said = [index for index, line in enumerate(lines) if line.startswith("error: ")]
    if not said:
        return "\n".join(lines[-_LAST_LINES:])
    rest = lines[said[-1] :]
    end = next((index for index, line in enumerate(rest) if _NOT_OURS.match(line)), len(rest))
    return "\n".join(rest[:end]).removeprefix("error: ")


def _containers(status: dict[str, Any]) -> list[dict[str, Any]]:
    return [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]


def _was_killed(state: dict[str, Any]) -> bool:
    return bool(state.get("reason") == "OOMKilled")


def _joined(state: dict[str, Any]) -> str:
    return ": ".join(filter(None, (state.get("reason"), state.get("message"))))
