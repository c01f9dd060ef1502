"""Gives what people say about a model to the tasks that write a model card: `model_card.yaml` and the docstring."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from components.contract.errors import UserError
from taxiway.language.spec import Pipeline
from taxiway.language.values import Json

FILE = "model_card.yaml"
ROLE = "ModelCard"
"""The role of a parameter with the settings of a card."""


def filled(pipeline: Pipeline, folder: Path | None) -> Pipeline:
    """The pipeline with the settings of its card, in every task that takes them and has none.

    Args:
        pipeline: A compiled pipeline.
        folder: The folder of its file, if it has one.

    Raises:
        UserError: The file there is not YAML, or no map.
    """
    changed = copy.deepcopy(pipeline.spec)
    empty = list(_without(changed))
    if not empty:
        return pipeline
    settings = {"overview": changed["pipelineInfo"].get("description", ""), **_read(folder)}
    for task, parameter in empty:
        inputs = task.setdefault("inputs", {}).setdefault("parameters", {})
        inputs[parameter] = {"runtimeValue": {"constant": settings}}
    return replace(pipeline, spec=changed)


def _without(spec: Json) -> Iterator[tuple[Json, str]]:
    """The tasks whose component takes settings of a card, without any, and the parameter."""
    components = spec.get("components", {})
    for each in (spec["root"], *components.values()):
        for task in each.get("dag", {}).get("tasks", {}).values():
            taken = components.get(task["componentRef"]["name"], {}).get("inputDefinitions", {}).get("parameters", {})
            for name, definition in taken.items():
                is_card = definition.get("description", "").startswith(f"[{ROLE}]")
                if is_card and name not in task.get("inputs", {}).get("parameters", {}):
                    yield task, name


def _read(folder: Path | None) -> dict[str, Any]:
    file = folder / FILE if folder else None
    if file is None or not file.is_file():
        return {}
    try:
        found = yaml.safe_load(file.read_text("utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{file} is not YAML: {error}", fix="correct it, or remove it") from error
    if not isinstance(found, dict):
        raise UserError(f"{file} is no map of settings", fix="write lines such as `licence: Apache-2.0`")
    return found
