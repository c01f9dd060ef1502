"""Kubeflow's placeholders, `{{$...}}`, filled in one pass: what a value contains is never filled again.

Source: kfp/dsl/placeholders.py and backend/src/v2/component/launcher_v2.go.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from components.errors import UserError
from components.executor import local_path

_PLACEHOLDER = re.compile(r"\{\{\$(?P<body>(?:[^}'\"]|'[^']*'|\"[^\"]*\"|\}(?!\}))*)\}\}")
_PORT = re.compile(
    r"\.(?P<side>inputs|outputs)\.(?P<what>parameters|artifacts)\[['\"](?P<name>[^'\"]+)['\"]\]\.?(?P<field>.*)"
)

Lookup = Callable[[str], str]


def fill(template: str, lookup: Lookup) -> str:
    """Replaces each placeholder of a template by what `lookup` returns for its body, such as `.outputs.output_file`."""
    return _PLACEHOLDER.sub(lambda match: lookup(match["body"]), template)


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
        value = side["parameterValues"][name]
        return value if isinstance(value, str) else json.dumps(value)
    artifact = side["artifacts"][name]["artifacts"][0]
    if field == "path":
        return str(local_path(artifact["uri"]))
    if field.startswith("metadata"):
        return str(artifact["metadata"][field.removeprefix("metadata").strip("[]'\".")])
    return str(artifact[field])
