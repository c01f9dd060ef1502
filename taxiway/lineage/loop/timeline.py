"""What happened in a cycle, from the alarm that triggered it to the one that closed, on one time line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from components.monitoring.alarms.alarm import Alarm
from taxiway.lineage.loop.cycle import LOOP, OVER, Cycle, Event, State

RAISED, CLOSED = "alarm", "alarm closed"

_TITLES = {
    State.WAITING: "cycle begins",
    State.RETRAINING: "retraining",
    State.JUDGED: "judged better",
    State.ROLLING_OUT: "rollout",
    State.PROMOTED: "promoted",
    State.ROLLED_BACK: "taken back",
    State.NOTHING_PUSHED: "nothing pushed",
    State.FAILED: "failed",
}


@dataclass(frozen=True)
class Moment:
    """Something that happened.

    Attributes:
        time: When.
        title: What, in a word or two.
        words: Why, as a sentence.
        by: Who decided it; empty for the loop and the monitor.
        state: The cycle's state since then; None for what the monitor has done.
        facts: What is known since then, as JSON.
    """

    time: datetime
    title: str
    words: str
    by: str = ""
    state: State | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)


def timeline(cycle: Cycle, alarms: Sequence[Alarm] = ()) -> list[Moment]:
    """What happened in a cycle, the earliest first.

    Args:
        cycle: The cycle.
        alarms: The alarms that triggered it, the most important first, as they are now; none if others did.
    """
    found = [*(_raised(alarms[:1], cycle)), *map(_step, cycle.events), *_closed(alarms)]
    return sorted(found, key=lambda each: each.time)


def is_closed(cycle: Cycle, alarms: Sequence[Alarm]) -> bool:
    """Whether the cycle is over and so are the alarms that triggered it."""
    return cycle.is_over and all(each.closed for each in alarms)


def _step(event: Event) -> Moment:
    title = _TITLES[event.state]
    if event.state == State.JUDGED and event.facts.get("needs"):
        title = "waits for approval"
    by = "" if event.by == LOOP else event.by
    return Moment(event.time, title, event.reason, by, event.state, event.facts)


def _raised(alarms: Sequence[Alarm], cycle: Cycle) -> list[Moment]:
    facts = {"alarm": alarms[0].alarm, "model": cycle.model} if alarms else {}
    return [Moment(each.opened or each.since, RAISED, each.sentence, facts=facts) for each in alarms]


def _closed(alarms: Sequence[Alarm]) -> list[Moment]:
    times = [each.closed for each in alarms]
    closed = [time for time in times if time]
    if not closed or len(closed) < len(times):
        return []
    words = f"{alarms[0].column or 'all columns'} is as usual again, or the version answers no more"
    return [Moment(max(closed), CLOSED, words, facts={"alarm": alarms[0].alarm, "model": alarms[0].model})]


def is_end(moment: Moment) -> bool:
    """Whether the cycle ended with it."""
    return moment.state in OVER
