"""Finds, before anything runs, what would fail later: modules, artifact types, splits, data, settings of evaluations.

Loads no TensorFlow.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from components.contract.artifacts import Artifact, Examples
from components.contract.errors import UserError
from components.infra_validator.servers import platforms
from components.user_code import custom_ops, eval_configs, user_modules
from components.user_code.eval_configs import Fault
from components.versioning import data_versions
from taxiway.checks import known, refusals
from taxiway.checks.known_names import KnownNames
from taxiway.fusion import members
from taxiway.language import placeholders, spec
from taxiway.language.scope import NotYetKnownError, Scope
from taxiway.language.spec import Json, Leaf, Pipeline

_SPLIT_PARAMETERS = ("splits", "analyze_splits", "transform_splits", "train_splits", "eval_splits")


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
        self._splits = _known_splits(pipeline, parameters)
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
        loop = task.get("parameterIterator", {}).get("items", {}).get("raw", "")
        condition = task.get("triggerPolicy", {}).get("condition", "")
        own = scope.with_defaults(spec.defaults(component))
        yield from _refused(name, [spec.constants(task), loop, condition], scope)
        yield from _refused(name, [spec.defaults(component), settings, executor.get("importer", {})], own)

    def _leaf(self, leaf: Leaf, given: Json) -> Iterator[str]:
        definitions = leaf.component.get("inputDefinitions", {}).get("parameters", {})
        self._take_names(leaf, definitions, given)
        for name, value in given.items():
            role, detail = spec.mark(definitions.get(name, {}))
            try:
                if role == "Module" and value:
                    yield from _module(leaf.name, value, detail)
                elif role == "Data" and not {"data_repo", "allow_unversioned"} & (definitions.keys() - given.keys()):
                    _data(value, given, spec.allowing_unversioned(self._pipeline, leaf.task))
                elif role == "Serving":
                    platforms.parse(value)
                elif role == "Operations":
                    for file in custom_ops.files(value):
                        if not file.is_file():
                            yield f"{leaf.name}: {name} names {file}, which is not there"
                elif role == "EvalConfig":
                    yield from (f"{leaf.name}: {fault}" for fault in self._eval_config(value))
                elif role == "File" and value and not Path(value).is_file():
                    yield f"{leaf.name}: {name} names {value}, which is not there"
            except UserError as error:
                yield f"{leaf.name}: {error}"
        yield from self._unknown_splits(leaf, given)

    def _take_names(self, leaf: Leaf, definitions: Json, given: Json) -> None:
        if not _stage(self._pipeline, leaf.component):
            self._names.add_unknown()
        for name, definition in definitions.items():
            role = spec.mark(definition)[0]
            if role in ("Data", "Module") and name not in given:
                self._names.add_unknown()
            elif role == "Data":
                self._names.add_data(given[name], given)
            elif role == "Module" and given[name]:
                self._names.add_module(given[name])

    def _eval_config(self, settings: Json) -> list[Fault]:
        faults = eval_configs.faults(settings)
        return faults or [*eval_configs.metric_faults(settings), *self._names.unknown(settings)]

    def _unknown_splits(self, leaf: Leaf, given: Json) -> Iterator[str]:
        if self._splits is None or "Examples" not in _input_marks(leaf.component):
            return
        for parameter in _SPLIT_PARAMETERS:
            for split in given.get(parameter, []):
                if split not in self._splits:
                    yield f"{leaf.name}: {parameter} names {split!r}; the splits are {', '.join(sorted(self._splits))}"

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


def _known_splits(pipeline: Pipeline, parameters: Json) -> set[str] | None:
    """The splits that the pipeline's only example_gen makes; None where there may be others, or it cannot be told."""
    makers = [leaf for leaf in known.leaves(pipeline, parameters) if _brings_examples(pipeline, leaf.component)]
    if len(makers) != 1 or _stage(pipeline, makers[0].component) != "example_gen":
        return None
    given = makers[0].parameters
    if {"splits", "split_patterns", "split_bounds"} - given.keys():
        return None
    return set(given["split_patterns"] or given["split_bounds"] or given["splits"])


def _brings_examples(pipeline: Pipeline, component: Json) -> bool:
    """Whether a task may bring examples into the pipeline: example_gen, or what is no stage, such as an importer."""
    stage = _stage(pipeline, component)
    outputs = component.get("outputDefinitions", {}).get("artifacts", {}).values()
    titles = {output["artifactType"].get("schemaTitle") for output in outputs}
    return stage == "example_gen" or (not stage and bool(titles & {Examples.schema_title, Artifact.schema_title}))


def _stage(pipeline: Pipeline, component: Json) -> str:
    return spec.stage_name(pipeline.executor(component))


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


def _input_marks(component: Json) -> set[str]:
    return {spec.mark(d)[0] for d in component.get("inputDefinitions", {}).get("artifacts", {}).values()}


def _module(task: str, module: str, function: str) -> Iterator[str]:
    user_modules.files(module)
    defined = user_modules.functions(module)
    if function not in defined:
        near = difflib.get_close_matches(function, defined, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        yield f"{task}: {user_modules.source_file(module)} defines no {function}{hint}"


def _data(path: str, given: Json, allow: str) -> None:
    allowed = given.get("allow_unversioned", False)
    data_versions.describe(path, repo=given.get("data_repo", ""), allow_unversioned=allowed, allow=allow)
