"""One step of a cycle: what its run and its rollout say, and what follows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Protocol

from components.contract.artifacts import Artifact
from taxiway.lineage.loop.cycle import LOOP, Cycle, Event, State
from taxiway.lineage.loop.ledger import Answer
from taxiway.loop.runs.look import ENDED, MISSING, Look
from taxiway.loop.runs.parameters import filled
from taxiway.loop.runs.results import Results
from taxiway.loop.settings import Settings


class Runs(Protocol):
    """Where a cycle's pipeline runs."""

    def look(self, cycle: Cycle, settings: Settings) -> Look:
        """What the cycle's run does."""

    def start(self, cycle: Cycle, settings: Settings, name: str) -> None:
        """Starts a run; what is wrong with it is seen at the next look."""


class World(Protocol):
    """What a cycle moves, and what it looks at."""

    def runs(self, settings: Settings) -> Runs:
        """Where its pipeline runs."""

    def is_ours(self, starter: str, run: str) -> bool:
        """Whether a run that another process was about to start, and that is not there, can be started."""

    @property
    def name(self) -> str:
        """Who starts runs here."""

    def results(self, run_id: str) -> Results:
        """What a run has made."""

    def serving(self, pushed: str, settings: Settings) -> int | None:
        """The version that serves, beside the one that was pushed; None if there is none."""

    def rolled_out(self, cycle: Cycle, settings: Settings, answers: Sequence[Answer], now: datetime) -> Rolled:
        """Begins the rollout of a cycle's version, or carries it on."""

    def close(self) -> None:
        """Gives up the rollout, which another process may carry on."""


@dataclass(frozen=True)
class Rolled:
    """Where a rollout is.

    Attributes:
        state: rolling_out, promoted or rolled_back.
        reason: Why.
        facts: The rollout, as JSON.
        by: Who decided it.
    """

    state: State
    reason: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    by: str = LOOP


@dataclass(frozen=True)
class Step:
    """The next step of a cycle.

    Attributes:
        event: The step; None if only a run has to be started.
        outputs: What it has made, by port.
        start: The run to start after the step was written down.
    """

    event: Event | None
    outputs: Mapping[str, Artifact] = field(default_factory=dict)
    start: str = ""


def advance(cycle: Cycle, settings: Settings, world: World, answers: Sequence[Answer], now: datetime) -> Step | None:
    """The next step of a cycle that is not over; None if nothing has changed.

    Args:
        cycle: The cycle.
        settings: The settings that it began with.
        world: What it moves and looks at.
        answers: What people said of it.
        now: The time.

    Raises:
        UserError: The cycle cannot go on.
        ServiceError: Something does not answer; the step is tried again later.
    """
    match cycle.state:
        case State.WAITING:
            given = filled(settings.parameters, cycle.trigger)
            reason = f"{settings.action} {settings.pipeline} with {_listed(given)}"
            return Step(Event(State.RETRAINING, reason, now, facts={"parameters": given}))
        case State.RETRAINING:
            return _retrained(cycle, settings, world, now)
        case State.JUDGED:
            return _approved(cycle, settings, world, answers, now)
        case _:
            return _delivered(cycle, settings, world, answers, now)


def _listed(parameters: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value}" for name, value in parameters.items()) or "its defaults"


def _retrained(cycle: Cycle, settings: Settings, world: World, now: datetime) -> Step | None:
    look = world.runs(settings).look(cycle, settings)
    is_known = cycle.facts.get("run") == look.run
    facts = {"run": look.run, **look.facts}
    if look.state == MISSING:
        if is_known:
            return Step(None, start=look.run) if world.is_ours(cycle.facts["starter"], look.run) else None
        reason = f"the run {look.run} begins{f', {look.reason}' if look.reason else ''}"
        started = {**facts, "starter": world.name}
        return Step(Event(State.RETRAINING, reason, now, facts=started), start=look.run)
    if look.state == ENDED:
        failed = Step(Event(State.FAILED, look.reason, now, facts=facts))
        return failed if look.reason else _judged(settings, world.results(look.run), facts, world, now)
    if is_known and facts.items() <= cycle.facts.items():
        return None
    return Step(Event(State.RETRAINING, f"the run {look.run} goes on", now, facts=facts))


def _judged(settings: Settings, results: Results, facts: Mapping[str, Any], world: World, now: datetime) -> Step:
    if results.version is None:
        reason = results.verdict or f"the run {facts['run']} has pushed no version"
        return Step(Event(State.NOTHING_PUSHED, reason, now, facts={**facts, "verdict": results.verdict}))
    champion = world.serving(results.pushed, settings)
    known = {"pushed": results.pushed, "version": results.version, "champion": champion, "verdict": results.verdict}
    if champion == results.version:
        reason = f"the run {facts['run']} gave version {champion} again, which serves already"
        return Step(Event(State.NOTHING_PUSHED, reason, now, facts={**facts, **known}))
    reason = f"version {results.version} was pushed" + (f": {results.verdict}" if results.verdict else "")
    known |= {"needs": "approval"} if settings.approval else {}
    return Step(Event(State.JUDGED, reason, now, facts={**facts, **known}), results.artifacts)


def _approved(cycle: Cycle, settings: Settings, world: World, answers: Sequence[Answer], now: datetime) -> Step | None:
    version = cycle.facts["version"]
    if not settings.approval:
        return _onward(cycle, settings, Event(State.JUDGED, f"version {version}", now), world)
    answer = _latest(cycle, answers)
    if answer is None:
        return None
    said = (
        f"version {version} was {'approved' if answer.approves else 'rejected'}: {answer.reason or 'no reason given'}"
    )
    if answer.approves:
        return _onward(cycle, settings, Event(State.JUDGED, said, now, answer.by), world)
    return Step(Event(State.ROLLED_BACK, said, now, answer.by))


def _latest(cycle: Cycle, answers: Sequence[Answer]) -> Answer | None:
    """What was said of a cycle where it is now."""
    return next((each for each in reversed(answers) if each.at == len(cycle.events)), None)


def _onward(cycle: Cycle, settings: Settings, event: Event, world: World) -> Step:
    """To the rollout, or to the end if there is none: the pipeline has pushed the version to where servers look."""
    if settings.delivery is None or cycle.facts.get("champion") is None:
        why = "there is no delivery in the settings" if settings.delivery is None else "no version served before"
        served = f"servers load it from where it was pushed, as {why}"
        return Step(replace(event, state=State.PROMOTED, reason=f"{event.reason}; {served}"))
    return Step(replace(event, state=State.ROLLING_OUT, facts={"driver": world.name, "needs": ""}))


def _delivered(cycle: Cycle, settings: Settings, world: World, answers: Sequence[Answer], now: datetime) -> Step | None:
    said = _latest(cycle, answers)
    # A rollout is in the home that began it. If that is lost, a person can have it taken back by any other.
    if cycle.facts.get("driver") != world.name and (said is None or said.approves):
        return None
    rolled = world.rolled_out(cycle, settings, answers, now)
    if rolled.state == cycle.state and _news(rolled.facts) == _news(cycle.facts):
        return None
    return Step(Event(rolled.state, rolled.reason, now, rolled.by, rolled.facts))


def _news(facts: Mapping[str, Any]) -> tuple[Any, ...]:
    """What of a rollout is worth a step of the cycle: not each look at its evidence."""
    rollout = facts.get("rollout", {})
    # What a pause waits for may change: first for evidence, then for a person.
    pause = rollout.get("verdict") if facts.get("needs") else ""
    return rollout.get("state"), rollout.get("step"), pause
