"""What of a rollout is worth a step of its cycle."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

from taxiway.lineage.loop.cycle import Cycle, Event, State, Trigger
from taxiway.loop.advance import Rolled, Step, advance
from taxiway.loop.settings import parsed

NOW = datetime(2026, 1, 5, tzinfo=UTC)
SETTINGS = parsed({"model": "taxi", "pipeline": "retrain"})


def after(**changed: Any) -> Step | None:
    """The step after a look at a rollout that is paused because nothing can be told yet."""
    paused = {"state": "paused", "step": 0, "verdict": "inconclusive", "reason": "10 outcomes are too few"}
    event = Event(State.ROLLING_OUT, "paused", NOW, facts={"rollout": paused, "needs": "approval", "driver": "here"})
    cycle = Cycle("taxi-1", "taxi", Trigger("hand", "hand", "1", "", NOW), {}, (event,))
    rolled = Rolled(State.ROLLING_OUT, "paused", {"rollout": {**paused, **changed}, "needs": "approval"})
    world: Any = SimpleNamespace(name="here", rolled_out=lambda *_: rolled)
    return advance(cycle, SETTINGS, world, (), NOW)


def test_a_look_at_the_evidence_is_no_step() -> None:
    assert after(reason="11 outcomes are too few") is None


def test_that_a_pause_waits_for_a_person_by_now_is_a_step() -> None:
    step = after(verdict="success", reason="waits for a person's approval at 10 %")
    assert step and step.event and step.event.facts["rollout"]["verdict"] == "success"
