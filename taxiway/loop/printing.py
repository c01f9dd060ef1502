"""What a loop prints: a line for each step, and what triggers see."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from rich.console import Console
from rich.text import Text

from taxiway import tables
from taxiway.lineage.loop.cycle import LOOP, Cycle, Event, State
from taxiway.loop.loop import Considered, Ticked
from taxiway.loop.runs.parameters import filled
from taxiway.loop.settings import Settings
from taxiway.tables import Table

_STYLES = {
    State.PROMOTED: "green",
    State.ROLLED_BACK: "red",
    State.FAILED: "red",
    State.NOTHING_PUSHED: "yellow",
}


class Printer:
    """Prints what a loop does."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(highlight=False, soft_wrap=not sys.stdout.isatty())
        self._told = set[str]()
        self._failure = ""

    def waiting(self) -> None:
        """Another loop of the model runs on this machine."""
        self._line("another loop of this model runs here; this one waits", "yellow")

    def listening(self, port: int) -> None:
        """Prints where the webhook is."""
        self._line(f"the webhook listens on port {port}", "dim")

    def ticked(self, ticked: Ticked) -> None:
        """Prints the steps that were taken, and what is new of the triggers."""
        if self._failure:
            self._line("the loop goes on", "green")
            self._failure = ""
        for cycle in ticked.taken:
            self._console.print(_step(cycle.events[-1], f"  {cycle.id}"))
        for each in ticked.considered:
            self._considered(each)

    def _considered(self, each: Considered) -> None:
        """Prints what is new of a trigger: it waits for another reason, cannot look, or looks for the first time."""
        name, says = each.seen.trigger.name, each.seen.says
        if each.seen.found and each.why_not:
            reason = _kind(each.why_not)
            self._once(f"{name} {each.seen.found.id} {reason}", f"{name}: {says}: waits: {reason}", "yellow")
        elif each.seen.is_trouble or each.seen.mark:
            self._once(f"{name} {says}", f"{name}: {says}", "red" if each.seen.is_trouble else "dim")

    def failed(self, error: str) -> None:
        """Prints why it cannot look, once until it can again."""
        if error != self._failure:
            self._line(error, "red")
        self._failure = error

    def receiver(self, way: str, error: str) -> None:
        """Prints that a receiver was not told."""
        text = f"{way} was not told: {error}"
        self._once(text, text, "red")

    def _once(self, key: str, text: str, style: str) -> None:
        if key not in self._told:
            self._told.add(key)
            self._line(text, style)

    def _line(self, text: str, style: str) -> None:
        self._console.print(Text(f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S}Z  {text}", style))


def _kind(why_not: str) -> str:
    """A reason without the time that is left, which changes."""
    return why_not.rpartition(": ")[0] if why_not.endswith(" left") else why_not


def _step(event: Event, cycle: str = "") -> Text:
    text = Text.assemble((_time(event.time), "dim"), f"{cycle}  ")
    text.append(str(event.state).replace("_", " "), _STYLES.get(event.state, "bold"))
    by = "" if event.by == LOOP else f" (by {event.by})"
    return text.append(f"  {event.reason}{by}")


def show_considered(considered: Sequence[Considered], settings: Settings, console: Console) -> None:
    """Prints what each trigger sees, and what would follow."""
    for each in considered:
        if each.seen.is_trouble:
            outcome = Text(f"cannot look: {each.seen.says}", "red")
        elif each.seen.found is None:
            outcome = Text(f"nothing: {each.seen.says}", "dim")
        elif each.why_not:
            outcome = Text.assemble(each.seen.says, ("  waits: ", "yellow"), each.why_not)
        else:
            outcome = Text.assemble(each.seen.says, ("  would ", "green"), _would(each, settings))
        console.print(Text.assemble((f"{each.seen.trigger.name}  ", "bold"), outcome), soft_wrap=True)
    if not considered:
        console.print("no trigger is set, and nobody asked", highlight=False)


def _would(each: Considered, settings: Settings) -> str:
    assert each.begins
    given = filled(settings.parameters, each.begins)
    return " ".join([settings.action, settings.pipeline, *(f"{name}={value}" for name, value in given.items())])


def considered_json(each: Considered) -> dict[str, Any]:
    """What a trigger sees, as JSON."""
    seen = each.seen
    return {
        "trigger": seen.trigger.name,
        "kind": seen.trigger.kind,
        "says": seen.says,
        "found": _plain(asdict(seen.found)) if seen.found else None,
        "why_not": each.why_not,
        "begins": each.begins is not None,
        "trouble": seen.is_trouble,
    }


def show_cycles(cycles: Sequence[Cycle], console: Console) -> None:
    """Prints cycles, one per row."""
    rows: list[list[str | Text]] = [
        [each.id, _state(each), _time(each.started), each.trigger.kind, each.reason] for each in cycles
    ]
    tables.show(Table(("cycle", "state", "began", "trigger", "why"), rows), console)


def show_cycle(cycle: Cycle, console: Console) -> None:
    """Prints a cycle with its steps."""
    console.print(Text.assemble((cycle.id, "bold"), "  ", _state(cycle)), soft_wrap=True)
    for event in cycle.events:
        console.print(Text("  ").append_text(_step(event)), soft_wrap=True)


def _state(cycle: Cycle) -> Text:
    return Text(str(cycle.state).replace("_", " "), _STYLES.get(cycle.state, "bold"))


def _time(time: datetime) -> str:
    return f"{time.astimezone(UTC):%Y-%m-%d %H:%M:%S}Z"


def cycle_json(cycle: Cycle) -> dict[str, Any]:
    """A cycle as JSON."""
    found = _plain(asdict(cycle))
    return {**found, "state": str(cycle.state), "reason": cycle.reason}


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, list | tuple) else value
