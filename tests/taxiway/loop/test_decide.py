"""Cool-down, budgets, quiet hours and clocks that jump."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from taxiway.lineage.loop.cycle import Cycle, Event, State, Trigger
from taxiway.lineage.loop.ledger import Ledger
from taxiway.loop.decide import Ages, why_not
from taxiway.loop.settings import parsed
from taxiway.loop.triggers.look import BY_HAND

NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def cycle(ended: datetime | None, name: str = "alarm", started: datetime | None = None) -> Cycle:
    trigger = Trigger(name=name, kind=name, id=str(started or ended), reason="", time=NOW)
    events = [Event(State.WAITING, "", started or ended or NOW)]
    events += [Event(State.NOTHING_PUSHED, "", ended)] if ended else []
    return Cycle(f"taxi-{name}-{started or ended}", "taxi", trigger, {}, events)


def reason(*cycles: Cycle, now: datetime = NOW, ages: Ages | None = None, **given: Any) -> str:
    common = {name: given.pop(name) for name in ("time_zone", "budget_per_day") if name in given}
    trigger = {"alarm": {}, **given}
    settings = parsed({"model": "taxi", "pipeline": "taxi", "triggers": [trigger], **common})
    return why_not(settings.triggers[0], settings, Ledger("taxi", cycles), ages or Ages(), now)


def test_a_cycle_that_is_not_over_keeps_all_others_waiting() -> None:
    running = cycle(None)
    assert reason(running) == f"the cycle {running.id} is not over: waiting"
    settings = parsed({"model": "taxi", "pipeline": "taxi"})
    assert why_not(BY_HAND, settings, Ledger("taxi", [running]), Ages(), NOW)
    assert why_not(BY_HAND, settings, Ledger("taxi", [cycle(NOW)]), Ages(), NOW) == ""


def test_the_cool_down_begins_with_the_end_of_the_last_cycle_of_any_trigger() -> None:
    last = cycle(NOW - HOUR, "weekly", NOW - 9 * HOUR)
    assert reason(last, cool_down="3h") == f"cool-down of 3h after the cycle {last.id}: 2 h 0 min left"
    assert reason(last, cool_down="1h") == ""
    assert reason(cool_down="3h") == ""


def test_a_trigger_has_a_budget_and_so_have_all_together() -> None:
    cycles = [cycle(NOW - 2 * HOUR * n, name) for n, name in ((9, "alarm"), (8, "weekly"), (7, "alarm"))]
    assert reason(*cycles, cycle(NOW - 25 * HOUR)) == ""
    assert reason(*cycles, **{"cool_down": "1h", "budget_per_day": 3}).startswith("the budget of all triggers is used")
    trigger = {"alarm": {}, "budget_per_day": 2}
    settings = parsed({"model": "taxi", "pipeline": "taxi", "triggers": [trigger]})
    said = why_not(settings.triggers[0], settings, Ledger("taxi", cycles), Ages(), NOW)
    assert said == "its budget is used up: 2 of 2 cycles in 24 hours"
    assert why_not(settings.triggers[0], settings, Ledger("taxi", cycles), Ages(), NOW + 7 * HOUR) == ""


@pytest.mark.parametrize(
    ("hours", "time", "is_quiet"),
    [
        ("22:00-06:00", "2026-01-05T21:59", False),
        ("22:00-06:00", "2026-01-05T22:00", True),
        ("22:00-06:00", "2026-01-06T05:59", True),
        ("22:00-06:00", "2026-01-06T06:00", False),
        ("sat-sun", "2026-01-03T00:00", True),
        ("sat-sun", "2026-01-04T23:59", True),
        ("sat-sun", "2026-01-05T00:00", False),
        ("fri 20:00-08:00", "2026-01-03T07:00", True),
        ("fri 20:00-08:00", "2026-01-03T09:00", False),
        ("sat-mon 08:00-18:00", "2026-01-05T12:00", True),
        ("08:00-24:00", "2026-01-05T23:30", True),
    ],
)
def test_quiet_hours_are_local(hours: str, time: str, is_quiet: bool) -> None:
    from zoneinfo import ZoneInfo

    for zone in ("UTC", "Asia/Kolkata", "America/New_York"):
        now = datetime.fromisoformat(time).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)
        said = reason(quiet_hours=[hours], time_zone=zone, now=now)
        assert bool(said) == is_quiet
        assert not said or said.startswith(f"quiet hours: {hours} ({zone}), and it is ")


def test_a_clock_that_was_ahead_keeps_nothing_waiting_for_years() -> None:
    last, ages = cycle(NOW + 4 * 365 * DAY, started=NOW + 4 * 365 * DAY), Ages()
    assert reason(last, cool_down="1h", ages=ages).endswith("1 h 0 min left")
    assert reason(last, cool_down="1h", ages=ages, now=NOW + 30 * 60 * timedelta(seconds=1)).endswith("30 min 0 s left")
    assert reason(last, cool_down="1h", ages=ages, now=NOW + HOUR) == ""
    # Put back once more, it begins again.
    assert reason(last, cool_down="1h", ages=ages, now=NOW - DAY).endswith("1 h 0 min left")
