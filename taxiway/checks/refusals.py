"""Refuses pipelines with requirements that a run on this machine cannot meet, before anything runs.

Settings that only affect scheduling (node selectors, tolerations, requests, timeouts and the like) are ignored.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from components.contract.errors import UserError
from taxiway.checks import known
from taxiway.language import placeholders, spec
from taxiway.language.arguments import AS_ARTIFACT, is_too_long, too_long
from taxiway.language.components import Component, DagComponent, ExecutorComponent
from taxiway.language.executors import Container
from taxiway.language.platforms import Platform, Resource
from taxiway.language.spec import Pipeline
from taxiway.language.values import Json

_KUBERNETES_TASKS = {"argostub/createpvc": "creates", "argostub/deletepvc": "deletes"}
_MOUNTS = {
    "pvcMount": "a volume claim",
    "secretAsVolume": "the secret {name}",
    "configMapAsVolume": "the config map {name}",
    "genericEphemeralVolume": "an empty volume",
    "emptyDirMounts": "an empty volume",
}


def require_none(pipeline: Pipeline, values: Json, *, has_images: bool) -> None:
    """Refuses a run.

    Raises:
        UserError: The pipeline has requirements that a run on this machine cannot meet; the error lists all of them.
    """
    if found := list(refusals(pipeline, values, has_images=has_images)):
        raise UserError("\n".join([f"the pipeline {pipeline.name} cannot run here:", *(f"  {line}" for line in found)]))


def refusals(pipeline: Pipeline, values: Json, *, has_images: bool = False) -> Iterator[str]:
    """All requirements that a run cannot meet, with their tasks.

    Args:
        pipeline: A compiled pipeline.
        values: Its parameters.
        has_images: Whether containers run in their images, which may have their own entrypoints.

    Raises:
        UserError: A component contains itself, or tasks wait for each other.
    """
    spec.leaves(pipeline)
    yield from _of_dag(pipeline, pipeline.root, values, "", has_images)


def variables(platform: Platform) -> Iterator[tuple[str, str, bool]]:
    """The environment variables that Kubernetes sets: name, source of the value, and whether it is optional."""
    for key, kind in (("secretAsEnv", "secret"), ("configMapAsEnv", "config map")):
        for resource in platform.resources.get(key, ()):
            for name, _ in resource.variables:
                yield name, f"the {kind} {_name(resource)}", resource.is_optional
    for name, path in platform.fields:
        yield name, f"the field {path} of its pod", False


def _of_dag(pipeline: Pipeline, component: DagComponent, values: Json, prefix: str, has_images: bool) -> Iterator[str]:
    outer = known.dag_parameters(component, values)
    for name, task in component.dag.ordered():
        inner = pipeline.component(task)
        given = known.as_written(inner, task, outer)
        yield from (f"{prefix}{name}: {why}" for why in _of_inputs(inner))
        if isinstance(inner, DagComponent):
            inside = spec.inherited(task, outer) | given
            yield from _of_dag(pipeline, inner, inside, spec.child_name(prefix, name, task), has_images)
        else:
            yield from (f"{prefix}{name}: {why}" for why in _of_leaf(pipeline, inner, given, has_images))


def _of_inputs(component: Component) -> Iterator[str]:
    for name, parameter in component.inputs.parameters.items():
        if parameter.type == "TASK_CONFIG":
            yield f"{name} takes the settings of its pod (dsl.TaskConfig), which only Kubernetes has"


def _of_leaf(pipeline: Pipeline, component: ExecutorComponent, given: Json, has_images: bool) -> Iterator[str]:
    executor = pipeline.executor(component)
    if executor.importer:
        return
    if executor.kind != "container":
        yield f"its executor is {executor.kind}, which open-source Kubeflow has not either"
    elif what := _KUBERNETES_TASKS.get(executor.container.image):
        yield f"{what} a volume claim, which only Kubernetes can"
    else:
        yield from _of_container(executor.container, component, has_images)
        # A stage's data and credentials are this machine's own: see `taxiway.dsl.cluster_resources`.
        if not executor.stage:
            yield from _of_platform(pipeline.platform_of(component))
            yield from _of_sizes(given)


def _of_container(container: Container, component: Component, has_images: bool) -> Iterator[str]:
    words = container.words
    # Kubeflow's launcher also runs the first word, and does not know the image's own entrypoint.
    if not has_images and (not words or not words[0] or words[0].startswith("-")):
        yield (
            f"names no command: what {container.image} runs by itself, neither processes nor Kubeflow's launcher "
            "know; name the command, or run with --runner docker"
        )
    for body in dict.fromkeys(placeholders.bodies(words)):
        if why := placeholders.problem(body, component.has):
            yield f"the placeholder {{{{${body}}}}} {why}"


def _of_platform(platform: Platform) -> Iterator[str]:
    for key, what in _MOUNTS.items():
        for resource in platform.resources.get(key, ()):
            if not resource.is_optional:
                yield f"mounts {what.format(name=_name(resource))} at {resource.path}, which only Kubernetes can"
    for name, origin, may_be_absent in variables(platform):
        if not may_be_absent and name not in os.environ:
            yield f"takes {name} from {origin}, which only Kubernetes has; set {name} in the environment of the run"
    if platform.has_init_containers:
        yield "has containers that run before it, which only Kubernetes can"


def _of_sizes(given: Json) -> Iterator[str]:
    for name, value in given.items():
        if is_too_long(text := placeholders.text(value)):
            yield f"{name} has {too_long(text)}; {AS_ARTIFACT}"


def _name(resource: Resource) -> str:
    """The name of a secret or config map, if the pipeline contains it."""
    return resource.name or "that a parameter names"
