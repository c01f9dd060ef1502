"""The guardrail of a business metric: the mean outcome of both versions' requests at the same times."""

from __future__ import annotations

from components.experiments import sequential
from components.experiments.canary.mixes import Means, arms
from components.experiments.sequential import GREATER, LESS, Plan, Sequence
from taxiway.delivery.rollout import FAILURE, INCONCLUSIVE, SUCCESS, Reading
from taxiway.delivery.settings import Business

_BURN_IN = 100


def reading(known: Means, settings: Business, level: float, units: float) -> Reading:
    """What the guardrail says.

    Args:
        known: The outcomes so far.
        settings: The guardrail's settings.
        level: Its level.
        units: The requests at which differences should be seen best.
    """
    both = (int(known.champion), int(known.n))
    if min(both) < _BURN_IN:
        said = f"business: {both[1]:,} outcomes of the challenger and {both[0]:,} of the champion are too few"
        return Reading("business", INCONCLUSIVE, said, requests=both)
    sign = 1 if settings.better == "higher" else -1
    worse = _sequence(known, LESS if sign > 0 else GREATER, -sign * settings.tolerance, level, units)
    least = _sequence(known, GREATER if sign > 0 else LESS, -sign * settings.margin, level, units)
    verdict = FAILURE if float(worse.evidence) >= 1 / level else SUCCESS
    if verdict == SUCCESS and settings.margin and float(least.evidence) < 1 / level:
        verdict = INCONCLUSIVE
    interval = _sequence(known, sequential.TWO_SIDED, 0.0, level, units)
    return Reading(
        guardrail="business",
        verdict=verdict,
        sentence=f"business: {settings.label} is {_number(worse.treatment)} instead of {_number(worse.control)}"
        f" (difference {_number(interval.low)} to {_number(interval.high)})",
        champion=float(worse.control),
        challenger=float(worse.treatment),
        requests=both,
        odds=float(worse.evidence),
    )


def _sequence(known: Means, side: str, margin: float, level: float, units: float) -> Sequence:
    champion, challenger = arms(known)
    plan = Plan(level=level, units=units, burn_in=_BURN_IN, side=side, margin=margin)
    return sequential.sequence(champion, challenger, plan)


def _number(value: object) -> str:
    return f"{value:.4g}"
