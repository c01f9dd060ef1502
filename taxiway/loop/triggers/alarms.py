"""The trigger on alarms: all that are on together start one cycle."""

from __future__ import annotations

from collections.abc import Sequence

from components.contract.times import duration
from components.monitoring.alarms.alarm import ACKNOWLEDGED, OPEN, Alarm, by_importance, from_table
from taxiway.lineage.loop.cycle import Cycle, State, Trigger
from taxiway.loop.triggers.seen import Seen, View
from taxiway.loop.triggers.settings import AlarmTrigger


def look(view: View, what: AlarmTrigger) -> Seen:
    """What the monitor has raised."""
    on = by_importance(from_table(view.tables.read("alarms", [("state", "in", [OPEN, ACKNOWLEDGED])])))
    found = [alarm for alarm in on if _counts(alarm, what)]
    new = [alarm for alarm in found if not _is_covered(alarm, view.cycles)]
    if new:
        trigger = _trigger(view, new)
    elif last := _to_repeat(view, what, found):
        trigger = _trigger(view, found, f"/{last.id}")
    else:
        others = f"{len(on) - len(found)} alarms that do not count, " if len(on) > len(found) else ""
        return Seen(view.trigger, f"{others}{len(found)} that had a cycle" if on else "no alarm is on")
    return Seen(view.trigger, trigger.reason, trigger)


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


def _to_repeat(view: View, what: AlarmTrigger, on: Sequence[Alarm]) -> Cycle | None:
    """The trigger's last cycle if it pushed nothing, long enough ago, and alarms are still on."""
    last = next((each for each in view.cycles if each.trigger.name == view.trigger.name), None)
    if not (what.again and on and last and last.ended and last.state != State.PROMOTED):
        return None
    return last if view.now - last.ended >= duration(what.again, "again") else None


def _trigger(view: View, alarms: Sequence[Alarm], suffix: str = "") -> Trigger:
    first, others = alarms[0], len(alarms) - 1
    more = f", and {others} more alarm{'s' * (others > 1)}" if others else ""
    return view.found(
        first.alarm + suffix,
        f"alarm {first.alarm}: {first.sentence}{more}",
        max(each.last for each in alarms),
        min(each.since for each in alarms),
        alarm=first.alarm,
        alarms=[each.alarm for each in alarms],
        columns=sorted({each.column for each in alarms}),
    )
