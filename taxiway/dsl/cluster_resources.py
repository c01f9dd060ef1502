"""What a pipeline's tasks need of a cluster, said in one place and written into the compiled pipeline.

    @dsl.pipeline(name="taxi")
    @resources({"trainer": Resources(cpu="2", memory="4Gi")}, profiles={"gpu": {"trainer": Resources(gpus=1)}})
    def taxi(): ...

The local runner has no use for any of it: a process takes what the machine has.
"""

from __future__ import annotations

import difflib
import functools
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from typing import Any

from kfp import dsl, kubernetes
from kfp.dsl.graph_component import GraphComponent
from kfp.dsl.pipeline_context import Pipeline

from components.contract.errors import UserError

Tasks = Mapping[str, "Resources"]


@dataclass(frozen=True)
class Volume:
    """A PersistentVolumeClaim of the namespace that the pipeline runs in, and where the task sees it."""

    claim: str
    path: str


@dataclass(frozen=True)
class Secret:
    """A Secret of that namespace, as environment variables and as files.

    Attributes:
        name: Its name.
        variables: Environment variables by the Secret's keys.
        path: The folder that gets a file for each key; none where empty.
    """

    name: str
    variables: Mapping[str, str] = field(default_factory=dict)
    path: str = ""


@dataclass(frozen=True)
class Toleration:
    """The taint of a node that the task puts up with; without a value any."""

    key: str
    value: str = ""
    effect: str = "NoSchedule"


@dataclass(frozen=True)
class Resources:
    """What one task needs. Quantities are Kubernetes' own: `500m`, `2`, `4Gi`.

    Attributes:
        cpu: Processors that the node sets aside.
        cpu_limit: The most that it may use; without one what is free.
        memory: Memory that the node sets aside.
        memory_limit: The most that it may use before it is killed; `memory` where empty.
        gpus: How many GPUs.
        gpu_type: The nodes' name for them.
        image: An image in place of the stage's own.
        node_selector: Labels that the node has to have.
        tolerations: Taints that the node may have.
        secrets: Secrets as environment variables or files.
        volumes: Claims and where they are mounted.
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
        """These and another's: single values are replaced where the other has them, collections grow."""
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
    """A pipeline once more, with profiles of its `resources` and of those of its sub-pipelines, however deep.

    Raises:
        UserError: None of them has such a profile.
    """
    chosen = list(chosen)
    # A component alone has none.
    if not chosen or not isinstance(pipeline, GraphComponent):
        _require_profiles(pipeline.name, chosen, {})
        return pipeline
    known: dict[str, Tasks] = {}
    built = _with_profiles(pipeline, chosen, known)
    _require_profiles(pipeline.name, chosen, known)
    return built


def _with_profiles(pipeline: GraphComponent, chosen: list[str], known: dict[str, Tasks]) -> GraphComponent:
    """A pipeline built again with those of the chosen profiles that it has; notes all that there are."""
    function = pipeline.pipeline_func
    own: Mapping[str, Tasks] = getattr(function, "profiles", {})
    known.update(own)
    mine = [name for name in chosen if name in own]
    function = function.with_profiles(mine) if mine else function
    # kfp builds no pipeline inside of another: first what it calls, which only a build can tell.
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
    """Lets a pipeline that is built call, of each sub-pipeline, what `instead` gives for it."""
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
                f"the pipeline {pipeline} has no profile {name!r}, nor has a sub-pipeline of it",
                fix=f"its profiles are: {', '.join(known) or 'none; @resources(tasks, profiles) declares them'}",
            )


def resources(tasks: Tasks, profiles: Mapping[str, Tasks] = {}) -> Callable[[Callable], Callable]:
    """Decorates a pipeline's function, below `@dsl.pipeline`: its own tasks; a sub-pipeline has resources of its own.

    Args:
        tasks: What each task needs, by the task's name in the compiled pipeline.
        profiles: By name, what is added when the pipeline is compiled with `--profile NAME`.

    Raises:
        UserError: A name is no task of the pipeline.
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
                f"resources are named for {name!r}, which is no task of the pipeline",
                fix=f"did you mean {near[0]!r}?" if near else f"its tasks are: {', '.join(tasks)}",
            )


def _apply(task: dsl.PipelineTask, needs: Resources) -> None:
    limit = needs.memory_limit or needs.memory
    settings: list[tuple[Callable[[str], Any], str]] = [
        (task.set_cpu_request, needs.cpu),
        (task.set_cpu_limit, needs.cpu_limit),
        (task.set_memory_request, needs.memory),
        (task.set_memory_limit, limit),
        (task.set_container_image, needs.image),
    ]
    for setting, value in settings:
        if value:
            setting(value)
    if needs.gpus:
        task.set_accelerator_type(needs.gpu_type).set_accelerator_limit(needs.gpus)
    _place(task, needs)
    _mount(task, needs)


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
