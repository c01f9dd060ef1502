"""The rules of a model's columns: an action for each, from the section `privacy` of the settings and from the schema.

    privacy:
      keys: privacy-keys
      columns:
        email: drop
        customer: hash
        comment: {cut: 3}
        pickup_latitude: {generalise: {digits: 2}}

A column's name is a feature of the model, or a column of the inference table: `input_customer`, `output_scores`,
`request_id`, `error`. In a TF Metadata schema, an annotation of the feature says the same:
`annotation { tag: "taxiway:hash" }`, `"taxiway:cut=3"` or `"taxiway:generalise:digits=2"`. Settings come before marks.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

from components.contract.errors import UserError
from components.contract.settings import nearest
from components.inference.columns import INPUT, OUTPUT, REQUEST
from components.inference.privacy import actions
from components.inference.privacy.actions import Action

TAG = "taxiway:"
"""How a mark in a schema begins."""

_FIXED = {"row", "time", "date", "model", "version", "share", "status", "api", "protocol", "latency_ms"}
"""Columns of a request that say nothing of a person, and that the monitor needs."""
_CHOICES = ("bins", "step", "time", "prefix", "digits", "mapping")
_NAMES = ("drop", "cut", "generalise", "hash", "keep")


def of_settings(given: Any, known: Collection[str] | None, where: str) -> dict[str, Action]:
    """The actions by column of the table.

    Args:
        given: The map `columns` of the settings: an action by column.
        known: The table's columns, or None if they are not known yet: then any name is taken.
        where: The place, for errors.

    Raises:
        UserError: A column or an action is unknown; names the nearest.
    """
    if not isinstance(given, Mapping):
        raise UserError(f"{where} is {given!r}", fix="write an action for each column: `email: drop`")
    return {column_of(name, known, where): _action(value, f"{where}.{name}") for name, value in given.items()}


def of_schema(schema: Any) -> dict[str, Action]:
    """The actions that a TF Metadata schema marks, by column of the table.

    Raises:
        UserError: A mark names an unknown action.
    """
    marks = [(f.name, tag) for f in schema.feature for tag in f.annotation.tag if tag.startswith(TAG)]
    return {INPUT + name: _action(_unmarked(tag), f"the schema's annotation of {name}") for name, tag in marks}


def column_of(name: Any, known: Collection[str] | None, where: str) -> str:
    """The table's column that a name in the settings means; raises UserError if there is none."""
    named = str(name)
    column = named if named in REQUEST.names or named.startswith((INPUT, OUTPUT)) else INPUT + named
    if column in _FIXED:
        raise UserError(f"{where}: {named} is needed to read the table", fix=f"remove {named}")
    are_outputs_known = any(each.startswith(OUTPUT) for each in known or [])
    is_unknown = known is not None and column not in {*known, *REQUEST.names}
    if known is not None and is_unknown and (are_outputs_known or not column.startswith(OUTPUT)):
        features = [each.removeprefix(INPUT) for each in known if each not in _FIXED]
        raise UserError(f"{where} has a column {named!r}, which the model does not have", fix=nearest(named, features))
    return column


def _unmarked(tag: str) -> Any:
    """What a mark says, in the form of the settings."""
    said = tag.removeprefix(TAG)
    name, _, value = said.rpartition("=")
    if not name:
        return said
    number = [_number(part) for part in value.split(",")]
    action, _, choice = name.partition(":")
    inner: Any = number if choice == "bins" else number[0]
    return {action: {choice: inner} if choice else inner}


def _number(text: str) -> Any:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _action(given: Any, where: str) -> Action:
    name, value = _single(given, where)
    if name not in _NAMES:
        raise UserError(f"{where} has an action {name!r}", fix=nearest(name, _NAMES))
    if name == "cut":
        return actions.Cut(_positive(value, where, "cut: 3"))
    if name == "generalise":
        return _generalised(value, where)
    if value is not None:
        raise UserError(f"{where}: {name} takes nothing, not {value!r}", fix=f"write {name}")
    plain: dict[str, Action] = {"drop": actions.Drop(), "hash": actions.Hash(), "keep": actions.Keep()}
    return plain[name]


def _single(given: Any, where: str) -> tuple[str, Any]:
    if isinstance(given, str):
        return given, None
    if not isinstance(given, Mapping) or len(given) != 1:
        raise UserError(f"{where} is {given!r}", fix=f"write one action: {', '.join(_NAMES)}")
    [(name, value)] = given.items()
    return str(name), value


def _generalised(given: Any, where: str) -> Action:
    options = {key: value for key, value in given.items() if key != "other"} if isinstance(given, Mapping) else {}
    if len(options) != 1:
        raise UserError(f"{where}: generalise is {given!r}", fix="write how: generalise: {digits: 2}")
    [(name, value)] = options.items()
    if name not in _CHOICES:
        raise UserError(f"{where}: generalise has {name!r}", fix=nearest(name, _CHOICES))
    if "other" in given and name != "mapping":
        raise UserError(f"{where}: other belongs to a mapping", fix="remove other")
    made: dict[str, Callable[[], Action]] = {
        "bins": lambda: actions.Intervals(_edges(value, where)),
        "step": lambda: actions.Step(_positive(value, where, "step: 5")),
        "time": lambda: actions.Time(_unit(value, where)),
        "prefix": lambda: actions.Prefix(_whole(value, where, "prefix: 3", least=1)),
        "digits": lambda: actions.Digits(_whole(value, where, "digits: 2", least=-18)),
        "mapping": lambda: _mapped(value, given.get("other"), where),
    }
    return made[name]()


def _mapped(value: Any, other: Any, where: str) -> Action:
    if not isinstance(value, Mapping) or not value:
        raise UserError(f"{where}: mapping is {value!r}", fix="write mapping: {old: new}")
    mapping = {str(old): str(new) for old, new in value.items()}
    return actions.Mapped(mapping, None if other is None else str(other))


def _edges(value: Any, where: str) -> tuple[float, ...]:
    numbers = value if isinstance(value, list) else []
    if not numbers or any(not _is_number(each) for each in numbers) or sorted(set(numbers)) != numbers:
        raise UserError(f"{where}: bins is {value!r}", fix="write ascending numbers: bins: [18, 30, 50]")
    return tuple(float(each) for each in numbers)


def _unit(value: Any, where: str) -> str:
    if value not in ("hour", "day"):
        raise UserError(f"{where}: time is {value!r}", fix="write time: hour or time: day")
    return str(value)


def _positive(value: Any, where: str, example: str) -> float:
    if not _is_number(value) or not 0 < value < float("inf"):
        raise UserError(f"{where} is {value!r}, not a number above 0", fix=f"write {example}, or drop")
    return float(value)


def _whole(value: Any, where: str, example: str, *, least: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise UserError(f"{where} is {value!r}, not a whole number of at least {least}", fix=f"write {example}")
    return value


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
