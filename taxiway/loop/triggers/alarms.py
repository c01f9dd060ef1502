"""The trigger on alarms: all that are on together start one cycle."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from components.contract.times import duration
from components.monitoring.alarms.alarm import ACKNOWLEDGED, OPEN, Alarm, by_importance, from_table
from components.monitoring.store import Store
from taxiway.lineage.loop.cycle import Cycle, State, Trigger
from taxiway.loop.triggers.settings import AlarmTrigger, TriggerSettings
from taxiway.loop.triggers.window import facts


def look(trigger: TriggerSettings, store: Store, cycles: Sequence[Cycle], now: datetime) -> Trigger | None:
    """What has happened, if anything has.

    Args:
        trigger: The trigger; its kind is `alarm`.
        store: The model's tables.
        cycles: The model's cycles, the latest first.
        now: The time.
    """
    assert isinstance(trigger.what, AlarmTrigger)
    alarms = by_importance(from_table(store.read("alarms", [("state", "in", [OPEN, ACKNOWLEDGED])])))
    found = [alarm for alarm in alarms if _counts(alarm, trigger.what)]
    new = [alarm for alarm in found if not _is_covered(alarm, cycles)]
    if new:
        return _trigger(trigger, new, "", now)
    return _again(trigger, trigger.what, found, cycles, now)


def _counts(alarm: Alarm, what: AlarmTrigger) -> bool:
    return (
        alarm.kind in what.kinds
        and (not what.columns or alarm.column in what.columns)
        and (what.slices or not alarm.slice)
    )


def _is_covered(alarm: Alarm, cycles: Sequence[Cycle]) -> bool:
    """Whether a cycle was about the alarm, or has trained on data from its time on.

    Several windows pass until a change is seen in every slice and column: the alarms that open meanwhile are of the
    same change. An alarm of the version that came of the cycle is another one.
    """
    return any(alarm.alarm in each.trigger.facts.get("alarms", ()) or _knew(each, alarm) for each in cycles)


def _knew(cycle: Cycle, alarm: Alarm) -> bool:
    end = cycle.trigger.facts.get("window_end")
    is_own = alarm.version is not None and alarm.version == cycle.facts.get("version")
    return cycle.trigger.kind == "alarm" and bool(end) and not is_own and alarm.since.isoformat() < str(end)


def _again(
    trigger: TriggerSettings, what: AlarmTrigger, found: Sequence[Alarm], cycles: Sequence[Cycle], now: datetime
) -> Trigger | None:
    """An alarm that is still on long after a cycle that pushed nothing."""
    own = [each for each in cycles if each.trigger.name == trigger.name]
    last = own[0] if own else None
    if not (what.again and found and last and last.ended and last.state != State.PROMOTED):
        return None
    if now - last.ended < duration(what.again, "again"):
        return None
    return _trigger(trigger, found, f"/{last.id}", now)


def _trigger(trigger: TriggerSettings, alarms: Sequence[Alarm], suffix: str, now: datetime) -> Trigger:
    first = alarms[0]
    more = f", and {len(alarms) - 1} more alarms" if len(alarms) > 2 else ", and one more alarm"
    reason = f"alarm {first.alarm}: {first.sentence}" + (more if len(alarms) > 1 else "")
    since, last = min(each.since for each in alarms), max(each.last for each in alarms)
    known = {
        "alarm": first.alarm,
        "alarms": [each.alarm for each in alarms],
        "columns": sorted({each.column for each in alarms}),
        "since": since.isoformat(),
    }
    window = facts(last, trigger.window, since)
    return Trigger(trigger.name, trigger.kind, first.alarm + suffix, reason, now, {**known, **window})
