"""The trigger at a time: of what passed while no loop ran, the last is made up for."""

from __future__ import annotations

from datetime import datetime

from taxiway.lineage.loop.ledger import Mark
from taxiway.loop.triggers import cron
from taxiway.loop.triggers.seen import Seen, View
from taxiway.loop.triggers.settings import ScheduleTrigger


def look(view: View, what: ScheduleTrigger) -> Seen:
    """Whether it is time."""
    last = cron.parsed(what.cron, "schedule").last(view.now, view.zone)
    key = f"{view.trigger.name}/{what.cron}"
    times = [datetime.fromisoformat(each) for each in view.known(key)]
    # A clock that was put forward has left times that are still to come: they do not count.
    known = [each for each in times if each <= view.now]
    if last is None:
        return Seen(view.trigger, "it was never time")
    if not known:
        return Seen(view.trigger, f"counts from now on: {what.cron}", mark=Mark(key, last.isoformat(), view.now))
    local = f"{last.astimezone(view.zone):%Y-%m-%d %H:%M}"
    if last <= max(known):
        return Seen(view.trigger, f"it was last time at {local}")
    reason = f"it was time at {local} ({what.cron})"
    return Seen(view.trigger, reason, view.found(last.isoformat(), reason, view.now, key=key, value=last.isoformat()))
