"""The names of splits in a pipeline: which splits are made, and which are used."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from components.contract.artifacts import Artifact, Examples
from taxiway.checks import known
from taxiway.checks.known import KnownLeaf
from taxiway.checks.roles import Parameter
from taxiway.language import spec
from taxiway.language.spec import Json, Pipeline

_ANY = {Examples.schema_title, Artifact.schema_title}


def known_splits(pipeline: Pipeline, parameters: Mapping[str, Any]) -> set[str] | None:
    """The splits made by the only task that produces examples; None if there may be others."""
    makers = [leaf for leaf in known.leaves(pipeline, parameters) if _brings_examples(leaf.component)]
    return _made(makers[0]) if len(makers) == 1 else None


def unknown(parameters: Iterable[Parameter], task: Json, splits: set[str] | None) -> Iterator[str]:
    """The splits that a task's parameters name, but no task makes."""
    inputs = task.get("inputs", {}).get("artifacts", {})
    for each in parameters:
        if splits is None or each.role != "Splits" or each.detail not in inputs:
            continue
        for name in each.value or []:
            if name not in splits:
                yield f"{each.name} names {name!r}; the splits are {', '.join(sorted(splits))}"


def _made(maker: KnownLeaf) -> set[str] | None:
    """The names from the settings that make splits: from the one that was set, else from the default."""
    settings, defaults = _makers(maker.component), spec.defaults(maker.component)
    values = [maker.parameters.get(name) for name in settings]
    if not values or None in values:
        return None
    chosen = [value for name, value in zip(settings, values, strict=True) if value != defaults.get(name)]
    found = [set(value) for value in chosen or values if value]
    return found[0] if len(found) == 1 else None


def _makers(component: Json) -> list[str]:
    definitions = component.get("inputDefinitions", {}).get("parameters", {})
    return [name for name, definition in definitions.items() if spec.mark(definition)[0] == "NewSplits"]


def _brings_examples(component: Json) -> bool:
    """Whether a task may add splits: it makes them, or its output may be examples without examples as input."""
    inputs = component.get("inputDefinitions", {}).get("artifacts", {}).values()
    if _makers(component):
        return True
    for output in component.get("outputDefinitions", {}).get("artifacts", {}).values():
        kind = spec.mark(output)[0]
        if not kind and output["artifactType"].get("schemaTitle") in _ANY:
            return True
        if kind == Examples.__name__ and not any(spec.mark(each)[0] == kind for each in inputs):
            return True
    return False
