"""All that the lineage has of a model's loop: its cycles, what people and programs asked for, and what was seen."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from components.contract.times import zoned
from taxiway.lineage.loop.cycle import Cycle, Event, State, Trigger

if TYPE_CHECKING:
    from taxiway.lineage.store import LineageStore
    from taxiway.lineage.stored import Entry

GROUP = "loop"
"""The type of the contexts, one for each model."""

CYCLE, STEP, REQUEST, ANSWER, MARK = "loop_cycle", "loop_step", "loop_request", "loop_answer", "loop_mark"
"""The types of the executions."""


@dataclass(frozen=True)
class Answer:
    """What a person says of a cycle that waits for it.

    Attributes:
        cycle: The cycle's id.
        at: The number of steps that the cycle had.
        approves: Whether it is a yes.
        by: Who.
        reason: Why.
        time: When.
    """

    cycle: str
    at: int
    approves: bool
    by: str
    reason: str
    time: datetime


@dataclass(frozen=True)
class Mark:
    """What a trigger saw when it looked first, or after others than cycles have changed it.

    Attributes:
        key: The trigger's name, and what it looks at.
        value: What it saw, as JSON.
        time: When.
    """

    key: str
    value: Any
    time: datetime


@dataclass(frozen=True)
class Ledger:
    """All that the lineage has of a model's loop, the earliest first.

    Attributes:
        model: The model.
        cycles: Its cycles.
        requests: What people and programs asked for.
        answers: What people said.
        values: What each trigger saw, by what it looks at: marks, and the facts `value` of its cycles.
    """

    model: str
    cycles: Sequence[Cycle] = ()
    requests: Sequence[Trigger] = ()
    answers: Sequence[Answer] = ()
    values: Mapping[str, Sequence[Any]] = field(default_factory=dict)

    @property
    def current(self) -> Cycle | None:
        """The cycle that is not over."""
        return self.cycles[-1] if self.cycles and not self.cycles[-1].is_over else None


def read(store: LineageStore, model: str) -> Ledger:
    """What the lineage has of a model's loop."""
    return parsed(model, store.entries((GROUP, model)))


def parsed(model: str, entries: Iterable[Entry]) -> Ledger:
    """The same from its entries."""
    cycles: dict[str, Cycle] = {}
    asked: dict[str, list[Any]] = {REQUEST: [], ANSWER: []}
    values: dict[str, list[Any]] = {}
    for facts in (entry.facts for entry in entries):
        kind = facts["stage"]
        if kind == CYCLE:
            cycle = cycles[facts["cycle"]] = _cycle(facts)
            if key := cycle.trigger.facts.get("key"):
                values.setdefault(key, []).append(cycle.trigger.facts["value"])
        elif kind == STEP:
            cycle = cycles[facts["cycle"]]
            cycles[cycle.id] = replace(cycle, events=(*cycle.events, _event(facts["event"])))
        elif kind in asked:
            asked[kind].append(_asked[kind](json.loads(facts["content"])))
        elif kind == MARK:
            mark = json.loads(facts["content"])
            values.setdefault(mark["key"], []).append(mark["value"])
    return Ledger(model, tuple(cycles.values()), tuple(asked[REQUEST]), tuple(asked[ANSWER]), values)


def put(store: LineageStore, model: str, kind: str, content: Any, key: str = "") -> bool:
    """Writes a request, an answer or a mark down; False if there is one with this key."""
    token = secrets.token_hex(8)
    name = f"{GROUP}/{model}/{kind.removeprefix('loop_')}-{key or token}"
    return store.claim(kind, name, (GROUP, model), {"token": token, "content": to_json(asdict(content))})


def to_json(value: Any) -> str:
    """A value with times as JSON."""
    return json.dumps(value, default=lambda each: each.isoformat() if isinstance(each, datetime) else str(each))


def _cycle(facts: Mapping[str, Any]) -> Cycle:
    trigger = _trigger(json.loads(facts["trigger"]))
    return Cycle(facts["cycle"], facts["model"], trigger, json.loads(facts["settings"]), (_event(facts["event"]),))


def _event(text: str) -> Event:
    found = json.loads(text)
    return Event(**{**found, "state": State(found["state"]), "time": zoned(found["time"])})


def _trigger(found: dict[str, Any]) -> Trigger:
    return Trigger(**{**found, "time": zoned(found["time"])})


_asked: Mapping[str, Any] = {
    REQUEST: _trigger,
    ANSWER: lambda found: Answer(**{**found, "time": zoned(found["time"])}),
}
