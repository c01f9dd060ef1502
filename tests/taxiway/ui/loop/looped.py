"""A model's loop as it could have been recorded: a cycle that was promoted, one that waits, and a rollout by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from components.monitoring.store import Store
from taxiway.delivery.keeper import Keeper
from taxiway.delivery.rollout import PAUSED, RUNNING, Reading
from taxiway.lineage.loop import cycles, ledger
from taxiway.lineage.loop.cycle import Cycle, Event, State, Trigger
from taxiway.lineage.store import LineageStore
from taxiway.storage.home import Home
from tests.components.reports.monitoring.watched import ALARM, Size, fill

START = datetime(2026, 3, 6, 8, tzinfo=UTC)
MODEL, HAND = "taxi", "by hand"
SAID = "version 7: trip_miles: mean 2.9 -> 4.67 (+0.84 standard deviations), since 2026-03-04 00:00 UTC"
PAUSE = "step 1 of 2: 10 % of the traffic, paused: waits for a person's approval at 10 %"
RUN = "taxi-retrain-20260306-080001-1f2e3d00"
READINGS = (
    Reading("errors", "success", "errors: 0.00 % of the challenger's requests failed", 0.0, 0.0, (5400, 600), 0.8),
    Reading("business", "inconclusive", "business: right is 0.88, and was 0.71", 0.71, 0.88, (5400, 600), 3.5),
)
DELIVERY = {
    "weights": {"route": "http://127.0.0.1:8602"},
    "steps": [{"weight": 10, "approval": True}, {"weight": 100, "least_time": "0s", "least_requests": 0}],
}

Steps = Sequence[tuple[int, State, str, dict[str, Any]]]


def fill_loop(home: Home) -> None:
    """Fills a home with all of it; the tables are in it, too."""
    fill(Store(str(home.monitoring / MODEL)), Size(96))
    store = LineageStore.open(home.lineage)
    promoted = [
        (5, State.RETRAINING, f"the run {RUN} begins", {"run": RUN}),
        (
            65,
            State.JUDGED,
            "version 8 was pushed: better by 0.1",
            {"run": RUN, "version": 8, "pushed": "served/taxi/8"},
        ),
        (66, State.ROLLING_OUT, "step 1 of 2: 10 % of the traffic", {}),
        (90, State.PROMOTED, "every step was a success", {}),
    ]
    begin(store, "schedule", START - timedelta(days=7), promoted, {})
    cycle = begin(
        store,
        "alarm",
        START,
        [*promoted[:3], (80, State.ROLLING_OUT, PAUSE, {"needs": "approval"})],
        {"alarms": [ALARM]},
    )
    rolled(home, MODEL, cycle.id, PAUSED)
    rolled(home, HAND, "", RUNNING)


def begin(store: LineageStore, kind: str, start: datetime, steps: Steps, facts: dict[str, Any]) -> Cycle:
    """A cycle with its steps, each some seconds after its start."""
    trigger = Trigger(kind, kind, f"{kind}-{start:%d}", f"alarm {ALARM}: {SAID}", start, facts)
    found = cycles.begin(store, MODEL, trigger, {}, ledger.read(store, MODEL).cycles, now=start)
    for seconds, state, reason, known in steps:
        assert found
        found = cycles.add(store, found, Event(state, reason, start + timedelta(seconds=seconds), facts=known))
    assert found
    return found


def rolled(home: Home, model: str, id: str, state: str) -> None:
    """A rollout at its first step."""
    keeper = Keeper(home.rollouts / model)
    begun = keeper.begin(7, 8, DELIVERY, START, id)
    keeper.save(replace(begun, state=state, since=START, reason=PAUSE, readings=READINGS))
