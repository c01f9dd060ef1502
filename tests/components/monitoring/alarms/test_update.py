"""An alarm's life: suspected, opened once, acknowledged, muted, closed by itself."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from deltalake import DeltaTable

from components.contract.errors import UserError
from components.monitoring.alarms import mutes
from components.monitoring.alarms.acknowledge import acknowledge
from components.monitoring.alarms.facts import Traffic
from components.monitoring.alarms.settings import AlarmSettings, Mute
from tests.components.monitoring.alarms.windows import HOUR, START, STRONG, WEAK, Decided, Watch


@pytest.fixture
def watch(tmp_path: Path) -> Watch:
    return Watch(tmp_path)


def events(found: object) -> list[tuple[str, str]]:
    return [(change.event, change.alarm.column) for change in found]  # type: ignore[attr-defined]


def test_a_strong_change_opens_an_alarm_at_once(watch: Watch) -> None:
    assert events(watch.see(0, STRONG)) == [("opened", "trip_miles")]
    [alarm] = watch.alarms
    assert (alarm.state, alarm.opened, alarm.since, alarm.last) == ("open", START + HOUR, START, START + HOUR)


def test_a_weak_change_is_suspected_first(watch: Watch) -> None:
    """Evidence multiplies: 0.1 * 0.01 ** -0.9 is 6.3, so the fourth window passes 1000."""
    found = [events(watch.see(number, WEAK)) for number in range(4)]
    assert found == [[("suspected", "trip_miles")], [], [], [("opened", "trip_miles")]]
    assert watch.alarms[0].since == START


def test_an_alarm_is_raised_once_and_closes_by_itself(watch: Watch) -> None:
    watch.see(0, STRONG)
    assert [events(watch.see(number, STRONG)) for number in (1, 2)] == [[], []]
    assert [events(watch.see(number)) for number in (3, 4, 5)] == [[], [], [("closed", "trip_miles")]]
    [alarm] = watch.alarms
    assert (alarm.last, alarm.closed) == (START + 3 * HOUR, START + 6 * HOUR)


def test_after_it_has_closed_a_new_alarm_is_raised(watch: Watch) -> None:
    for number in range(8):
        watch.see(number, *[STRONG] * (number in (0, 7)))
    assert watch.states == ["closed", "open"]
    assert len({alarm.alarm for alarm in watch.alarms}) == 2


def test_few_rows_do_not_close_an_alarm(watch: Watch) -> None:
    """At night there are five rows an hour; that nothing stands out in them says nothing."""
    watch.see(0, STRONG, rows=1000)
    for number in range(1, 6):
        watch.see(number, rows=5)
    assert watch.states == ["open"]
    watch.see(6, rows=990)
    assert watch.states == ["closed"]


def test_an_alarm_closes_when_its_version_answers_no_more(watch: Watch) -> None:
    watch.see(0, STRONG, version=1)
    for number in (1, 2):
        watch.see(number, version=2)
    assert watch.states == ["open"]
    assert events(watch.see(3, version=2)) == [("closed", "trip_miles")]


def test_a_slice_without_rows_at_night_keeps_its_alarm_for_a_day(watch: Watch) -> None:
    watch.see(0, STRONG, part="hour:3")
    for number in range(1, 24):
        watch.see(number)
    assert watch.states == ["open"]
    watch.see(24)
    assert watch.states == ["closed"]


@pytest.mark.parametrize("again", [0, 1, 3])
def test_a_window_that_is_computed_again_changes_nothing_twice(watch: Watch, again: int) -> None:
    found = {0: [WEAK], 1: [WEAK], 2: [], 3: [WEAK]}
    for number, decisions in found.items():
        watch.see(number, *decisions)
    before, version = watch.alarms, watch.store.version("alarms")
    assert watch.see(again, *found[again], later=timedelta(hours=9)) == []
    assert (watch.alarms, watch.store.version("alarms")) == (before, version)


def test_the_order_of_windows_does_not_matter(watch: Watch, tmp_path: Path) -> None:
    other = Watch(tmp_path / "other")
    for number in (0, 1, 2, 3):
        watch.see(number, WEAK)
    for number in (2, 0, 3, 1):
        other.see(number, WEAK)
    assert [(a.state, a.since, a.last, a.evidence) for a in other.alarms] == [
        (a.state, a.since, a.last, a.evidence) for a in watch.alarms
    ]


def test_an_alarm_that_was_told_may_have_begun_earlier(watch: Watch) -> None:
    for number in (2, 1, 0):
        watch.see(number, STRONG)
    assert [(alarm.since, alarm.last) for alarm in watch.alarms] == [(START, START + 3 * HOUR)]


def test_late_rows_that_end_a_suspicion_close_it(watch: Watch) -> None:
    watch.see(0, WEAK)
    assert events(watch.see(0, later=HOUR)) == [("closed", "trip_miles")]


def test_late_rows_do_not_take_back_an_alarm_that_was_told(watch: Watch) -> None:
    watch.see(0, STRONG)
    assert watch.see(0, WEAK, later=HOUR) == []
    assert watch.states == ["open"]


def test_late_rows_of_a_window_before_a_closed_alarm_raise_no_other(watch: Watch) -> None:
    for number in range(1, 6):
        watch.see(number, *[STRONG] * (number in (1, 2)))
    assert watch.states == ["closed"]
    assert watch.see(0, STRONG, later=9 * HOUR) == []


def test_quiet_windows_weaken_the_evidence(watch: Watch) -> None:
    for number in range(6):
        watch.see(number, *[WEAK] * (number % 2 == 0))
    assert watch.states == ["suspected"]


def test_an_effect_below_its_floor_adds_no_evidence(watch: Watch) -> None:
    watch.see(0, WEAK)
    for number in range(1, 3):
        watch.see(number, replace(STRONG, signal=False))
    assert watch.states == ["suspected"]


def test_the_columns_of_a_window_are_told_by_importance(watch: Watch) -> None:
    decisions = [replace(STRONG, column=name, importance=size) for name, size in (("a", 0.1), ("b", -0.9), ("c", None))]
    assert [change.alarm.column for change in watch.see(0, *decisions)] == ["b", "a", "c"]


def test_an_acknowledged_alarm_stays_so_until_it_closes(watch: Watch) -> None:
    [opened] = watch.see(0, STRONG)
    assert acknowledge(watch.store, opened.alarm.alarm, "ann", START + HOUR).event == "acknowledged"
    assert watch.see(1, STRONG) == []
    assert (watch.alarms[0].state, watch.alarms[0].acknowledged_by) == ("acknowledged", "ann")
    assert [events(watch.see(number)) for number in (2, 3, 4)][-1] == [("closed", "trip_miles")]
    with pytest.raises(UserError, match="is closed"):
        acknowledge(watch.store, opened.alarm.alarm, "ann", START)
    with pytest.raises(UserError, match="there is no alarm 'x'"):
        acknowledge(watch.store, "x", "ann", START)


def test_muted_columns_raise_nothing_until_the_mute_ends(watch: Watch) -> None:
    mutes.add(watch.store, "taxi", Mute("trip_*", until=START + 3 * HOUR), by="ann")
    assert events(watch.see(0, STRONG, replace(STRONG, column="tips"))) == [("opened", "tips"), ("muted", "trip_miles")]
    assert watch.alarms[1].opened is None
    assert watch.see(1, STRONG, replace(STRONG, column="tips")) == []
    assert events(watch.refresh(START + 3 * HOUR)) == [("opened", "trip_miles")]


def test_a_mute_can_be_ended(watch: Watch) -> None:
    watch.see(0, STRONG)
    mutes.add(watch.store, "taxi", Mute("trip_miles"), by="ann")
    assert events(watch.refresh(START + HOUR)) == [("muted", "trip_miles")]
    assert mutes.end(watch.store, "tips", START + HOUR) == 0
    assert mutes.end(watch.store, "trip_miles", START + HOUR) == 1
    assert events(watch.refresh(START + 2 * HOUR)) == [("opened", "trip_miles")]
    assert watch.alarms[0].opened == START + HOUR


def test_settings_mute_by_slice_kind_and_time(tmp_path: Path) -> None:
    mute = Mute("*", slice="hour:3", kind="drift", since=START + 2 * HOUR)
    watch = Watch(tmp_path, AlarmSettings(mutes=(mute,)))
    assert events(watch.see(0, STRONG, part="hour:3")) == [("opened", "trip_miles")]
    assert events(watch.see(1, STRONG, part="hour:3")) == [("muted", "trip_miles")]


def test_a_changed_schema_is_told_once(watch: Watch) -> None:
    changed = {2: {"tips": "it is a category, and was a number in the version before"}}
    [found] = watch.see(0, version=2, schema=changed)
    assert found.event == "opened"
    assert "the schema has changed: tips: it is a category" in found.alarm.sentence
    assert watch.see(1, version=2, schema=changed) == []


def test_an_empty_window_and_a_window_of_one_row(watch: Watch) -> None:
    assert watch.see(0, rows=0) == []
    assert watch.see(1, rows=1) == []
    assert watch.see(2, rows=0, traffic={None: Traffic(0)}) == []


def _see(folder: Path, start: object, numbers: list[int]) -> None:
    start.wait()  # type: ignore[attr-defined]
    for number in numbers:
        Watch(folder).see(number, STRONG, Decided("tips", 0.02))
    # As the command does: Arrow's threads may outlive Python's end, and abort it.
    os._exit(0)


def test_two_monitors_at_once_raise_each_alarm_once(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(2)
    workers = [context.Process(target=_see, args=(tmp_path, barrier, order)) for order in ([0, 1, 2], [2, 1, 0])]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0]
    found = Watch(tmp_path).alarms
    assert [(alarm.column, alarm.state, alarm.since) for alarm in found] == [
        ("tips", "suspected", START),
        ("trip_miles", "open", START),
    ]


def test_a_change_by_others_in_between_is_not_lost(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody acknowledges an alarm after the monitor has read it, and before it writes it."""
    from components.monitoring.alarms import update as module

    [opened] = watch.see(0, STRONG)
    made: list[Callable[..., object]] = [module.made]

    def late(*arguments: object) -> object:
        if made[1:] == []:
            made.append(made[0])
            acknowledge(watch.store, opened.alarm.alarm, "ann", START + HOUR)
        return made[0](*arguments)

    monkeypatch.setattr(module, "made", late)
    watch.see(1, STRONG)
    assert [(alarm.state, alarm.acknowledged_by, alarm.last) for alarm in watch.alarms] == [
        ("acknowledged", "ann", START + 2 * HOUR)
    ]


def test_all_tables_are_read_by_others(watch: Watch) -> None:
    watch.see(0, STRONG)
    rows = DeltaTable(watch.store.path("signals")).to_pyarrow_table().to_pylist()
    assert sorted(row["kind"] for row in rows) == ["drift", "model", "window"]
