"""The parameters of a cycle's pipeline."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from taxiway.lineage.loop.cycle import Trigger
from taxiway.loop.settings import FACT


def filled(parameters: Mapping[str, Any], trigger: Trigger) -> dict[str, Any]:
    """The parameters with what is filled from the trigger; without those that it has nothing for."""
    known = {
        **trigger.facts,
        "id": trigger.id,
        "name": trigger.name,
        "kind": trigger.kind,
        "reason": trigger.reason,
        "time": trigger.time.isoformat(),
    }
    found = {name: _value(value, known) for name, value in parameters.items()}
    return {name: value for name, value in found.items() if value is not None}


def _value(value: Any, known: Mapping[str, Any]) -> Any:
    return known.get(value.removeprefix(FACT)) if isinstance(value, str) and value.startswith(FACT) else value
