"""Selects parts of values: `parameterExpressionSelector`, and parts of a loop's item."""

from __future__ import annotations

import json
import re
from typing import Any

from components.contract.errors import UserError
from taxiway.language.values import Json

_SELECTOR = re.compile(r"parseJson\(string_value\)(?P<keys>(?:\[(?:\"[^\"]*\"|'[^']*'|\d+)\])+)")


def selected(selector: str | None, value: Any) -> Any:
    """The part of a value that a selector selects; the compiler only writes `parseJson(string_value)["key"]`."""
    if selector is None:
        return value
    match = _SELECTOR.fullmatch(selector)
    if not match:
        raise UserError(f"the selector {selector!r} cannot be read")
    value = json.loads(value) if isinstance(value, str) else value
    for key in re.findall(r"\[(\"[^\"]*\"|'[^']*'|\d+)\]", match["keys"]):
        value = value[int(key)] if key.isdigit() else value[key[1:-1]]
    return value


def given(parameters: Json, name: str) -> Any:
    """A parameter of a DAG, or a part of a loop's item, for which the compiler writes `<item>-subvar-<key>`."""
    item, _, key = name.rpartition("-subvar-")
    if name in parameters or item not in parameters:
        return parameters.get(name)
    return selected(f"parseJson(string_value)[{json.dumps(key)}]", parameters[item])
