"""Decides what comes next in a rollout, from its state, the evidence and the time alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from components.contract.times import zoned
from taxiway.delivery.rollout import (
    FAILURE,
    INCONCLUSIVE,
    PAUSED,
    PROMOTED,
    RUNNING,
    SUCCESS,
    Reading,
    Rollout,
    rolled_back,
)
from taxiway.delivery.settings import Delivery, Step


@dataclass(frozen=True)
class Evidence:
    """What is known at a time.

    Attributes:
        readings: What each guardrail says of the whole rollout.
        requests: The challenger's requests since the step's weights were written; at weight 0, those of the champion,
            or of the shadow.
        last: When the last request was seen; None if there was none since the step began.
        trouble: Why there is no evidence, such as a proxy that does not answer; empty if there is.
    """

    readings: Sequence[Reading] = ()
    requests: int = 0
    last: datetime | None = None
    trouble: str = ""


def advance(rollout: Rollout, evidence: Evidence, now: datetime, settings: Delivery) -> Rollout:
    """The rollout after a look at the evidence.

    A failed guardrail takes the challenger back at once. A step is a success once its weights have been in place long
    enough, it has seen enough requests, and no guardrail is inconclusive. Otherwise the rollout waits; it pauses if a
    guardrail is inconclusive at the end of the step, if a person has to approve, or if no evidence comes.
    """
    if rollout.is_over:
        return rollout
    seen = replace(rollout, readings=tuple(evidence.readings))
    failed = [each.sentence for each in evidence.readings if each.verdict == FAILURE]
    if failed:
        return rolled_back(replace(seen, verdict=FAILURE), "; ".join(failed), now)
    if seen.since is None:
        late = seen.step == 0 and now - seen.started >= settings.pause_limit
        return rolled_back(seen, f"it could not begin: {seen.trouble}", now) if late else seen
    if seen.paused and now - seen.paused >= settings.pause_limit:
        return rolled_back(seen, f"the pause lasted too long: {seen.reason}", now)
    return _judged(seen, evidence, now, settings)


def placed(rollout: Rollout, now: datetime, settings: Delivery) -> Rollout:
    """The rollout once the weights of its step are written."""
    weight = settings.steps[rollout.step].weight
    return replace(
        rollout, state=RUNNING, since=now, paused=None, reason=f"the challenger has {weight:g} % of the traffic"
    )


def _judged(rollout: Rollout, evidence: Evidence, now: datetime, settings: Delivery) -> Rollout:
    step, since = settings.steps[rollout.step], rollout.since
    assert since is not None, "the step has begun"
    if _is_overruled(rollout):
        return _next(rollout, now, settings)
    if quiet := _silence(evidence, since, now, settings, step):
        return _paused(rollout, INCONCLUSIVE, quiet, now)
    if now - since < step.least_time:
        return _running(rollout, f"{step.weight:g} % until {since + step.least_time:%H:%M:%S} UTC at least")
    if evidence.requests < step.least_requests:
        return _running(rollout, f"{evidence.requests:,} of {step.least_requests:,} requests at {step.weight:g} %")
    open_ = [each.sentence for each in evidence.readings if each.verdict == INCONCLUSIVE]
    if open_:
        return _paused(rollout, INCONCLUSIVE, "; ".join(open_), now)
    if step.approval and not any(each.step == rollout.step for each in rollout.approvals):
        return _paused(rollout, SUCCESS, f"waits for a person's approval at {step.weight:g} %", now)
    return _next(rollout, now, settings)


def _is_overruled(rollout: Rollout) -> bool:
    """Whether a person has said, since the pause began, that the rollout goes on."""
    begun = rollout.paused
    return begun is not None and any(
        each.step == rollout.step and zoned(each.time) >= begun.replace(microsecond=0) for each in rollout.approvals
    )


def _silence(evidence: Evidence, since: datetime, now: datetime, settings: Delivery, step: Step) -> str:
    """Why nothing is known; empty if something is, or if nothing needs to be."""
    if not step.least_requests:
        return ""
    last = max(evidence.last or since, since)
    if now - last < settings.silence:
        return ""
    return evidence.trouble or f"no requests since {last:%Y-%m-%d %H:%M:%S} UTC"


def _running(rollout: Rollout, reason: str) -> Rollout:
    return replace(rollout, state=RUNNING, reason=reason, paused=None)


def _paused(rollout: Rollout, verdict: str, reason: str, now: datetime) -> Rollout:
    return replace(rollout, state=PAUSED, verdict=verdict, reason=reason, paused=rollout.paused or now)


def _next(rollout: Rollout, now: datetime, settings: Delivery) -> Rollout:
    last = len(settings.steps) - 1
    moved = replace(rollout, verdict=SUCCESS, paused=None, settled=False)
    if rollout.step < last:
        weight = settings.steps[rollout.step + 1].weight
        return replace(
            moved, state=RUNNING, step=rollout.step + 1, since=None, reason=f"goes on to {weight:g} % of the traffic"
        )
    return replace(moved, state=PROMOTED, ended=now, reason="every step was a success")
