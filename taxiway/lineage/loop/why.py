"""Why a version serves, or does not: the cycle that it came of, from its trigger to who promoted it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from taxiway.lineage.lookup import place_of
from taxiway.lineage.loop.cycle import LOOP, Cycle
from taxiway.lineage.loop.cycles import history

if TYPE_CHECKING:
    from taxiway.lineage.store import LineageStore


def cycles_of(store: LineageStore | None, place: str) -> list[Cycle]:
    """The cycles that a version came of, or that an alarm triggered, the latest last.

    Args:
        store: The lineage store, if there is one.
        place: The version's folder or URL, or the alarm's id.
    """
    found = history(store) if store else []
    return [each for each in reversed(found) if _has_pushed(each, place) or place in _alarms(each)]


def _has_pushed(cycle: Cycle, place: str) -> bool:
    pushed = cycle.facts.get("pushed")
    return bool(pushed) and place_of(str(pushed)) == place_of(place)


def _alarms(cycle: Cycle) -> list[str]:
    return list(cycle.trigger.facts.get("alarms", ()))


def lines(cycle: Cycle) -> list[str]:
    """A cycle in lines: the trigger, the run, what was said of the model, the steps of the rollout, and the end."""
    return [f"{cycle.id}, {_words(str(cycle.state))}", *(_line(each) for each in steps(cycle))]


def steps(cycle: Cycle) -> list[dict[str, Any]]:
    """The steps of a cycle, as JSON."""
    return [
        {
            "time": event.time.isoformat(timespec="seconds"),
            "state": str(event.state),
            "reason": event.reason,
            "by": event.by,
        }
        for event in cycle.events
    ]


def to_json(cycle: Cycle) -> dict[str, Any]:
    """A cycle as JSON."""
    facts = cycle.facts
    kept = ("run", "page", "pushed", "version", "champion", "verdict", "parameters", "rollout")
    return {
        "id": cycle.id,
        "model": cycle.model,
        "state": str(cycle.state),
        "trigger": {"kind": cycle.trigger.kind, "name": cycle.trigger.name, "reason": cycle.trigger.reason},
        "facts": {name: facts[name] for name in kept if name in facts},
        "steps": steps(cycle),
    }


def _line(step: dict[str, Any]) -> str:
    by = "" if step["by"] == LOOP else f" (by {step['by']})"
    return f"  {step['time']} {_words(step['state'])}: {step['reason']}{by}"


def _words(state: str) -> str:
    return state.replace("_", " ")
