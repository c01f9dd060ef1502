"""Kubernetes' Pod Security Standard `restricted`, and a read-only root file system."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

_VOLUMES = {
    "configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret",
}  # fmt: skip
_SECCOMP = ("RuntimeDefault", "Localhost")


def _pod_violations(spec: Mapping[str, Any]) -> Iterator[str]:
    for name in ("hostNetwork", "hostPID", "hostIPC"):
        if spec.get(name):
            yield name
    for volume in spec.get("volumes", []):
        if set(volume) - {"name"} - _VOLUMES:
            yield f"volume {volume['name']}"


def _container_violations(container: Mapping[str, Any], pod: Mapping[str, Any]) -> Iterator[str]:
    context = {**pod, **container.get("securityContext", {})}
    capabilities = context.get("capabilities", {})
    wrong = {
        "runAsNonRoot": not context.get("runAsNonRoot"),
        "runAsUser": context.get("runAsUser", 0) == 0,
        "privileged": context.get("privileged"),
        "allowPrivilegeEscalation": context.get("allowPrivilegeEscalation") is not False,
        "readOnlyRootFilesystem": not context.get("readOnlyRootFilesystem"),
        "capabilities.drop": capabilities.get("drop") != ["ALL"],
        "capabilities.add": capabilities.get("add"),
        "seccompProfile": context.get("seccompProfile", {}).get("type") not in _SECCOMP,
        "hostPort": any("hostPort" in port for port in container.get("ports", [])),
    }
    yield from (f"{container['name']}: {what}" for what, is_wrong in wrong.items() if is_wrong)


def violations(spec: Mapping[str, Any]) -> list[str]:
    """Settings of a PodSpec that violate `restricted`, or that let a container write to its root."""
    found = list(_pod_violations(spec))
    for container in [*spec.get("initContainers", []), *spec["containers"]]:
        found += _container_violations(container, spec.get("securityContext", {}))
    return found
