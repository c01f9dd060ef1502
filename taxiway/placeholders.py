"""Kubeflow's placeholders, `{{$...}}`, filled in one pass: what a value contains is never filled again.

Source: kfp/dsl/placeholders.py and backend/src/v2/component/launcher_v2.go.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from components.errors import UserError
from components.executor import CHANNEL, local_path

_PLACEHOLDER = re.compile(
    r"\{\{\$(?P<body>(?:[^}'\"]|'[^']*'|\"[^\"]*\"|\}(?!\}))*)\}\}"
    # What the compiler writes for a value until it finds the input that brings it. It does not look into environment
    # variables, conditions, loops, and keys of maps.
    r"|\{\{channel:task=(?P<task>[^;]*);name=(?P<name>[^;]*);type=.*?;\}\}"
)
_PORT = re.compile(
    r"\.(?P<side>inputs|outputs)\.(?P<what>parameters|artifacts)\[['\"](?P<name>[^'\"]+)['\"]\]\.?(?P<field>.*)"
)

OF_A_RUN = frozenset(
    f".{name}"
    for name in (
        "pipeline_job_name",
        "pipeline_job_resource_name",
        "pipeline_job_uuid",
        "pipeline_job_create_time_utc",
        "pipeline_job_schedule_time_utc",
        "pipeline_root",
        "pipeline_task_name",
        "pipeline_task_uuid",
        "workspace_path",
    )
)
"""The bodies that stand for facts about the run or the task."""

Lookup = Callable[[str], Any]


def fill(template: str, lookup: Lookup) -> str:
    """Replaces each placeholder of a template by what `lookup` returns for its body, such as `.outputs.output_file`."""
    return _PLACEHOLDER.sub(lambda match: text(lookup(_body(match))), template)


def filled(value: Any, lookup: Lookup, typed: type | tuple[type, ...] = (list, dict)) -> Any:
    """A JSON value with the placeholders in all its texts replaced.

    Args:
        value: The value; keys of maps are texts, too.
        lookup: Gives the value of a placeholder's body.
        typed: The types of values that stay what they are where the whole text is one placeholder. Others become
            text, as Kubeflow's launcher has it; lists and maps it cannot bring there.
    """
    if isinstance(value, list):
        return [filled(item, lookup, typed) for item in value]
    if isinstance(value, dict):
        return {fill(key, lookup): filled(item, lookup, typed) for key, item in value.items()}
    if not isinstance(value, str):
        return value
    if (body := whole(value)) is not None and isinstance(found := lookup(body), typed):
        return found
    return fill(value, lookup)


def whole(template: str) -> str | None:
    """The body of the placeholder that a template is; None where it is more than that, or none."""
    match = _PLACEHOLDER.fullmatch(template)
    return _body(match) if match else None


def bodies_in(value: Any) -> list[str]:
    """The bodies of the placeholders in a value, however deep in lists and maps."""
    if isinstance(value, str):
        return [_body(match) for match in _PLACEHOLDER.finditer(value)]
    parts = value if isinstance(value, list) else [*value, *value.values()] if isinstance(value, dict) else []
    return [body for part in parts for body in bodies_in(part)]


def input_parameter(body: str) -> str | None:
    """The name of the input parameter that a placeholder stands for; None where it stands for something else."""
    port = _PORT.fullmatch(body)
    is_parameter = port and (port["side"], port["what"], port["field"]) == ("inputs", "parameters", "")
    return port["name"] if port and is_parameter else None


def text(value: Any) -> str:
    """A parameter's value as Kubeflow writes it where a text is wanted."""
    if isinstance(value, str):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return format(Decimal(repr(value)), "f").removesuffix(".0")
    return "" if value is None else json.dumps(value)


def _body(match: re.Match[str]) -> str:
    if match["body"] is not None:
        return match["body"]
    producer = f"{match['task']}-" if match["task"] else ""
    return f".inputs.parameters['{CHANNEL}{producer}{match['name']}']"


def fill_command(words: list[str], executor_input: Mapping[str, Any]) -> list[str]:
    """A container's command or arguments with placeholders filled; an absent optional part takes no word.

    Raises:
        UserError: A placeholder names an input or output that the task does not have.
    """
    return [filled for word in words for filled in _fill_word(word, executor_input)]


def _fill_word(word: str, executor_input: Mapping[str, Any]) -> list[str]:
    if not word.startswith(('{"IfPresent"', '{"Concat"')):
        return [fill(word, lambda body: _value(body, executor_input))]
    return _fill_structure(json.loads(word), executor_input)


def _fill_structure(part: Any, executor_input: Mapping[str, Any]) -> list[str]:
    if isinstance(part, str):
        return _fill_word(part, executor_input)
    if isinstance(part, list):
        return [word for item in part for word in _fill_structure(item, executor_input)]
    if "Concat" in part:
        return ["".join(_fill_structure(part["Concat"], executor_input))]
    choice = part["IfPresent"]
    present = any(
        choice["InputName"] in executor_input["inputs"].get(kind, {}) for kind in ("parameterValues", "artifacts")
    )
    return _fill_structure(choice["Then"] if present else choice.get("Else", []), executor_input)


def _value(body: str, executor_input: Mapping[str, Any]) -> str:
    if body == "":
        return json.dumps(executor_input)
    if body == ".outputs.output_file" or body == ".outputs.output_metadata_uri":
        return str(executor_input["outputs"]["outputFile"])
    port = _PORT.fullmatch(body)
    if not port:
        raise UserError(f"the placeholder {{{{${body}}}}} is not known")
    try:
        return _port_value(port, executor_input[port["side"]])
    except (KeyError, IndexError) as error:
        raise UserError(f"the placeholder {{{{${body}}}}} names {error}, which this task does not have") from error


def _port_value(port: re.Match[str], side: Mapping[str, Any]) -> str:
    name, field = port["name"], port["field"]
    if port["what"] == "parameters":
        if port["side"] == "outputs":
            return str(side["parameters"][name]["outputFile"])
        return text(side["parameterValues"][name])
    artifact = side["artifacts"][name]["artifacts"][0]
    if field == "path":
        return str(local_path(artifact["uri"]))
    if field.startswith("metadata"):
        return str(artifact["metadata"][field.removeprefix("metadata").strip("[]'\".")])
    return str(artifact[field])
