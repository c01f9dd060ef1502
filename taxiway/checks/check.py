"""Finds, before anything runs, what would fail later: modules, artifact types, splits, data, settings of evaluations.

Loads no TensorFlow.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from components.contract.errors import UserError
from taxiway.checks import known, refusals, roles, splits
from taxiway.checks.known_names import KnownNames
from taxiway.fusion import members
from taxiway.language import placeholders, spec
from taxiway.language.components import Component, Dag, DagComponent, ExecutorComponent
from taxiway.language.scope import NotYetKnownError, Scope
from taxiway.language.spec import Leaf, Pipeline
from taxiway.language.tasks import FromParent, Task
from taxiway.language.values import Json


def findings(pipeline: Pipeline, parameters: Mapping[str, Any], *, has_images: bool = False) -> list[str]:
    """All problems of a pipeline and its parameters.

    Args:
        pipeline: A compiled pipeline.
        parameters: Its parameters.
        has_images: Whether its containers will run in their images.

    Raises:
        UserError: A pipeline parameter is unknown, missing or of the wrong type.
    """
    values = spec.pipeline_parameters(pipeline, parameters)
    refused = refusals.refusals(pipeline, values, has_images=has_images)
    single = members.unfused(pipeline)
    return [*refused, *_Check(single, values).dag(single.root, values, {})]


class _Check:
    """Follows values and types through the pipeline's DAGs; values that only exist during a run stay unknown."""

    def __init__(self, pipeline: Pipeline, parameters: Json) -> None:
        self._pipeline = pipeline
        self._splits = splits.known_splits(pipeline, parameters)
        self._names = KnownNames()

    def dag(self, component: DagComponent, values: Json, types: dict[str, str]) -> Iterator[str]:
        """The problems in a DAG, given the known values of its parameters and types of its artifacts."""
        made, outer = dict[str, dict[str, str]](), known.dag_parameters(component, values)
        for name, task in component.dag.ordered():
            inner = self._pipeline.component(task)
            scope, given = known.scope(task, outer), known.as_written(inner, task, outer)
            taken = _types(task, types, made)
            made[name] = self._output_types(inner)
            yield from _mismatches(name, inner, taken)
            yield from self._placeholders(name, task, inner, scope)
            if wrong := list(_wrong_values(name, inner, given, known.items(task, given, scope))):
                yield from wrong
                continue
            given = inner.typed(given)
            if isinstance(inner, DagComponent):
                yield from self.dag(inner, spec.inherited(task, outer) | given, taken)
            else:
                yield from self._leaf(Leaf(name, task, inner), given)

    def _placeholders(
        self, name: str, task: Task, component: DagComponent | ExecutorComponent, scope: Scope
    ) -> Iterator[str]:
        """Placeholders that no run can resolve."""
        own = scope.with_defaults(component.defaults)
        yield from _refused(name, [task.constants, task.loop.written if task.loop else "", task.condition], scope)
        yield from _refused(name, [component.defaults, *self._settings(component)], own)

    def _settings(self, component: DagComponent | ExecutorComponent) -> list[Json]:
        if isinstance(component, DagComponent):
            return []
        executor = self._pipeline.executor(component)
        return [executor.container.settings, executor.importer.written if executor.importer else {}]

    def _leaf(self, leaf: Leaf, given: Json) -> Iterator[str]:
        parameters = roles.of_task(self._pipeline, leaf.task, leaf.component, given)
        if not _is_described(leaf.component):
            self._names.add_unknown()
        for each in parameters:
            roles.learn(self._names, each)
        for each in parameters:
            yield from (f"{leaf.name}: {fault}" for fault in roles.check(each, self._names))
        yield from (f"{leaf.name}: {fault}" for fault in splits.unknown(parameters, leaf.task, self._splits))

    def _output_types(self, component: Component) -> dict[str, str]:
        """The TFX type of each output; an output of a DAG has the type of the inner task that produces it."""
        found = {name: artifact.tfx_type for name, artifact in component.outputs.artifacts.items()}
        return found | self._inner_types(component.dag) if isinstance(component, DagComponent) else found

    def _inner_types(self, dag: Dag) -> dict[str, str]:
        found = {}
        for name, choices in dag.artifacts.items():
            inner = self._pipeline.component(dag.tasks[choices[0].task])
            found[name] = self._output_types(inner).get(choices[0].output, "")
        return found


def _is_described(component: Component) -> bool:
    """Whether a component's marks describe all its inputs and outputs, so that it adds no unknown names."""
    outputs = [each.tfx_type for each in component.outputs.artifacts.values()]
    inputs = [each.tfx_type for each in component.inputs.artifacts.values()]
    return all(outputs) and any((*outputs, *inputs, *(each.role for each in component.inputs.parameters.values())))


def _refused(task: str, templates: list[Any], lookup: Callable[[str], Any]) -> Iterator[str]:
    for body in dict.fromkeys(placeholders.bodies_in(templates)):
        try:
            lookup(body)
        except NotYetKnownError:
            continue
        except UserError as error:
            yield f"{task}: {error}"


def _types(task: Task, outer: Mapping[str, str], made: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    return {
        name: outer.get(source.name, "") if isinstance(source, FromParent) else made[source.task].get(source.output, "")
        for name, source in task.artifacts.items()
    }


def _mismatches(task: str, component: Component, taken: Mapping[str, str]) -> Iterator[str]:
    for name, artifact in component.inputs.artifacts.items():
        wanted, given = artifact.tfx_type, taken.get(name, "")
        if wanted and given and wanted != given:
            yield f"{task}: the input {name!r} takes {wanted}, and is given {given}"


def _wrong_values(name: str, component: Component, given: Json, items: list[Json]) -> Iterator[str]:
    """Values, and items of a loop, that the component does not accept."""
    for each in (given, *items):
        try:
            component.typed(each)
        except UserError as error:
            yield f"{name}: {error}"
