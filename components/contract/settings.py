"""Reads settings from YAML or JSON into a dataclass; errors name the path, the value and the fix."""

from __future__ import annotations

import difflib
import types
import typing
from collections.abc import Mapping
from dataclasses import MISSING, fields
from typing import Any, TypeVar

from components.contract.errors import UserError

_Kind = TypeVar("_Kind")


def named(given: Any, kind: type, where: str) -> dict[str, Any]:
    """The settings in a map that a dataclass has fields for, without null values.

    Raises:
        UserError: It is not a map, a name is unknown, or a setting without a default is missing.
    """
    names = [each.name for each in fields(kind)]
    if not isinstance(given, Mapping):
        raise UserError(
            f"{where} takes a map of settings, not {given!r}", fix=f"its settings are {', '.join(names) or 'none'}"
        )
    for name in given:
        if name not in names:
            raise UserError(f"{where} has no setting {name!r}", fix=nearest(name, names))
    found = {name: value for name, value in given.items() if value is not None}
    for each in fields(kind):
        needed = each.default is MISSING and each.default_factory is MISSING
        if needed and found.get(each.name, "") == "":
            raise UserError(f"{where}.{each.name} is missing", fix=f"add {each.name}: ...")
    return found


def typed(found: Mapping[str, Any], kind: type[_Kind], where: str) -> _Kind:
    """The settings as the dataclass.

    Raises:
        UserError: A value has the wrong type.
    """
    hints = typing.get_type_hints(kind)
    said = {each.name: each.type for each in fields(kind)}  # type: ignore[arg-type]
    for name, value in found.items():
        if not _fits(value, hints[name]):
            raise UserError(f"{where}.{name} is {value!r}", fix=f"write a value of type {said[name]}")
    return kind(**found)


def require_choice(value: Any, known: typing.Collection[Any], where: str) -> None:
    """Raises UserError if a setting is none of the known values."""
    if value not in known:
        raise UserError(f"{where} is {value!r}", fix=f"use one of {', '.join(known)}")


def nearest(name: Any, known: typing.Collection[str]) -> str:
    """The fix for an unknown name."""
    near = difflib.get_close_matches(str(name), known, n=1)
    return f"did you mean {near[0]!r}?" if near else f"use one of {', '.join(known)}" if known else "remove it"


def _fits(value: Any, hint: Any) -> bool:
    arguments = typing.get_args(hint)
    if hint is typing.Any:
        return True
    match typing.get_origin(hint):
        case types.UnionType | typing.Union:
            return any(_fits(value, each) for each in arguments)
        case origin if origin is list:
            return isinstance(value, list) and all(_fits(each, arguments[0]) for each in value)
        case origin if origin is dict:
            pairs = value.items() if isinstance(value, Mapping) else [(None, None)]
            return all(_fits(key, arguments[0]) and _fits(each, arguments[1]) for key, each in pairs)
    # In Python True is an int.
    return isinstance(value, (int, float) if hint is float else hint) and (hint is bool or not isinstance(value, bool))
