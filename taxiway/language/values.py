"""The values of parameters, in the types that a compiled pipeline declares."""

from __future__ import annotations

import json
from typing import Any

from components.contract.errors import UserError

Json = dict[str, Any]

PYTHON_TYPES: dict[str, tuple[type, ...]] = {
    "NUMBER_INTEGER": (int,),
    "NUMBER_DOUBLE": (int, float),
    "BOOLEAN": (bool,),
    "STRING": (str,),
    "LIST": (list,),
    "STRUCT": (dict,),
}


def coerced(name: str, kind: str, value: Any) -> Any:
    """Converts a parameter's value to its declared type; compiled pipelines contain integers as doubles.

    Raises:
        UserError: It is not a list or struct, although one is declared.
    """
    if kind == "NUMBER_INTEGER" and isinstance(value, float) and value.is_integer():
        return int(value)
    if kind in ("LIST", "STRUCT") and value is not None:
        return with_integers(_structure(name, kind, value))
    return value


def from_text(name: str, kind: str, value: Any) -> Any:
    """A parameter's value from the user; a string, for example from the command line, is parsed as the declared type.

    Raises:
        UserError: It does not have the declared type.
    """
    wanted = PYTHON_TYPES.get(kind, (object,))
    if isinstance(value, str) and str not in wanted:
        try:
            value = json.loads(value.lower() if kind == "BOOLEAN" else value)
        except json.JSONDecodeError:
            wanted = ()
    if not isinstance(value, wanted) or (isinstance(value, bool) and bool not in wanted and object not in wanted):
        raise UserError(f"the parameter {name!r} takes a {kind.lower()}, not {value!r}")
    return value


def listed(items: Any) -> list[Any]:
    """The items of a loop, which may be given as JSON.

    Raises:
        UserError: They are not a list.
    """
    try:
        found = json.loads(items) if isinstance(items, str) else items
    except json.JSONDecodeError:
        found = items
    if not isinstance(found, list):
        raise UserError(f"a loop runs over a list, not over {found!r:.200}")
    return found


def with_integers(value: Any) -> Any:
    """Converts whole numbers in a JSON value to integers, like Kubeflow."""
    if isinstance(value, list):
        return [with_integers(item) for item in value]
    if isinstance(value, dict):
        return {key: with_integers(item) for key, item in value.items()}
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _structure(name: str, kind: str, value: Any) -> Any:
    wrong = f"the parameter {name.removeprefix('pipelinechannel--')!r} takes a {kind.lower()}, not {value!r:.200}"
    try:
        found = json.loads(value) if isinstance(value, str) else value
    except json.JSONDecodeError as error:
        raise UserError(f"{wrong}, which is not JSON: {error}") from error
    if not isinstance(found, PYTHON_TYPES[kind]):
        raise UserError(wrong)
    return found
