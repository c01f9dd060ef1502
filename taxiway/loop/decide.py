"""Whether what a trigger has found starts a cycle now, or why not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from components.contract.times import duration
from taxiway.lineage.loop.cycle import Cycle
from taxiway.lineage.loop.ledger import Ledger
from taxiway.loop.settings import Settings
from taxiway.loop.triggers.limits import quiet, zone
from taxiway.loop.triggers.settings import HAND, TriggerSettings

_DAY = timedelta(days=1)


@dataclass
class Ages:
    """How long ago things were, for clocks that jump.

    A time that is still to come was written by a clock that was wrong. It counts from when this process saw it first.
    """

    _seen: dict[str, datetime] = field(default_factory=dict)

    def of(self, key: str, time: datetime, now: datetime) -> timedelta:
        """How long ago a time was, at least zero."""
        time = min(time, self._seen.get(key, time))
        if time > now:
            self._seen[key] = time = now
        return now - time


def why_not(trigger: TriggerSettings, settings: Settings, ledger: Ledger, ages: Ages, now: datetime) -> str:
    """Why no cycle begins now; empty if one does.

    Args:
        trigger: The trigger that has found something.
        settings: The loop's settings.
        ledger: What the lineage has of the model's loop.
        ages: How long ago the cycles ended.
        now: The time.
    """
    if ledger.current:
        return f"the cycle {ledger.current.id} is not over: {ledger.current.state}"
    if trigger.name == HAND:
        return ""
    return (
        _in_quiet_hours(trigger, settings, now)
        or _cooling_down(trigger, ledger.cycles, ages, now)
        or _used_up(settings.budget_per_day, "the budget of all triggers", ledger.cycles, ages, now)
        or _used_up(trigger.limits.budget_per_day, "its budget", _own(trigger, ledger.cycles), ages, now)
    )


def _own(trigger: TriggerSettings, cycles: Sequence[Cycle]) -> list[Cycle]:
    return [each for each in cycles if each.trigger.name == trigger.name]


def _in_quiet_hours(trigger: TriggerSettings, settings: Settings, now: datetime) -> str:
    local = now.astimezone(zone(settings.time_zone))
    for text in trigger.limits.quiet_hours:
        if quiet(text, "quiet_hours").covers(local):
            return f"quiet hours: {text} ({settings.time_zone}), and it is {local:%a %H:%M}"
    return ""


def _cooling_down(trigger: TriggerSettings, cycles: Sequence[Cycle], ages: Ages, now: datetime) -> str:
    last = cycles[-1] if cycles else None
    if last is None or last.ended is None:
        return ""
    left = duration(trigger.limits.cool_down, "cool_down") - ages.of(f"{last.id}/ended", last.ended, now)
    if left <= timedelta():
        return ""
    return f"cool-down of {trigger.limits.cool_down} after the cycle {last.id}: {_rounded(left)} left"


def _used_up(budget: int | None, what: str, cycles: Sequence[Cycle], ages: Ages, now: datetime) -> str:
    if budget is None:
        return ""
    recent = [each for each in cycles if ages.of(f"{each.id}/started", each.started, now) < _DAY]
    return f"{what} is used up: {len(recent)} of {budget} cycles in 24 hours" if len(recent) >= budget else ""


def _rounded(left: timedelta) -> str:
    seconds = int(left.total_seconds())
    return (
        f"{seconds // 3600} h {seconds % 3600 // 60} min"
        if seconds >= 3600
        else f"{seconds // 60} min {seconds % 60} s"
    )
