"""Finds, before anything runs, what would fail later: modules, artifact types, splits, data. Loads no TensorFlow."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from components import data_versions, serving_platforms, user_modules
from components.artifacts import Artifact, Examples
from components.errors import UserError
from taxiway import spec
from taxiway.spec import Json, Leaf, Pipeline

_SPLIT_PARAMETERS = ("splits", "analyze_splits", "transform_splits", "train_splits", "eval_splits")


def findings(pipeline: Pipeline, parameters: Mapping[str, Any]) -> list[str]:
    """Everything that is wrong with a pipeline and its parameters; empty where all is well.

    Raises:
        UserError: A pipeline parameter is unknown, missing or of the wrong type.
    """
    values = spec.pipeline_parameters(pipeline, parameters)
    return list(_Check(pipeline).dag(pipeline.root, values, {}))


class _Check:
    """Follows values and types through the pipeline's DAGs; what only a run can know stays unknown."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline
        self._splits = _known_splits(pipeline)

    def dag(self, component: Json, values: Json, types: dict[str, str]) -> Iterator[str]:
        """What is wrong in a DAG, given the known values of its parameters and types of its artifacts."""
        dag, made = component["dag"], dict[str, dict[str, str]]()
        for name in spec.ordered(dag):
            task = dag["tasks"][name]
            inner = self._pipeline.component(task)
            given = spec.with_defaults(inner, spec.settled(task, values))
            taken = _types(task, types, made)
            made[name] = self._output_types(inner)
            yield from _mismatches(name, inner, taken)
            if "dag" in inner:
                yield from self.dag(inner, given, taken)
            else:
                yield from self._leaf(Leaf(name, task, inner, dag), given)

    def _leaf(self, leaf: Leaf, given: Json) -> Iterator[str]:
        definitions = leaf.component.get("inputDefinitions", {}).get("parameters", {})
        for name, value in given.items():
            role, detail = spec.mark(definitions.get(name, {}))
            try:
                if role == "Module" and value:
                    yield from _module(leaf.name, value, detail)
                elif role == "Data":
                    _data(value, given, spec.allowing_unversioned(self._pipeline, leaf.task))
                elif role == "Serving":
                    serving_platforms.parse(value)
                elif role == "File" and value and not Path(value).is_file():
                    yield f"{leaf.name}: {name} names {value}, which is not there"
            except UserError as error:
                yield f"{leaf.name}: {error}"
        yield from self._unknown_splits(leaf, given)

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


def _known_splits(pipeline: Pipeline) -> set[str] | None:
    """The splits that the pipeline's only example_gen makes; None where there may be others, or it cannot be told."""
    makers = [leaf for leaf in spec.leaves(pipeline) if _brings_examples(pipeline, leaf)]
    if len(makers) != 1 or _stage(pipeline, makers[0]) != "example_gen":
        return None
    settled = spec.settled(makers[0].task, {})
    given = spec.with_defaults(makers[0].component, settled)
    unknown = set(makers[0].task.get("inputs", {}).get("parameters", {})) - set(settled)
    if unknown & {"splits", "split_patterns", "split_bounds"}:
        return None
    return set(given["split_patterns"] or given["split_bounds"] or given["splits"])


def _brings_examples(pipeline: Pipeline, leaf: Leaf) -> bool:
    """Whether a task may bring examples into the pipeline: example_gen, or what is no stage, such as an importer."""
    stage = _stage(pipeline, leaf)
    outputs = leaf.component.get("outputDefinitions", {}).get("artifacts", {}).values()
    titles = {output["artifactType"].get("schemaTitle") for output in outputs}
    return stage == "example_gen" or (not stage and bool(titles & {Examples.schema_title, Artifact.schema_title}))


def _stage(pipeline: Pipeline, leaf: Leaf) -> str:
    return spec.stage_name(pipeline.executor(leaf.component))


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


def _input_marks(component: Json) -> set[str]:
    return {spec.mark(d)[0] for d in component.get("inputDefinitions", {}).get("artifacts", {}).values()}


def _module(task: str, module: str, function: str) -> Iterator[str]:
    defined = user_modules.functions(module)
    if function not in defined:
        near = difflib.get_close_matches(function, defined, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        yield f"{task}: {user_modules.source_file(module)} defines no {function}{hint}"


def _data(path: str, given: Json, allow: str) -> None:
    allowed = given.get("allow_unversioned", False)
    data_versions.describe(path, repo=given.get("data_repo", ""), allow_unversioned=allowed, allow=allow)
