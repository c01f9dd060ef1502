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
from taxiway.language.spec import Json, Pipeline

_RESOURCES = {"cpu": "resourceCpu", "memory": "resourceMemory"}


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


def _tasks(pipeline: Pipeline, component: Json, values: Json, prefix: str) -> Iterator[Task]:
    dag = component["dag"]
    for name in spec.ordered(dag):
        task = dag["tasks"][name]
        inner = pipeline.component(task)
        given = known.parameters(inner, task, values)
        if "dag" in inner:
            yield from _tasks(pipeline, inner, given, spec.child_name(prefix, name, task))
        elif "container" in (executor := pipeline.executor(inner)):
            found = {role: given.get(parameter) for role, parameter in _roles(inner).items()}
            yield _task(prefix + name, executor["container"], _platform(pipeline, inner), values, found)


def _value(source: Json, values: Json) -> Any:
    """A constant, or a parameter of the enclosing pipeline; None if known only at run time."""
    constant = source.get("runtimeValue", {}).get("constant")
    if constant is not None:
        return None if "{{$" in str(constant) else constant
    return values.get(source.get("componentInputParameter", ""))


def _platform(pipeline: Pipeline, component: Json) -> Json:
    kubernetes = pipeline.platform.get("platforms", {}).get("kubernetes", {})
    return dict(kubernetes.get("deploymentSpec", {}).get("executors", {}).get(component["executorLabel"], {}))


def _task(name: str, container: Json, platform: Json, values: Json, by_role: Json) -> Task:
    return Task(
        name=name,
        requests=_requests(container.get("resources", {})),
        node_labels=_constants(platform.get("nodeSelector", {}), "nodeSelectorJson", "labels", values),
        tolerations=tuple(_tolerations(platform, values)),
        claims={
            mount["mountPath"]: claim
            for mount in platform.get("pvcMount", [])
            if (claim := _name(mount, "pvcNameParameter", "constant", values))
        },
        secrets=tuple(_secrets(platform, values)),
        destination=str(by_role.get("Destination") or ""),
        serving=dict(by_role.get("Serving") or {}),
    )


def _roles(component: Json) -> dict[str, str]:
    parameters = component.get("inputDefinitions", {}).get("parameters", {})
    return {spec.mark(definition)[0]: name for name, definition in parameters.items()}


def _requests(resources: Json) -> dict[str, str]:
    """What the scheduler uses: requests, or limits if there is no request, as in Kubernetes."""
    wanted = {
        name: resources.get(f"{field}Request") or resources.get(f"{field}Limit") for name, field in _RESOURCES.items()
    }
    accelerator = resources.get("accelerator", {})
    if "/" in (kind := accelerator.get("resourceType") or accelerator.get("type") or ""):
        wanted[kind] = accelerator.get("resourceCount") or accelerator.get("count")
    return {name: str(value) for name, value in wanted.items() if value and "{{$" not in str(value)}


def _constants(setting: Json, json_key: str, plain_key: str, values: Json) -> dict[str, str]:
    return dict(_value(setting.get(json_key, {}), values) or setting.get(plain_key, {}))


def _tolerations(platform: Json, values: Json) -> Iterator[Json]:
    for toleration in platform.get("tolerations", []):
        if "tolerationJson" not in toleration:
            yield toleration
            continue
        value = _value(toleration["tolerationJson"], values) or []
        yield from value if isinstance(value, list) else [value]


def _secrets(platform: Json, values: Json) -> Iterator[Secret]:
    for kind in ("secretAsEnv", "secretAsVolume", "imagePullSecret"):
        for setting in platform.get(kind, []):
            name = _name(setting, "secretNameParameter", "secretName", values)
            keys = tuple(pair["secretKey"] for pair in setting.get("keyToEnv", []))
            if name:
                yield Secret(name, keys, bool(setting.get("optional")), kind == "imagePullSecret")


def _name(setting: Json, parameter_key: str, plain_key: str, values: Json) -> str:
    """A name as newer or older compilers write it; empty if a task of the run creates it."""
    return str(_value(setting.get(parameter_key, setting), values) or setting.get(plain_key) or "")
