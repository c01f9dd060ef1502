"""The cluster resources of a pipeline's tasks, declared in one place and written into the compiled pipeline.

    @dsl.pipeline(name="taxi")
    @resources({"trainer": Resources(cpu="2", memory="4Gi")}, profiles={"gpu": {"trainer": Resources(gpus=1)}})
    def taxi(): ...

The local runner ignores them: a process uses what the machine has.
"""

from __future__ import annotations

import difflib
import functools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace
from typing import Any

from kfp import dsl, kubernetes
from kfp.dsl import structures
from kfp.dsl.graph_component import GraphComponent
from kfp.dsl.pipeline_context import Pipeline

from components.contract.errors import UserError

Tasks = Mapping[str, "Resources"]

# As kfp's compiler accepts them.
_CPUS = re.compile(r"(\d*\.)?\d+m?")
_BYTES = re.compile(r"\d+([EPTGMK]i?)?")


@dataclass(frozen=True)
class Volume:
    """A PersistentVolumeClaim in the pipeline's namespace, and the path where the task mounts it."""

    claim: str
    path: str


@dataclass(frozen=True)
class Secret:
    """A Secret in the pipeline's namespace, as environment variables and as files.

    Attributes:
        name: Its name.
        variables: Environment variables by the Secret's keys.
        path: The folder with a file for each key; no files if empty.
    """

    name: str
    variables: Mapping[str, str] = field(default_factory=dict)
    path: str = ""


@dataclass(frozen=True)
class Toleration:
    """A taint that the task tolerates; an empty value matches any."""

    key: str
    value: str = ""
    effect: str = "NoSchedule"


@dataclass(frozen=True)
class Resources:
    """The resources of one task. Quantities are those of Kubernetes: `500m`, `2`, `4Gi`.

    Attributes:
        cpu: CPU request.
        cpu_limit: CPU limit; default: no limit.
        memory: Memory request.
        memory_limit: Memory limit, above which the task is killed; default: `memory`.
        gpus: Number of GPUs.
        gpu_type: Their resource name on the nodes.
        image: An image instead of the stage's own.
        node_selector: Labels that the node must have.
        tolerations: Taints that the node may have.
        secrets: Secrets as environment variables or files.
        volumes: Claims and their mount paths.
    """

    cpu: str = ""
    cpu_limit: str = ""
    memory: str = ""
    memory_limit: str = ""
    gpus: int = 0
    gpu_type: str = "nvidia.com/gpu"
    image: str = ""
    node_selector: Mapping[str, str] = field(default_factory=dict)
    tolerations: tuple[Toleration, ...] = ()
    secrets: tuple[Secret, ...] = ()
    volumes: tuple[Volume, ...] = ()

    def with_more(self, other: Resources) -> Resources:
        """Merges another's resources into these: scalars are overridden, collections are extended."""
        defaults = Resources()
        return Resources(**{f.name: _joined(f.name, self, other, defaults) for f in fields(self)})


def _joined(name: str, one: Resources, other: Resources, defaults: Resources) -> Any:
    first, second = getattr(one, name), getattr(other, name)
    if isinstance(first, tuple):
        return first + second
    if isinstance(first, Mapping):
        return {**first, **second}
    return first if second == getattr(defaults, name) else second


def rebuilt(pipeline: GraphComponent, chosen: Iterable[str]) -> GraphComponent:
    """Builds a pipeline again with the chosen profiles of its `resources` and of its sub-pipelines', at any depth.

    Raises:
        UserError: Neither the pipeline nor a sub-pipeline has such a profile.
    """
    chosen = list(chosen)
    # A single component has no profiles.
    if not chosen or not isinstance(pipeline, GraphComponent):
        _require_profiles(pipeline.name, chosen, {})
        return pipeline
    known: dict[str, Tasks] = {}
    built = _with_profiles(pipeline, chosen, known)
    _require_profiles(pipeline.name, chosen, known)
    return built


def _with_profiles(pipeline: GraphComponent, chosen: list[str], known: dict[str, Tasks]) -> GraphComponent:
    """Builds a pipeline with those of the chosen profiles that it has; adds all its profiles to `known`."""
    function = pipeline.pipeline_func
    own: Mapping[str, Tasks] = getattr(function, "profiles", {})
    known.update(own)
    mine = [name for name in chosen if name in own]
    function = function.with_profiles(mine) if mine else function
    # kfp cannot build a pipeline inside another, so sub-pipelines come first; a trial build finds out which are called.
    called: list[GraphComponent] = []
    with _calling(lambda inner: _noted(inner, called)):
        _built(pipeline, function)
    rebuilt = {
        id(inner): _with_profiles(inner, chosen, known) for inner in {id(each): each for each in called}.values()
    }
    with _calling(lambda inner: rebuilt[id(inner)]):
        return _built(pipeline, function)


def _built(pipeline: GraphComponent, function: Callable) -> GraphComponent:
    info = pipeline.pipeline_spec.pipeline_info
    return dsl.pipeline(
        name=pipeline.name,
        description=pipeline.description,
        display_name=info.display_name or None,
        pipeline_config=pipeline.pipeline_config,
    )(function)


@contextmanager
def _calling(instead: Callable[[GraphComponent], GraphComponent]) -> Iterator[None]:
    """While the block builds a pipeline, replaces each sub-pipeline that it calls by `instead(sub_pipeline)`."""
    call = GraphComponent.__call__

    def call_instead(self: GraphComponent, *arguments: Any, **named: Any) -> Any:
        return call(instead(self), *arguments, **named)

    GraphComponent.__call__ = call_instead
    try:
        yield
    finally:
        GraphComponent.__call__ = call


def _noted(inner: GraphComponent, called: list[GraphComponent]) -> GraphComponent:
    called.append(inner)
    return inner


def _require_profiles(pipeline: str, chosen: Iterable[str], known: Iterable[str]) -> None:
    for name in chosen:
        if name not in known:
            raise UserError(
                f"neither the pipeline {pipeline} nor its sub-pipelines have a profile {name!r}",
                fix=f"the profiles are: {', '.join(known) or 'none; declare them with @resources(tasks, profiles)'}",
            )


def resources(tasks: Tasks, profiles: Mapping[str, Tasks] = {}) -> Callable[[Callable], Callable]:
    """Declares the resources of a pipeline's own tasks; put it below `@dsl.pipeline`. Sub-pipelines have their own.

    Args:
        tasks: The resources of each task, by the task's name in the compiled pipeline.
        profiles: By name, the resources that `--profile NAME` adds when the pipeline is compiled.

    Raises:
        UserError: A name is not a task of the pipeline.
    """

    def decorate(function: Callable) -> Callable:
        def with_profiles(chosen: Iterable[str]) -> Callable:
            @functools.wraps(function)
            def build(*arguments: Any, **named: Any) -> Any:
                outputs = function(*arguments, **named)
                for needed in (tasks, *(profiles[name] for name in chosen)):
                    _require_tasks(needed, Pipeline.get_default_pipeline().tasks)
                for name, task in Pipeline.get_default_pipeline().tasks.items():
                    _apply(task, _needs(name, [tasks, *(profiles[profile] for profile in chosen)]))
                return outputs

            build.profiles = profiles  # type: ignore[attr-defined]
            build.with_profiles = with_profiles  # type: ignore[attr-defined]
            return build

        return with_profiles(())

    return decorate


def _needs(name: str, sources: list[Tasks]) -> Resources:
    return functools.reduce(Resources.with_more, (source[name] for source in sources if name in source), Resources())


def _require_tasks(needed: Tasks, tasks: Mapping[str, dsl.PipelineTask]) -> None:
    for name in needed:
        if name not in tasks:
            near = difflib.get_close_matches(name, tasks, n=1)
            raise UserError(
                f"resources are declared for {name!r}, which is not a task of the pipeline",
                fix=f"did you mean {near[0]!r}?" if near else f"its tasks are: {', '.join(tasks)}",
            )


def _apply(task: dsl.PipelineTask, needs: Resources) -> None:
    _set_quantities(task, needs)
    if needs.image:
        task.set_container_image(needs.image)
    if needs.gpus:
        task.set_accelerator_type(needs.gpu_type).set_accelerator_limit(needs.gpus)
    _place(task, needs)
    _mount(task, needs)


def _set_quantities(task: dsl.PipelineTask, needs: Resources) -> None:
    """Sets CPUs and memory, without kfp's setters: each looks for its caller's name in all modules that are loaded."""
    quantities = {
        "cpu_request": needs.cpu,
        "cpu_limit": needs.cpu_limit,
        "memory_request": needs.memory,
        "memory_limit": needs.memory_limit or needs.memory,
    }
    given = {name: value for name, value in quantities.items() if value}
    if not given:
        return
    if task.container_spec is None:
        raise UserError(
            f"resources are declared for {task.name!r}, which runs no container of its own",
            fix="declare the resources of a sub-pipeline's tasks with `@resources` on the sub-pipeline",
        )
    for name, value in given.items():
        _require_quantity(task.name, name, value)
    task.container_spec.resources = replace(task.container_spec.resources or structures.ResourceSpec(), **given)


def _require_quantity(task: str, name: str, value: str) -> None:
    if not (_CPUS if name.startswith("cpu") else _BYTES).fullmatch(value):
        example = "'500m' or '2'" if name.startswith("cpu") else "'512Mi' or '4Gi'"
        raise UserError(f"the {name} of {task!r} is {value!r}, which is not a quantity", fix=f"write it like {example}")


def _place(task: dsl.PipelineTask, needs: Resources) -> None:
    for label, value in needs.node_selector.items():
        kubernetes.add_node_selector(task, label, value)
    for taint in needs.tolerations:
        operator = "Equal" if taint.value else "Exists"
        kubernetes.add_toleration(task, taint.key, operator, taint.value or None, taint.effect)


def _mount(task: dsl.PipelineTask, needs: Resources) -> None:
    for secret in needs.secrets:
        if secret.variables:
            kubernetes.use_secret_as_env(task, secret.name, dict(secret.variables))
        if secret.path:
            kubernetes.use_secret_as_volume(task, secret.name, secret.path)
    for volume in needs.volumes:
        kubernetes.mount_pvc(task, volume.claim, volume.path)
