"""The parameters of a cycle's pipeline."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from components.contract.errors import UserError
from taxiway.lineage.loop.cycle import Trigger
from taxiway.loop.settings import FACT


def filled(parameters: Mapping[str, Any], trigger: Trigger) -> dict[str, Any]:
    """The parameters with what is filled from the trigger.

    Raises:
        UserError: The trigger has no such fact.
    """
    own = {name: value for name, value in asdict(trigger).items() if name not in ("facts", "time")}
    known = {**own, "time": trigger.time.isoformat(), **trigger.facts}
    return {name: _value(name, value, known) for name, value in parameters.items()}


def _value(name: str, value: Any, known: Mapping[str, Any]) -> Any:
    if not (isinstance(value, str) and value.startswith(FACT)):
        return value
    fact = value.removeprefix(FACT)
    if fact not in known:
        raise UserError(
            f"the parameter {name} is {value}, which a trigger of the kind {known['kind']} does not have",
            fix=f"use one of {', '.join(sorted(known))}",
        )
    return known[fact]
