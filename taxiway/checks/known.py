"""What is known about a pipeline's tasks before it runs, given the pipeline's parameters."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from components.contract.errors import UserError
from taxiway.language import spec
from taxiway.language.components import Component, DagComponent, ExecutorComponent
from taxiway.language.placeholders import fill
from taxiway.language.scope import UNKNOWN, NotYetKnownError, Scope
from taxiway.language.spec import Pipeline
from taxiway.language.tasks import Constant, FromParent, ParameterSource, Task
from taxiway.language.values import Json


def scope(task: Task, outer: Mapping[str, Any]) -> Scope:
    """The values of the placeholders in a task's inputs and settings.

    Args:
        task: The task.
        outer: The known parameters of the DAG that contains it.
    """
    others = {name: source for name, source in task.parameters.items() if not isinstance(source, Constant)}
    return Scope({name: _value(source, outer) for name, source in others.items()}, task.constants, outer)


def parameters(component: Component, task: Task, outer: Mapping[str, Any]) -> Json:
    """`as_written`, in the types that the component declares.

    Raises:
        UserError: A value is not of its type.
    """
    return component.typed(as_written(component, task, outer))


def as_written(component: Component, task: Task, outer: Mapping[str, Any]) -> Json:
    """A task's parameters, including defaults, except those that are only known during the run."""
    around = scope(task, outer)
    around = around.with_defaults(component.defaults)
    found = {name: value for name, value in around.parameters.items() if value is not UNKNOWN}
    for name in around.constants:
        # `check` reports values that a run cannot resolve, either.
        with contextlib.suppress(NotYetKnownError, UserError):
            found[name] = around.constant(name)
    return found


def items(task: Task, given: Mapping[str, Any], around: Scope) -> list[Json]:
    """The known items of a loop, one for each iteration.

    Raises:
        UserError: The loop is over a value that is not a list.
    """
    loop = task.loop
    if not loop or loop.over_artifacts or (loop.source and loop.source not in given):
        return []
    listed: list[Any] = []
    with contextlib.suppress(NotYetKnownError):
        listed = loop.values(given, around)
    return [{loop.item: item} for item in listed]


@dataclass(frozen=True)
class KnownLeaf:
    """A container or importer task of a pipeline, with its known values.

    Attributes:
        component: Its component in the compiled pipeline.
        parameters: Its known parameters.
        scope: The values of the placeholders in its settings.
    """

    component: ExecutorComponent
    parameters: Json
    scope: Scope


def leaves(pipeline: Pipeline, parameters: Mapping[str, Any]) -> Iterator[KnownLeaf]:
    """Every container and importer task, given the pipeline's parameters; the tasks of a loop only once.

    Raises:
        UserError: A component contains itself, or tasks wait for each other.
    """
    spec.leaves(pipeline)
    yield from _leaves(pipeline, pipeline.root, pipeline.root.with_defaults(parameters))


def images(pipeline: Pipeline, parameters: Mapping[str, Any]) -> set[str]:
    """The images of all containers, except those that are only known during the run."""
    return {image for leaf in leaves(pipeline, parameters) for image in _image(pipeline, leaf)}


def dag_parameters(component: DagComponent, values: Mapping[str, Any]) -> Json:
    """The parameters of a DAG; `UNKNOWN` if only known during the run."""
    return {**dict.fromkeys(component.inputs.parameters, UNKNOWN), **values}


def _value(source: ParameterSource, outer: Mapping[str, Any]) -> Any:
    if isinstance(source, FromParent) and source.selector is None:
        return outer.get(source.name, UNKNOWN)
    return UNKNOWN


def _leaves(pipeline: Pipeline, component: DagComponent, values: Json) -> Iterator[KnownLeaf]:
    outer = dag_parameters(component, values)
    for task in component.dag.tasks.values():
        inner = pipeline.component(task)
        given = as_written(inner, task, outer)
        with contextlib.suppress(UserError):  # a value of another type is a finding of `check`
            given = inner.typed(given)
        if isinstance(inner, DagComponent):
            yield from _leaves(pipeline, inner, spec.inherited(task, outer) | given)
        else:
            yield KnownLeaf(inner, given, scope(task, outer))


def _image(pipeline: Pipeline, leaf: KnownLeaf) -> Iterator[str]:
    container = pipeline.executor(leaf.component).container
    # `check` reports values that a run cannot resolve, either.
    with contextlib.suppress(NotYetKnownError, UserError):
        yield from [fill(container.image, leaf.scope)] if container.image else []
