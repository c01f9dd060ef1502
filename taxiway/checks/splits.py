"""The names of splits in a pipeline: which splits are made, and which are used."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from components.contract.artifacts import Artifact, Examples
from taxiway.checks import known
from taxiway.checks.known import KnownLeaf
from taxiway.checks.roles import Parameter
from taxiway.language.components import Component
from taxiway.language.spec import Pipeline
from taxiway.language.tasks import Task

_ANY = {Examples.schema_title, Artifact.schema_title}


def known_splits(pipeline: Pipeline, parameters: Mapping[str, Any]) -> set[str] | None:
    """The splits made by the only task that produces examples; None if there may be others."""
    makers = [leaf for leaf in known.leaves(pipeline, parameters) if _brings_examples(leaf.component)]
    return _made(makers[0]) if len(makers) == 1 else None


def unknown(parameters: Iterable[Parameter], task: Task, splits: set[str] | None) -> Iterator[str]:
    """The splits that a task's parameters name, but no task makes."""
    for each in parameters:
        if splits is None or each.role != "Splits" or each.detail not in task.artifacts:
            continue
        for name in each.value or []:
            if name not in splits:
                yield f"{each.name} names {name!r}; the splits are {', '.join(sorted(splits))}"


def _made(maker: KnownLeaf) -> set[str] | None:
    """The names from the settings that make splits: from the one that was set, else from the default."""
    settings, defaults = _makers(maker.component), maker.component.defaults
    values = [maker.parameters.get(name) for name in settings]
    if not values or None in values:
        return None
    chosen = [value for name, value in zip(settings, values, strict=True) if value != defaults.get(name)]
    found = [set(value) for value in chosen or values if value]
    return found[0] if len(found) == 1 else None


def _makers(component: Component) -> list[str]:
    return [name for name, parameter in component.inputs.parameters.items() if parameter.role == "NewSplits"]


def _brings_examples(component: Component) -> bool:
    """Whether a task may add splits: it makes them, or its output may be examples without examples as input."""
    if _makers(component):
        return True
    for output in component.outputs.artifacts.values():
        kind = output.tfx_type
        if not kind and output.schema.get("schemaTitle") in _ANY:
            return True
        if kind == Examples.__name__ and not any(each.tfx_type == kind for each in component.inputs.artifacts.values()):
            return True
    return False
