"""Cycles with a rollout, through a real proxy before a real server."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from taxiway.lineage.loop import history
from taxiway.lineage.loop.cycle import Cycle, State
from taxiway.loop import people
from taxiway.loop.loop import Loop
from tests.taxiway.delivery.conftest import Setup, Traffic
from tests.taxiway.loop.conftest import Site, until


def delivered(site: Site, setup: Setup, **changed: Any) -> Loop:
    """A loop whose pipeline pushes version 2, while 1 serves."""
    (site.served / "1").mkdir()
    (site.served / "1" / "saved_model.pb").write_text("the first")
    return site.loop(delivery=setup.settings(20, **changed.pop("settings", {})), **changed)


def carried(loop: Loop, is_done: Any) -> Cycle:
    def look() -> Cycle | None:
        loop.tick(datetime.now(UTC))
        found = history(loop.lineage, "taxi")[0]
        return found if is_done(found) else None

    return until(look)


def test_a_version_is_rolled_out_and_promoted(drifted: Site, setup: Setup, traffic: Traffic) -> None:
    traffic(setup.proxy, 200)
    loop = delivered(drifted, setup)
    cycle = carried(loop, lambda cycle: cycle.is_over)
    assert (cycle.state, cycle.reason) == (State.PROMOTED, "every step was a success")
    rolling = [event.reason for event in cycle.events if event.state == State.ROLLING_OUT]
    assert rolling[:2] == ["version 2", "step 1 of 2: 20 % of the traffic"]
    assert (cycle.facts["champion"], cycle.facts["version"]) == (1, 2)


def test_a_version_that_fails_is_taken_back(drifted: Site, setup: Setup, traffic: Traffic) -> None:
    traffic(setup.proxy, 200)
    setup.behave(fail=0.5)
    cycle = carried(delivered(drifted, setup), lambda cycle: cycle.is_over)
    assert cycle.state == State.ROLLED_BACK
    assert cycle.reason.startswith("errors: ")


def test_a_person_decides_before_the_rollout_and_in_it(
    drifted: Site,
    setup: Setup,
    traffic: Traffic,
) -> None:
    traffic(setup.proxy, 200)
    loop = delivered(drifted, setup, approval=True)
    waits = carried(loop, lambda cycle: cycle.state == State.JUDGED)
    assert loop.tick(datetime.now(UTC)).taken == []
    assert people.waiting(loop.lineage).id == waits.id
    people.answer(loop.lineage, waits, approves=True, by="ana", reason="it looks good", now=datetime.now(UTC))
    rolling = carried(loop, lambda cycle: cycle.facts.get("rollout", {}).get("state") == "running")
    assert ("ana", "version 2 was approved: it looks good") in [(event.by, event.reason) for event in rolling.events]
    people.answer(loop.lineage, rolling, approves=False, by="bob", reason="the press", now=datetime.now(UTC))
    cycle = carried(loop, lambda cycle: cycle.is_over)
    assert (cycle.state, cycle.events[-1].by) == (State.ROLLED_BACK, "bob")
    assert cycle.reason == "bob took it back: the press"


def test_a_loop_that_is_started_again_carries_the_rollout_on(
    drifted: Site,
    setup: Setup,
    traffic: Traffic,
) -> None:
    traffic(setup.proxy, 200)
    first = delivered(drifted, setup)
    begun = carried(first, lambda cycle: cycle.facts.get("rollout", {}).get("state") == "running")
    first.world.close()
    second = drifted.loop(delivery=setup.settings(20))
    cycle = carried(second, lambda cycle: cycle.is_over)
    assert (cycle.id, cycle.state) == (begun.id, State.PROMOTED)
    assert cycle.facts["rollout"]["id"] == cycle.id


def test_a_rejected_version_gets_no_traffic(drifted: Site, setup: Setup) -> None:
    loop = delivered(drifted, setup, approval=True)
    waits = carried(loop, lambda cycle: cycle.state == State.JUDGED)
    people.answer(loop.lineage, waits, approves=False, by="ana", reason="not now", now=datetime.now(UTC))
    cycle = carried(loop, lambda cycle: cycle.is_over)
    assert (cycle.state, cycle.reason) == (State.ROLLED_BACK, "version 2 was rejected: not now")
    assert not (drifted.home.rollouts / "taxi").exists()


def test_a_rollout_whose_home_is_lost_is_taken_back_by_a_person(
    drifted: Site,
    setup: Setup,
    traffic: Traffic,
) -> None:
    traffic(setup.proxy, 200)
    first = delivered(drifted, setup)
    rolling = carried(first, lambda cycle: cycle.facts.get("rollout", {}).get("state") == "running")
    first.world.close()
    second = drifted.loop(delivery=setup.settings(20))
    second.world.__dict__["name"] = "another home"
    assert second.tick(datetime.now(UTC)).taken == []
    people.answer(second.lineage, rolling, approves=False, by="ana", reason="it is lost", now=datetime.now(UTC))
    assert carried(second, lambda cycle: cycle.is_over).reason == "ana took it back: it is lost"
