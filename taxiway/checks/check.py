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
from taxiway.language.loops import Loop
from taxiway.language.scope import NotYetKnownError, Scope
from taxiway.language.spec import Json, Leaf, Pipeline


def findings(pipeline: Pipeline, parameters: Mapping[str, Any], *, has_images: bool = False) -> list[str]:
    """Everything that is wrong with a pipeline and its parameters; empty where all is well.

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
    """Follows values and types through the pipeline's DAGs; what only a run can know stays unknown."""

    def __init__(self, pipeline: Pipeline, parameters: Json) -> None:
        self._pipeline = pipeline
        self._splits = splits.known_splits(pipeline, parameters)
        self._names = KnownNames()

    def dag(self, component: Json, values: Json, types: dict[str, str]) -> Iterator[str]:
        """What is wrong in a DAG, given the known values of its parameters and types of its artifacts."""
        dag, made, outer = component["dag"], dict[str, dict[str, str]](), known.dag_parameters(component, values)
        for name in spec.ordered(dag):
            task = dag["tasks"][name]
            inner = self._pipeline.component(task)
            scope, given = known.scope(task, outer), known.as_written(inner, task, outer)
            taken = _types(task, types, made)
            made[name] = self._output_types(inner)
            yield from _mismatches(name, inner, taken)
            yield from self._placeholders(name, task, inner, scope)
            if wrong := list(_wrong_values(name, inner, given, known.items(task, given, scope))):
                yield from wrong
                continue
            given = spec.typed(inner, given)
            if "dag" in inner:
                yield from self.dag(inner, spec.inherited(task, outer) | given, taken)
            else:
                yield from self._leaf(Leaf(name, task, inner, dag), given)

    def _placeholders(self, name: str, task: Json, component: Json, scope: Scope) -> Iterator[str]:
        """Placeholders that no run can fill."""
        executor = {} if "dag" in component else self._pipeline.executor(component)
        container = executor.get("container", {})
        settings = [container.get(setting, "") for setting in spec.SETTINGS]
        loop = Loop.of(task)
        condition = task.get("triggerPolicy", {}).get("condition", "")
        own = scope.with_defaults(spec.defaults(component))
        yield from _refused(name, [spec.constants(task), loop.written if loop else "", condition], scope)
        yield from _refused(name, [spec.defaults(component), settings, executor.get("importer", {})], own)

    def _leaf(self, leaf: Leaf, given: Json) -> Iterator[str]:
        parameters = roles.of_task(self._pipeline, leaf.task, leaf.component, given)
        if not _is_described(leaf.component):
            self._names.add_unknown()
        for each in parameters:
            roles.learn(self._names, each)
        for each in parameters:
            yield from (f"{leaf.name}: {fault}" for fault in roles.check(each, self._names))
        yield from (f"{leaf.name}: {fault}" for fault in splits.unknown(parameters, leaf.task, self._splits))

    def _output_types(self, component: Json) -> dict[str, str]:
        """The TFX type of each output; of a DAG's, that of the task inside which makes it."""
        found = {
            name: spec.mark(definition)[0]
            for name, definition in component.get("outputDefinitions", {}).get("artifacts", {}).items()
        }
        for name, output in component.get("dag", {}).get("outputs", {}).get("artifacts", {}).items():
            chosen = output["artifactSelectors"][0]
            inner = self._pipeline.component(component["dag"]["tasks"][chosen["producerSubtask"]])
            found[name] = self._output_types(inner).get(chosen["outputArtifactKey"], "")
        return found


def _is_described(component: Json) -> bool:
    """Whether marks say what a component takes and gives, so that it brings nothing that is not told."""
    outputs = component.get("outputDefinitions", {}).get("artifacts", {}).values()
    inputs = component.get("inputDefinitions", {})
    ports = (*outputs, *inputs.get("artifacts", {}).values(), *inputs.get("parameters", {}).values())
    return all(spec.mark(port)[0] for port in outputs) and any(spec.mark(port)[0] for port in ports)


def _refused(task: str, templates: list[Any], lookup: Callable[[str], Any]) -> Iterator[str]:
    for body in dict.fromkeys(placeholders.bodies_in(templates)):
        try:
            lookup(body)
        except NotYetKnownError:
            continue
        except UserError as error:
            yield f"{task}: {error}"


def _types(task: Json, outer: Mapping[str, str], made: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    found = {}
    for name, source in task.get("inputs", {}).get("artifacts", {}).items():
        if "componentInputArtifact" in source:
            found[name] = outer.get(source["componentInputArtifact"], "")
        else:
            wanted = source["taskOutputArtifact"]
            found[name] = made[wanted["producerTask"]].get(wanted["outputArtifactKey"], "")
    return found


def _mismatches(task: str, component: Json, taken: Mapping[str, str]) -> Iterator[str]:
    for name, definition in component.get("inputDefinitions", {}).get("artifacts", {}).items():
        wanted, given = spec.mark(definition)[0], taken.get(name, "")
        if wanted and given and wanted != given:
            yield f"{task}: the input {name!r} takes {wanted}, and is given {given}"


def _wrong_values(name: str, component: Json, given: Json, items: list[Json]) -> Iterator[str]:
    """Values, and items that a loop gives one by one, that the component does not take."""
    for each in (given, *items):
        try:
            spec.typed(component, each)
        except UserError as error:
            yield f"{name}: {error}"
