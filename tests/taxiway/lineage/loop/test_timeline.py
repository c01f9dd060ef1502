"""A cycle's time line, from the alarm that triggered it to its end."""

from __future__ import annotations

from dataclasses import fields
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from components.monitoring.alarms.alarm import CLOSED, OPEN, Alarm
from taxiway.lineage.loop.cycle import Cycle, Event, State, Trigger
from taxiway.lineage.loop.timeline import is_closed, timeline

START = datetime(2026, 3, 6, 8, tzinfo=UTC)
WINDOW = {"window_start": "2026-03-06T07:00:00+00:00", "window_end": "2026-03-06T08:00:00+00:00"}


def at(seconds: int) -> datetime:
    return START + timedelta(seconds=seconds)


def cycle(*steps: tuple[int, State, str, dict[str, Any]]) -> Cycle:
    events = [Event(state, reason, at(seconds), facts=facts) for seconds, state, reason, facts in steps]
    return Cycle("taxi-alarm-1", "taxi", Trigger("alarm", "alarm", "1", "miles moved", START), {}, events)


def alarm(name: str, closed: datetime | None = None) -> Alarm:
    known: dict[str, Any] = dict.fromkeys(each.name for each in fields(Alarm))
    known |= {"alarm": name, "model": "taxi", "version": 7, "kind": "drift", "column": "miles", "slice": ""}
    known |= {"state": CLOSED if closed else OPEN, "sentence": f"{name} moved", "since": START, "opened": at(-9)}
    return Alarm(**{**known, "closed": closed})


BEGUN = (
    (0, State.WAITING, "alarm one: one moved", {}),
    (1, State.RETRAINING, "run retrain with a, b", {"parameters": WINDOW}),
    (2, State.RETRAINING, "the run r begins", {"run": "r"}),
    (60, State.JUDGED, "better by 0.1", {"run": "r", "version": 8}),
    (61, State.ROLLING_OUT, "10 %", {}),
    (62, State.ROLLING_OUT, "10 %", {}),
)
DONE = (*BEGUN, (90, State.PROMOTED, "every step was a success", {}))


def test_it_goes_from_the_alarm_to_its_end() -> None:
    found = timeline(cycle(*DONE), [alarm("one", at(120)), alarm("two", at(110))])
    assert [each.title for each in found] == [
        "alarm", "retraining", "run", "judged better", "rollout", "promoted", "alarm closed",
    ]  # fmt: skip
    assert found[0].words == "one moved; and 1 more alarm"
    assert found[1].words == "run retrain on the requests from 2026-03-06 07:00:00 to 08:00:00 UTC"
    assert (found[-1].time, found[-1].facts["alarm"]) == (at(120), "one")


def test_an_alarm_that_is_on_is_not_closed() -> None:
    alarms = [alarm("one", at(120)), alarm("two")]
    assert timeline(cycle(*DONE), alarms)[-1].title == "promoted"
    assert not is_closed(cycle(*DONE), alarms)
    assert is_closed(cycle(*DONE), [alarm("one", at(120))])
    assert not is_closed(cycle(*BEGUN), [alarm("one", at(120))])


def test_without_alarms_it_begins_with_the_trigger() -> None:
    assert timeline(cycle(*DONE))[0].words == "alarm one: one moved"


@pytest.mark.parametrize(("verdict", "title"), [("success", "waits for approval"), ("inconclusive", "paused")])
def test_what_waits_says_for_what(verdict: str, title: str) -> None:
    facts = {"needs": "approval", "rollout": {"verdict": verdict}}
    assert timeline(cycle(*BEGUN, (70, State.ROLLING_OUT, "10 %, paused", facts)))[-1].title == title
