"""The Kubernetes settings of tasks' pods.

Source: kubeflow/pipelines, kubernetes_platform/proto/kubernetes_executor_config.proto.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from taxiway.language.tasks import Constant, ParameterSource, parameter_source
from taxiway.language.values import Json

_NAMES = {
    "secretAsEnv": "secretName",
    "secretAsVolume": "secretName",
    "imagePullSecret": "secretName",
    "configMapAsEnv": "configMapName",
    "configMapAsVolume": "configMapName",
    "pvcMount": "pvcName",
    "genericEphemeralVolume": "volumeName",
    "emptyDirMounts": "volumeName",
}
_SOURCES = {"runtimeValue", "componentInputParameter", "taskOutputParameter"}


@dataclass(frozen=True, kw_only=True)
class Resource:
    """A secret, a config map or a volume that a task uses.

    Attributes:
        source: Where its name comes from; None if an older compiler wrote the name, or if it has none.
        written: Its name as older compilers write it.
        path: Where it is mounted; empty if it is not.
        variables: The environment variables that are set from its keys, as pairs of variable and key.
        is_optional: Whether it may be missing.
    """

    source: ParameterSource | None = None
    written: str = ""
    path: str = ""
    variables: tuple[tuple[str, str], ...] = ()
    is_optional: bool = False

    @classmethod
    def of(cls, kind: str, setting: Mapping[str, Any]) -> Resource:
        """Reads a resource of some kind."""
        return cls(
            source=_source(setting.get(f"{_NAMES[kind]}Parameter", setting)),
            written=setting.get(_NAMES[kind]) or setting.get("constant") or "",
            path=setting.get("mountPath", ""),
            variables=_variables(setting),
            is_optional=bool(setting.get("optional")),
        )

    @property
    def name(self) -> str:
        """Its name, if the compiled pipeline has it."""
        return str((isinstance(self.source, Constant) and self.source.value) or self.written)


@dataclass(frozen=True, kw_only=True)
class Platform:
    """The Kubernetes settings of a task's pod.

    Attributes:
        resources: The secrets, config maps and volumes, by the kind of use: `secretAsEnv`, `pvcMount`.
        fields: The environment variables that are set from fields of the pod, as pairs of variable and field.
        label_source: Where the node labels come from; None if they are constants.
        labels: The node labels, if they are constants.
        tolerations: Its tolerations, or where they come from.
        has_init_containers: Whether containers run before it.
    """

    resources: Mapping[str, tuple[Resource, ...]] = field(default_factory=dict)
    fields: tuple[tuple[str, str], ...] = ()
    label_source: ParameterSource | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    tolerations: tuple[Json | ParameterSource, ...] = ()
    has_init_containers: bool = False

    @classmethod
    def of(cls, executor: Json) -> Platform:
        """Reads the settings of an executor."""
        selector = executor.get("nodeSelector", {})
        return cls(
            resources={kind: tuple(Resource.of(kind, each) for each in executor.get(kind, [])) for kind in _NAMES},
            fields=tuple((entry["name"], entry["fieldPath"]) for entry in executor.get("fieldPathAsEnv", [])),
            label_source=_source(selector.get("nodeSelectorJson", {})),
            labels=selector.get("labels", {}),
            tolerations=tuple(_toleration(each) for each in executor.get("tolerations", [])),
            has_init_containers=bool(executor.get("initContainers")),
        )


def _source(source: Mapping[str, Any]) -> ParameterSource | None:
    return parameter_source(source) if _SOURCES & source.keys() else None


def _toleration(toleration: Json) -> Json | ParameterSource:
    return parameter_source(toleration["tolerationJson"]) if "tolerationJson" in toleration else toleration


def _variables(setting: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    pairs = setting.get("keyToEnv", [])
    return tuple((pair["envVar"], pair.get("secretKey") or pair.get("configMapKey", "")) for pair in pairs)
