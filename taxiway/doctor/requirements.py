"""What a compiled pipeline needs where it runs: resources, nodes, volumes, secrets, stores, servers.

Sources: kubeflow/pipelines, api/v2alpha1/pipeline_spec.proto and
kubernetes_platform/proto/kubernetes_executor_config.proto.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from taxiway.checks import known
from taxiway.language import spec
from taxiway.language.components import Component, DagComponent
from taxiway.language.executors import Container
from taxiway.language.platforms import Platform, Resource
from taxiway.language.spec import Pipeline
from taxiway.language.tasks import Constant, FromParent, ParameterSource
from taxiway.language.values import Json


@dataclass(frozen=True)
class Secret:
    """A secret of the cluster that a task uses, with its keys if the pipeline names them."""

    name: str
    keys: tuple[str, ...] = ()
    optional: bool = False
    pulls_images: bool = False


@dataclass(frozen=True)
class Task:
    """A task that runs in a pod.

    Attributes:
        name: The name in the run.
        requests: Quantities by resource: `cpu`, `memory`, `nvidia.com/gpu`.
        node_labels: Labels that its node must have.
        tolerations: Tolerations, as in a pod.
        claims: PersistentVolumeClaims that must exist before the run, by mount path.
        secrets: The Secrets that it uses.
        destination: Where it pushes models; empty for most tasks.
        serving: Its `serving` setting.
    """

    name: str
    requests: Mapping[str, str]
    node_labels: Mapping[str, str]
    tolerations: tuple[Json, ...]
    claims: Mapping[str, str]
    secrets: tuple[Secret, ...]
    destination: str
    serving: Json


def tasks(pipeline: Pipeline, parameters: Mapping[str, Any]) -> tuple[Task, ...]:
    """The tasks of a pipeline with what each needs, except for values known only at run time.

    Raises:
        UserError: A pipeline parameter is unknown, missing or of the wrong type.
    """
    values = spec.pipeline_parameters(pipeline, parameters)
    return tuple(_tasks(pipeline, pipeline.root, values, ""))


def _tasks(pipeline: Pipeline, component: DagComponent, values: Json, prefix: str) -> Iterator[Task]:
    for name, task in component.dag.ordered():
        inner = pipeline.component(task)
        given = known.parameters(inner, task, values)
        if isinstance(inner, DagComponent):
            yield from _tasks(pipeline, inner, given, spec.child_name(prefix, name, task))
        elif (executor := pipeline.executor(inner)).kind == "container":
            found = {role: given.get(parameter) for role, parameter in _roles(inner).items()}
            yield _task(prefix + name, executor.container, pipeline.platform_of(inner), values, found)


def _value(source: ParameterSource | None, values: Json) -> Any:
    """A constant, or a parameter of the enclosing pipeline; None if known only at run time."""
    if isinstance(source, Constant):
        return None if "{{$" in str(source.value) else source.value
    return values.get(source.name) if isinstance(source, FromParent) else None


def _task(name: str, container: Container, platform: Platform, values: Json, by_role: Json) -> Task:
    return Task(
        name=name,
        requests=_requests(container),
        node_labels=dict(_value(platform.label_source, values) or platform.labels),
        tolerations=tuple(_tolerations(platform, values)),
        claims={
            mount.path: claim for mount in platform.resources.get("pvcMount", ()) if (claim := _name(mount, values))
        },
        secrets=tuple(_secrets(platform, values)),
        destination=str(by_role.get("Destination") or ""),
        serving=dict(by_role.get("Serving") or {}),
    )


def _roles(component: Component) -> dict[str, str]:
    return {parameter.role: name for name, parameter in component.inputs.parameters.items()}


def _requests(container: Container) -> dict[str, str]:
    """What the scheduler uses, as far as it is known before the run."""
    wanted, accelerator = dict(container.requests), container.accelerator
    if accelerator and "/" in accelerator.kind:
        wanted[accelerator.kind] = accelerator.count
    return {name: value for name, value in wanted.items() if value and "{{$" not in value}


def _tolerations(platform: Platform, values: Json) -> Iterator[Json]:
    for toleration in platform.tolerations:
        if isinstance(toleration, dict):
            yield toleration
            continue
        value = _value(toleration, values) or []
        yield from value if isinstance(value, list) else [value]


def _secrets(platform: Platform, values: Json) -> Iterator[Secret]:
    for kind in ("secretAsEnv", "secretAsVolume", "imagePullSecret"):
        for secret in platform.resources.get(kind, ()):
            if name := _name(secret, values):
                keys = tuple(key for _, key in secret.variables)
                yield Secret(name, keys, secret.is_optional, kind == "imagePullSecret")


def _name(resource: Resource, values: Json) -> str:
    """The name of a secret or volume; empty if a task of the run creates it."""
    return str(_value(resource.source, values) or resource.written)
