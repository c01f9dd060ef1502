"""Rollouts of cycles' versions: one at a time, each by its cycle's id, so that one that was begun goes on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from components.contract.errors import UserError
from taxiway.delivery import deliver
from taxiway.delivery.deliver import Session
from taxiway.delivery.keeper import ABORT, APPROVE, Keeper
from taxiway.delivery.rollout import PAUSED, PROMOTED, RUNNING, Approval, Rollout
from taxiway.lineage.loop.cycle import LOOP, Cycle, State
from taxiway.lineage.loop.ledger import Answer
from taxiway.loop.advance import Rolled
from taxiway.loop.settings import Settings
from taxiway.storage.home import Home


@dataclass
class Rollouts:
    """The rollout of this process, if there is one.

    Attributes:
        home: Where rollouts are kept.
    """

    home: Home
    _session: Session | None = None
    _said: set[Answer] = field(default_factory=set)
    _locks: ExitStack = field(default_factory=ExitStack)

    def look(self, cycle: Cycle, settings: Settings, answers: Sequence[Answer], now: datetime) -> Rolled:
        """Begins the rollout of a cycle's version, or carries it on.

        Raises:
            UserError: The rollout cannot be begun.
            ServiceError: The place of the weights does not answer.
        """
        session = self._of(cycle, settings)
        for each in answers:
            if each not in self._said and each.at == len(cycle.events):
                self._said.add(each)
                with suppress(UserError):  # it has ended meanwhile
                    session.keeper.say(APPROVE if each.approves else ABORT, each.by, each.reason, now)
        rollout = session.tick(now)
        if session.is_done:
            self.close()
        return Rolled(
            _state(rollout, session.is_done), _reason(rollout, session), _facts(rollout, session), _by(answers, rollout)
        )

    def _of(self, cycle: Cycle, settings: Settings) -> Session:
        if self._session is None or self._session.rollout.id != cycle.id:
            self.close()
            keeper = Keeper(self.home.rollouts / cycle.model)
            try:
                self._locks.enter_context(keeper.alone())
                facts = cycle.facts
                self._session = deliver.started(
                    keeper, facts["champion"], facts["version"], dict(settings.delivery or {}), id=cycle.id
                )
            except BaseException:
                self.close()
                raise
        return self._session

    def close(self) -> None:
        """Gives it up: another process may carry it on."""
        self._session = None
        self._locks.close()


def _state(rollout: Rollout, is_done: bool) -> State:
    if not is_done:
        return State.ROLLING_OUT
    return State.PROMOTED if rollout.state == PROMOTED else State.ROLLED_BACK


def _reason(rollout: Rollout, session: Session) -> str:
    """Where it is, in words that change only with its step and state."""
    approval = _approval(rollout)
    approved = f"; approved: {approval.reason or 'no reason given'}" if approval else ""
    if rollout.is_over:
        return rollout.reason + approved
    steps = session.settings.steps
    where = f"step {rollout.step + 1} of {len(steps)}: {steps[rollout.step].weight:g} % of the traffic{approved}"
    return f"{where}, paused: {rollout.reason}" if rollout.state == PAUSED else where


def _facts(rollout: Rollout, session: Session) -> Mapping[str, Any]:
    weight = session.settings.steps[rollout.step].weight
    shown = {
        "id": rollout.id,
        "state": rollout.state,
        "step": rollout.step,
        "steps": len(session.settings.steps),
        "weight": weight,
        "settled": rollout.settled,
        "verdict": rollout.verdict,
        "reason": rollout.reason,
        "readings": [asdict(each) for each in rollout.readings],
    }
    return {"rollout": shown, "needs": "approval" if rollout.state == PAUSED else ""}


def _approval(rollout: Rollout) -> Approval | None:
    """A person's word that has led to where the rollout is."""
    if rollout.state not in (RUNNING, PROMOTED):
        return None
    before = rollout.step if rollout.state == PROMOTED else rollout.step - 1
    return next((each for each in reversed(rollout.approvals) if each.step == before), None)


def _by(answers: Sequence[Answer], rollout: Rollout) -> str:
    """The person who let it go on or took it back, or the loop."""
    if approval := _approval(rollout):
        return approval.by
    last = answers[-1] if answers else None
    return last.by if last and not last.approves and rollout.is_over and last.by in rollout.reason else LOOP
