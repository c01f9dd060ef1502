"""Fills Kubeflow's placeholders, `{{$...}}`, in one pass: placeholders inside of values are not filled.

Source: kfp/dsl/placeholders.py and backend/src/v2/component/launcher_v2.go.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from decimal import Decimal
from functools import partial
from types import MappingProxyType
from typing import Any

from components.contract.errors import UserError
from components.execution.executor import CHANNEL, local_path

_PLACEHOLDER = re.compile(
    # Not `{{$name`, which belongs to templates of other languages.
    r"\{\{\$(?P<body>(?=[.}])(?:[^}'\"]|'[^']*'|\"[^\"]*\"|\}(?!\}))*)\}\}"
    # The compiler writes these for values, and later replaces them by inputs, except in environment variables,
    # conditions, loops, and keys of maps.
    r"|\{\{channel:task=(?P<task>[^;]*);name=(?P<name>[^;]*);type=.*?;\}\}"
)
_PORT = re.compile(
    r"\.(?P<side>inputs|outputs)\.(?P<what>parameters|artifacts)\[['\"](?P<name>[^'\"]+)['\"]\]\.?(?P<field>.*)"
)

_OUTPUT_FILE = (".outputs.output_file", ".outputs.output_metadata_uri", ".outputMetadataUri")
RUN_PLACEHOLDERS = frozenset(
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
"""The bodies of placeholders that concern the run or the task."""

Lookup = Callable[[str], Any]


def fill(template: str, lookup: Lookup) -> str:
    """Replaces each placeholder of a template by what `lookup` returns for its body, such as `.outputs.output_file`."""
    return _PLACEHOLDER.sub(lambda match: text(lookup(_body(match))), template)


def filled(value: Any, lookup: Lookup, typed: type | tuple[type, ...] = (list, dict)) -> Any:
    """Fills the placeholders in all strings of a JSON value, including keys.

    Args:
        value: The value.
        lookup: Returns the value for a placeholder's body.
        typed: The types that are kept if a string is a single placeholder. Values of other types become strings, as
            in Kubeflow's launcher, which does not support lists and maps here.
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
    """The body if the template is a single placeholder; otherwise None."""
    match = _PLACEHOLDER.fullmatch(template)
    return _body(match) if match else None


def input_parameter(body: str) -> str | None:
    """The name of the input parameter that a placeholder refers to; None if it refers to something else."""
    port = _PORT.fullmatch(body)
    is_parameter = port and (port["side"], port["what"], port["field"]) == ("inputs", "parameters", "")
    return port["name"] if port and is_parameter else None


def text(value: Any) -> str:
    """A parameter's value as a string, in Kubeflow's format."""
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


def fill_command(
    words: Iterable[str], executor_input: Mapping[str, Any], facts: Mapping[str, str] = MappingProxyType({})
) -> list[str]:
    """Fills the placeholders in a container's command or arguments, and omits optional parts without a value.

    Raises:
        UserError: A placeholder refers to an input or output that the task does not have.
    """

    def lookup(body: str) -> str:
        return facts[body] if body in facts else _value(body, executor_input)

    present = partial(_is_present, executor_input["inputs"])
    return [filled for word in words for filled in _fill_word(word, present, lookup)]


def bodies(words: Iterable[str]) -> list[str]:
    """The bodies of all placeholders in a container's command or arguments, including those in optional parts."""
    return [body for word in words for body in bodies_in(word)]


def bodies_in(value: Any) -> list[str]:
    """The bodies of all placeholders in a value, including nested lists and maps."""
    return [_body(match) for part in _texts(value) for match in _PLACEHOLDER.finditer(part)]


def problem(body: str, has: Callable[[str, str, str], bool]) -> str:
    """Why a placeholder in a container cannot be filled; empty if it can.

    Args:
        body: The placeholder's body.
        has: Whether the component has an input or output; see `components.Component.has`.
    """
    if body == "" or body in _OUTPUT_FILE or body in RUN_PLACEHOLDERS:
        return ""
    port = _PORT.fullmatch(body)
    if not port:
        return "is not known"
    if not has(port["side"], port["what"], port["name"]):
        return f"names {port['name']!r}, which the component does not have"
    field = port["field"]
    if port["what"] == "parameters":
        return "" if field == ("" if port["side"] == "inputs" else "output_file") else "is not known"
    if field == "":
        return "stands for a list of artifacts, which Kubeflow does not fill in; use {{$}}, which contains them"
    if port["side"] == "outputs" and field.startswith("metadata["):
        return "refers to metadata that the task itself writes"
    return "" if field in ("path", "uri", "name", "metadata") or field.startswith("metadata[") else "is not known"


def _is_present(inputs: Mapping[str, Any], name: str) -> bool:
    parameter = inputs.get("parameterValues", {}).get(name)
    return parameter is not None or bool(inputs.get("artifacts", {}).get(name, {}).get("artifacts"))


def _is_structure(word: str) -> bool:
    return word.startswith(('{"IfPresent"', '{"Concat"'))


def _fill_word(word: str, present: Callable[[str], bool], lookup: Lookup) -> list[str]:
    return _fill_structure(json.loads(word), present, lookup) if _is_structure(word) else [fill(word, lookup)]


def _fill_structure(part: Any, present: Callable[[str], bool], lookup: Lookup) -> list[str]:
    if isinstance(part, str):
        return _fill_word(part, present, lookup)
    if isinstance(part, list):
        return [word for item in part for word in _fill_structure(item, present, lookup)]
    if "Concat" in part:
        return ["".join(_fill_structure(part["Concat"], present, lookup))]
    optional = part["IfPresent"]
    inner = optional["Then"] if present(optional["InputName"]) else optional.get("Else", [])
    return _fill_structure(inner, present, lookup)


def _texts(part: Any) -> Iterator[str]:
    """The strings in an argument, or in a part of it."""
    if isinstance(part, str) and _is_structure(part):
        part = json.loads(part)
    if isinstance(part, str):
        yield part
    elif isinstance(part, list | dict):
        for inner in (*part, *part.values()) if isinstance(part, dict) else part:
            yield from _texts(inner)


def _value(body: str, executor_input: Mapping[str, Any]) -> str:
    if body == "":
        return json.dumps(executor_input)
    if body in _OUTPUT_FILE:
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
    if field == "metadata":
        return json.dumps(artifact["metadata"])
    if field.startswith("metadata"):
        return text(artifact["metadata"][field.removeprefix("metadata").strip("[]'\".")])
    return str(artifact[field])
