"""One step of a cycle: what its run and its rollout say, and what follows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
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
        """Where this process runs."""

    def results(self, run_id: str) -> Results:
        """What a run has made."""

    def serving(self, pushed: str) -> int | None:
        """The version that serves, beside the one that was pushed; None if there is none."""

    def rolled_out(self, cycle: Cycle, settings: Settings, now: datetime) -> Rolled:
        """Begins the rollout of a cycle's version, or carries it on."""


@dataclass(frozen=True)
class Rolled:
    """Where a rollout is.

    Attributes:
        state: rolling_out, promoted or rolled_back.
        reason: Why.
        facts: The rollout, as JSON.
        by: Who decided it; empty for the loop.
    """

    state: State
    reason: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    by: str = ""


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
            return _approved(cycle, settings, answers, now)
        case _:
            return _delivered(cycle, settings, world, now)


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
    return None if is_known else Step(Event(State.RETRAINING, f"the run {look.run} goes on", now, facts=facts))


def _judged(settings: Settings, results: Results, facts: Mapping[str, Any], world: World, now: datetime) -> Step:
    if results.version is None:
        reason = results.verdict or f"the run {facts['run']} has pushed no version"
        return Step(Event(State.NOTHING_PUSHED, reason, now, facts={**facts, "verdict": results.verdict}))
    champion = world.serving(results.pushed)
    known = {"pushed": results.pushed, "version": results.version, "champion": champion, "verdict": results.verdict}
    if champion == results.version:
        reason = f"the run {facts['run']} gave version {champion} again, which serves already"
        return Step(Event(State.NOTHING_PUSHED, reason, now, facts={**facts, **known}))
    reason = f"version {results.version} was pushed" + (f": {results.verdict}" if results.verdict else "")
    known |= {"needs": "approval"} if settings.approval else {}
    return Step(Event(State.JUDGED, reason, now, facts={**facts, **known}), results.artifacts)


def _approved(cycle: Cycle, settings: Settings, answers: Sequence[Answer], now: datetime) -> Step | None:
    version = cycle.facts["version"]
    if not settings.approval:
        return Step(_onward(settings, version, "", now, ""))
    answer = next((each for each in answers if each.at == len(cycle.events)), None)
    if answer is None:
        return None
    said = (
        f"version {version} was {'approved' if answer.approves else 'rejected'}: {answer.reason or 'no reason given'}"
    )
    if answer.approves:
        return Step(_onward(settings, version, said, now, answer.by))
    return Step(Event(State.ROLLED_BACK, said, now, answer.by))


def _onward(settings: Settings, version: int, reason: str, now: datetime, by: str) -> Event:
    """To the rollout, or to the end if there is none: the pipeline has pushed the version to where servers look."""
    if settings.delivery is None:
        served = "servers load it from where it was pushed, as there is no delivery in the settings"
        return Event(State.PROMOTED, f"{reason or f'version {version}'}; {served}", now, by or LOOP)
    return Event(State.ROLLING_OUT, reason or f"version {version} is rolled out", now, by or LOOP)


def _delivered(cycle: Cycle, settings: Settings, world: World, now: datetime) -> Step | None:
    rolled = world.rolled_out(cycle, settings, now)
    if rolled.state == cycle.state and rolled.reason == cycle.reason:
        return None
    return Step(Event(rolled.state, rolled.reason, now, rolled.by or LOOP, rolled.facts))
