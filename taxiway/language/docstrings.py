"""Restores descriptions of outputs that kfp drops, from the source of the function in a Python component.

kfp only reads descriptions under `Returns:`, one `name: ...` per line. It drops the description of an output that is
an argument and is described under `Args:`, and that of a single return value.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from typing import Any

Json = dict[str, Any]

_RETURNED = "Output"
"""kfp's name for a single return value."""


def complete(spec: Json) -> None:
    """Adds the descriptions in functions' docstrings to the outputs of Python components that have none."""
    executors = spec.get("deploymentSpec", {}).get("executors", {})
    for component in spec.get("components", {}).values():
        bare = [output for output in _outputs(component) if not output[1].get("description")]
        found = _described(executors.get(component.get("executorLabel"), {}).get("container", {})) if bare else {}
        for name, definition in bare:
            if name in found:
                definition["description"] = found[name]


def _outputs(component: Mapping[str, Any]) -> Iterator[tuple[str, Json]]:
    for kind in component.get("outputDefinitions", {}).values():
        yield from kind.items()


def _described(container: Mapping[str, Any]) -> dict[str, str]:
    """The descriptions of arguments and return values in the docstring of a container's Python function."""
    words = [*container.get("command", []), *container.get("args", [])]
    if "--function_to_execute" not in words[:-1]:
        return {}
    function = words[words.index("--function_to_execute") + 1]
    texts = [_docstring(word, function) for word in words]
    return _parsed("".join(texts)) if any(texts) else {}


def _docstring(source: str, function: str) -> str:
    """The docstring of a function in Python source; empty if there is none, or if the text is not Python."""
    if f"def {function}(" not in source:
        return ""
    try:
        statements = ast.parse(source).body
    except SyntaxError:
        return ""
    found = [each for each in statements if isinstance(each, ast.FunctionDef) and each.name == function]
    return (ast.get_docstring(found[-1]) or "") if found else ""


def _parsed(docstring: str) -> dict[str, str]:
    import docstring_parser

    parsed = docstring_parser.parse(docstring)
    described = {param.arg_name: param.description or "" for param in parsed.params}
    returned = {_RETURNED: parsed.returns.description or ""} if parsed.returns else {}
    return {name: text for name, text in {**returned, **described}.items() if text}
