"""The guardrails of errors and latency: counts of both versions in the same seconds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from components.experiments.canary import bets as betting
from components.experiments.canary.bets import Bets
from components.experiments.canary.mixes import Mix, geometric_mean, mixed, quantile
from components.experiments.numbers import Array
from taxiway.delivery.evidence.counts import BINS
from taxiway.delivery.rollout import FAILURE, INCONCLUSIVE, SUCCESS, Reading
from taxiway.delivery.settings import Errors, Latency
from taxiway.routing.access_log import BUCKETS

_TAIL = 0.99


@dataclass(frozen=True)
class Compared:
    """What is known of both versions' counts by bin: in order, the worst last.

    Attributes:
        bets: Bets against "the challenger is no worse", one for each bound between bins.
        mix: The counts of both, over the same seconds.
        before: The champion's counts before a switch.
        seen: How many requests both have had.
    """

    bets: Bets
    mix: Mix
    before: Sequence[float]
    seen: tuple[int, int] = (0, 0)


def begun(bins: int) -> Compared:
    """Nothing is known yet."""
    empty = [0.0] * bins
    return Compared(betting.begun(bins - 1), Mix(empty, empty), empty)


def of_json(given: dict) -> Compared:
    """From the JSON of a rollout."""
    return Compared(Bets(**given["bets"]), Mix(**given["mix"]), given["before"], tuple(given["seen"]))


def compared(known: Compared, champion: Sequence[int], challenger: Sequence[int]) -> Compared:
    """What is known after a second that both versions had requests in."""
    theirs, own = np.asarray(champion), np.asarray(challenger)
    bets = betting.together(known.bets, (int(theirs.sum()), _above(theirs)), (int(own.sum()), _above(own)))
    return _counted(replace(known, bets=bets, mix=mixed(known.mix, theirs, own)), theirs, own)


def measured(known: Compared, champion: Sequence[int]) -> Compared:
    """What is known after a second before the switch."""
    before = (np.asarray(known.before) + np.asarray(champion)).tolist()
    return _counted(replace(known, before=before), np.asarray(champion), np.zeros(1))


def switched(known: Compared, challenger: Sequence[int], level: float) -> Compared:
    """What is known after a second in which the challenger had all requests, beside the champion's before."""
    own, before = np.asarray(challenger), np.asarray(known.before)
    rates = betting.upper(int(before.sum()), _above(before), level)
    bets = betting.against(known.bets, rates, (int(own.sum()), _above(own)))
    mix = Mix(before.tolist(), (np.asarray(known.mix.challenger) + own).tolist())
    return _counted(replace(known, bets=bets, mix=mix), np.zeros(1), own)


def _counted(known: Compared, theirs: Array, own: Array) -> Compared:
    return replace(known, seen=(known.seen[0] + int(theirs.sum()), known.seen[1] + int(own.sum())))


def _above(counts: Array) -> Array:
    """How many are above each bound."""
    return np.asarray(counts[::-1].cumsum()[::-1][1:])


def errors(known: Compared, settings: Errors, level: float) -> Reading:
    """What the guardrail of errors says."""
    if not sum(known.mix.challenger):
        return _nothing("errors", known)
    theirs, own = (counts[1] / max(sum(counts), 1e-300) for counts in (known.mix.champion, known.mix.challenger))
    failed = own - theirs > settings.tolerance and _is_sure(known, level)
    return Reading(
        guardrail="errors",
        verdict=FAILURE if failed else SUCCESS,
        sentence=f"errors: {_percent(own)} of the challenger's requests failed, {_percent(theirs)} of the champion's",
        champion=theirs,
        challenger=own,
        requests=known.seen,
        odds=_odds(known),
    )


def latency(known: Compared, settings: Latency, level: float) -> Reading:
    """What the guardrail of latency says."""
    if not sum(known.mix.challenger):
        return _nothing("latency", known)
    theirs, own = (geometric_mean(counts, BUCKETS) for counts in (known.mix.champion, known.mix.challenger))
    tails = [quantile(counts, BUCKETS, _TAIL) for counts in (known.mix.champion, known.mix.challenger)]
    slower = max(own / theirs, tails[1] / tails[0]) > 1 + settings.tolerance
    return Reading(
        guardrail="latency",
        verdict=FAILURE if slower and _is_sure(known, level) else SUCCESS,
        sentence=f"latency: the challenger takes {own / theirs:.2f} times as long, {_ms(own)} instead of {_ms(theirs)}"
        f" (99 % of the requests: at most {_ms(tails[1])} instead of {_ms(tails[0])})",
        champion=theirs,
        challenger=own,
        requests=known.seen,
        odds=_odds(known),
    )


def _is_sure(known: Compared, level: float) -> bool:
    return known.bets.log_evidence >= -math.log(level)


def _odds(known: Compared) -> float:
    return math.exp(min(known.bets.log_evidence, 700.0))


def _nothing(name: str, known: Compared) -> Reading:
    if sum(known.before):
        return Reading(name, SUCCESS, f"{name}: the champion is measured before the switch", requests=known.seen)
    return Reading(name, INCONCLUSIVE, f"{name}: both versions had no requests at the same time", requests=known.seen)


def _percent(share: float) -> str:
    return f"{100 * share:.2f} %"


def _ms(seconds: float) -> str:
    return f"{1000 * seconds:.3g} ms"


FRESH = {"errors": begun(2), "latency": begun(BINS)}
"""What is known of each guardrail at the start."""
