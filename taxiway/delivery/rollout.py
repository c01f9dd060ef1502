"""The state of a rollout, as JSON."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from components.contract.times import zoned

WAITING, RUNNING, PAUSED, PROMOTED, ROLLED_BACK = "waiting", "running", "paused", "promoted", "rolled_back"
SUCCESS, FAILURE, INCONCLUSIVE = "success", "failure", "inconclusive"
_TIMES = ("started", "since", "paused", "ended")


@dataclass(frozen=True)
class Approval:
    """A person's word for a step.

    Attributes:
        step: The number of the step.
        by: Who approves.
        reason: Why.
        time: When, ISO 8601.
    """

    step: int
    by: str
    reason: str = ""
    time: str = ""


@dataclass(frozen=True)
class Reading:
    """What a guardrail says.

    Attributes:
        guardrail: `errors`, `latency`, `drift` or `business`.
        verdict: `success` (nothing speaks against the challenger), `failure`, or `inconclusive`.
        sentence: In words, with the figures.
        champion: The champion's figure; None if there is none yet.
        challenger: The challenger's.
        requests: The requests of both, as champion, challenger.
        odds: How much the evidence speaks against equal versions: a failure above guardrails/level; see the docs.
    """

    guardrail: str
    verdict: str
    sentence: str
    champion: float | None = None
    challenger: float | None = None
    requests: tuple[int, int] = (0, 0)
    odds: float = 1.0


@dataclass(frozen=True)
class Rollout:
    """A rollout of one version.

    Attributes:
        id: Its name; unique.
        model: The model's name.
        champion: The version that serves.
        challenger: The version that is tried.
        started: When it began.
        step: The number of the current step, from 0.
        since: When the current step's weights were written; None if they are not yet.
        state: `waiting` (no weights are written yet), `running`, `paused`, `promoted` or `rolled_back`.
        settled: Whether the weights and labels are as the state wants them.
        verdict: The last step's: `success`, `failure` or `inconclusive`; empty before the first.
        reason: Why it is in this state, in a sentence.
        trouble: What cannot be reached at the moment, such as the proxy; empty if all is well.
        paused: When the pause began; None if there is none.
        ended: When it was promoted or rolled back.
        readings: What each guardrail says.
        approvals: By persons.
        gathered: The evidence so far; see `taxiway.delivery.evidence`.
    """

    id: str
    model: str
    champion: int
    challenger: int
    started: datetime
    step: int = 0
    since: datetime | None = None
    state: str = WAITING
    settled: bool = False
    verdict: str = ""
    reason: str = ""
    trouble: str = ""
    paused: datetime | None = None
    ended: datetime | None = None
    readings: tuple[Reading, ...] = ()
    approvals: tuple[Approval, ...] = ()
    gathered: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_over(self) -> bool:
        """Whether it was promoted or rolled back; its weights may still have to be written, see `settled`."""
        return self.state in (PROMOTED, ROLLED_BACK)

    def to_json(self) -> str:
        """As JSON."""
        return json.dumps(asdict(self), default=datetime.isoformat)


def begun(model: str, champion: int, challenger: int, now: datetime, id: str = "") -> Rollout:
    """A new rollout."""
    name = id or f"{model}-{challenger}-{now.astimezone(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"
    return Rollout(name, model, champion, challenger, now, reason="the rollout begins")


def from_json(text: str) -> Rollout:
    """A rollout from its JSON."""
    given = json.loads(text)
    times = {name: zoned(given[name]) if given[name] else None for name in _TIMES}
    readings = tuple(Reading(**{**each, "requests": tuple(each["requests"])}) for each in given["readings"])
    approvals = tuple(Approval(**each) for each in given["approvals"])
    return Rollout(**{**given, **times, "readings": readings, "approvals": approvals})


def approved(rollout: Rollout, by: str, reason: str, now: datetime, step: int | None = None) -> Rollout:
    """The rollout with a person's approval of a step, by default the current one: it goes on, also from a pause."""
    said = Approval(rollout.step if step is None else step, by, reason, now.isoformat(timespec="seconds"))
    return rollout if said in rollout.approvals else replace(rollout, approvals=(*rollout.approvals, said))


def aborted(rollout: Rollout, by: str, reason: str, now: datetime) -> Rollout:
    """The rollout taken back by a person."""
    return (
        rollout if rollout.is_over else rolled_back(rollout, f"{by} took it back: {reason or 'no reason given'}", now)
    )


def rolled_back(rollout: Rollout, reason: str, now: datetime) -> Rollout:
    """The rollout taken back; the weights are still to be written."""
    return replace(rollout, state=ROLLED_BACK, settled=False, reason=reason, ended=now, paused=None)
