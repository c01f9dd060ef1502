"""What happened in a cycle, from the alarm that triggered it to the one that closed, on one time line."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from components.contract.times import zoned
from components.monitoring.alarms.alarm import Alarm
from taxiway.lineage.loop.cycle import LOOP, Cycle, Event, State

RAISED, CLOSED, ASKS, PAUSED = "alarm", "alarm closed", "waits for approval", "paused"

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
    # The alarm says the same as the first step.
    steps = cycle.events[1:] if alarms else cycle.events
    found = [*_raised(alarms, cycle), *_distinct(map(_step, steps)), *_closed(alarms)]
    return sorted(found, key=lambda each: each.time)


def _distinct(moments: Iterable[Moment]) -> Iterator[Moment]:
    """Without those that say the same as the one before."""
    for _, same in itertools.groupby(moments, key=lambda each: (each.title, each.words, each.by)):
        yield next(same)


def is_closed(cycle: Cycle, alarms: Sequence[Alarm]) -> bool:
    """Whether the cycle is over and so are the alarms that triggered it."""
    return cycle.is_over and all(each.closed for each in alarms)


def _step(event: Event) -> Moment:
    by = "" if event.by == LOOP else event.by
    return Moment(event.time, _title(event), _words(event), by=by, state=event.state, facts=event.facts)


def _title(event: Event) -> str:
    if event.facts.get("needs"):
        return PAUSED if event.facts.get("rollout", {}).get("verdict") == "inconclusive" else ASKS
    if event.state == State.RETRAINING and "run" in event.facts:
        return "run"
    return _TITLES[event.state]


def _words(event: Event) -> str:
    """The reason; of a retraining the window, as all parameters are a page of their own."""
    given = event.facts.get("parameters", {})
    if "window_start" not in given or "window_end" not in given:
        return event.reason
    first, last = zoned(given["window_start"]), zoned(given["window_end"])
    until = f"{last:%H:%M:%S}" if last.date() == first.date() else f"{last:%Y-%m-%d %H:%M:%S}"
    return f"{event.reason.partition(' with ')[0]} on the requests from {first:%Y-%m-%d %H:%M:%S} to {until} UTC"


def _raised(alarms: Sequence[Alarm], cycle: Cycle) -> list[Moment]:
    if not alarms:
        return []
    first, more = alarms[0], len(alarms) - 1
    words = first.sentence + (f"; and {more} more alarm{'s' * (more > 1)}" if more else "")
    facts = {"alarm": first.alarm, "model": cycle.model}
    return [Moment(first.opened or first.since, RAISED, words, facts=facts)]


def _closed(alarms: Sequence[Alarm]) -> list[Moment]:
    times = [each.closed for each in alarms]
    closed = [time for time in times if time]
    if not closed or len(closed) < len(times):
        return []
    words = f"version {alarms[0].version} answers no more, or {alarms[0].column or 'all'} is as it was"
    return [Moment(max(closed), CLOSED, words, facts={"alarm": alarms[0].alarm, "model": alarms[0].model})]
