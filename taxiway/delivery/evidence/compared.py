"""The guardrails of errors and latency: counts of both versions in the same seconds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import NamedTuple

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
_BIN = min(math.log(high / low) for low, high in pairwise(BUCKETS))
"""The width of the narrowest bin of latencies, on a logarithmic scale."""


@dataclass(frozen=True)
class Compared:
    """What is known of both versions' counts by bin: in order, the worst last.

    Attributes:
        bets: Bets against "the challenger is no worse", one for each bound between bins.
        beyond: Bets against "the challenger is no worse by more than some bins".
        mix: The counts of both, over the same seconds.
        sums: The sums of both's values, such as latencies, over the same seconds.
        before: The champion's counts before a switch.
        before_sum: The sum of their values.
        seen: How many requests both have had.
    """

    bets: Bets
    beyond: Bets
    mix: Mix
    before: Sequence[float]
    sums: tuple[float, float] = (0.0, 0.0)
    before_sum: float = 0.0
    seen: tuple[int, int] = (0, 0)


def begun(bins: int) -> Compared:
    """Nothing is known yet."""
    empty = [0.0] * bins
    return Compared(betting.begun(bins - 1), betting.begun(bins - 1), Mix(empty, empty), empty)


def of_json(given: dict) -> Compared:
    """From the JSON of a rollout."""
    parts = {"bets": Bets(**given["bets"]), "beyond": Bets(**given["beyond"]), "mix": Mix(**given["mix"])}
    return Compared(**{**given, **parts, "sums": tuple(given["sums"]), "seen": tuple(given["seen"])})


class Bins(NamedTuple):
    """Requests of a version in a second.

    Attributes:
        counts: Their number by bin.
        total: The sum of their values, such as latencies.
    """

    counts: Sequence[int]
    total: float = 0.0


def compared(known: Compared, champion: Bins, challenger: Bins, shift: int = 0) -> Compared:
    """What is known after a second that both versions had requests in.

    Args:
        known: What was known before.
        champion: The champion's requests.
        challenger: The challenger's.
        shift: How many bins worse the challenger may be.
    """
    theirs, own = np.asarray(champion.counts), np.asarray(challenger.counts)
    first, second = (int(theirs.sum()), _above(theirs)), (int(own.sum()), _above(own))
    known = replace(known, bets=betting.together(known.bets, first, second), mix=mixed(known.mix, theirs, own))
    if shift:
        known = replace(known, beyond=betting.together(known.beyond, first, (second[0], _shifted(second[1], shift))))
    if first[0] and second[0]:
        scaled = champion.total * second[0] / first[0]
        known = replace(known, sums=(known.sums[0] + scaled, known.sums[1] + challenger.total))
    return _counted(known, theirs, own)


def measured(known: Compared, champion: Bins) -> Compared:
    """What is known after a second before the switch."""
    theirs = np.asarray(champion.counts)
    before = (np.asarray(known.before) + theirs).tolist()
    known = replace(known, before=before, before_sum=known.before_sum + champion.total)
    return _counted(known, theirs, np.zeros(1))


def switched(known: Compared, challenger: Bins, level: float, shift: int = 0) -> Compared:
    """What is known after a second in which the challenger had all requests, beside the champion's before.

    The level is that of the bounds of the champion's rates; see `compared` for the others.
    """
    own, before = np.asarray(challenger.counts), np.asarray(known.before)
    rates, second = betting.upper(int(before.sum()), _above(before), level), (int(own.sum()), _above(own))
    mix = Mix(before.tolist(), (np.asarray(known.mix.challenger) + own).tolist())
    share = sum(mix.challenger) / max(float(before.sum()), 1.0)
    sums = (known.before_sum * share, known.sums[1] + challenger.total)
    known = replace(known, bets=betting.against(known.bets, rates, second), mix=mix, sums=sums)
    if shift:
        known = replace(known, beyond=betting.against(known.beyond, rates, (second[0], _shifted(second[1], shift))))
    return _counted(known, np.zeros(1), own)


def _counted(known: Compared, theirs: Array, own: Array) -> Compared:
    return replace(known, seen=(known.seen[0] + int(theirs.sum()), known.seen[1] + int(own.sum())))


def _above(counts: Array) -> Array:
    """How many are above each bound."""
    return np.asarray(counts[::-1].cumsum()[::-1][1:])


def _shifted(above: Array, shift: int) -> Array:
    """How many would be above each bound if all were some bins better."""
    return np.concatenate([above[shift:], np.zeros(shift)])


def bins_of(tolerance: float) -> int:
    """How many bins of latency a tolerance is, at least."""
    return max(1, math.ceil(math.log(1 + tolerance) / _BIN - 1e-9))


def errors(known: Compared, settings: Errors, level: float) -> Reading:
    """What the guardrail of errors says."""
    if not sum(known.mix.challenger):
        return _nothing("errors", known)
    theirs, own = (counts[1] / max(sum(counts), 1e-300) for counts in (known.mix.champion, known.mix.challenger))
    failed = own - theirs > settings.tolerance and _is_sure(known.bets, level)
    return Reading(
        guardrail="errors",
        verdict=FAILURE if failed else SUCCESS,
        sentence=f"errors: {_percent(own)} of the challenger's requests failed, {_percent(theirs)} of the champion's",
        champion=theirs,
        challenger=own,
        requests=known.seen,
        odds=_odds(known.bets),
    )


def latency(known: Compared, settings: Latency, level: float) -> Reading:
    """What the guardrail of latency says."""
    if not sum(known.mix.challenger):
        return _nothing("latency", known)
    medians, tails = (
        [quantile(counts, BUCKETS, share) for counts in (known.mix.champion, known.mix.challenger)]
        for share in (0.5, _TAIL)
    )
    theirs, own = (total / max(sum(known.mix.challenger), 1.0) for total in known.sums)
    is_slower = _slowdown(known) > 1 + settings.tolerance and _is_sure(known.bets, level / 2)
    return Reading(
        guardrail="latency",
        verdict=FAILURE if is_slower or _is_sure(known.beyond, level / 2) else SUCCESS,
        sentence=f"latency: the challenger takes {_ms(own)} instead of {_ms(theirs)} on average"
        f" (median {_ms(medians[1])} instead of {_ms(medians[0])}, 99 % {_ms(tails[1])} instead of {_ms(tails[0])})",
        champion=theirs,
        challenger=own,
        requests=known.seen,
        odds=max(_odds(known.bets), _odds(known.beyond)) / 2,
    )


def _slowdown(known: Compared) -> float:
    """How many times as long the challenger takes at least, by two measures.

    The mean is exact, but a few slow requests change it; the geometric mean is not moved by them, but is that of bins.
    """
    theirs, own = (geometric_mean(counts, BUCKETS) for counts in (known.mix.champion, known.mix.challenger))
    return min(own / theirs, known.sums[1] / max(known.sums[0], 1e-300))


def _is_sure(bets: Bets, level: float) -> bool:
    return bets.log_evidence >= -math.log(level)


def _odds(bets: Bets) -> float:
    return math.exp(min(bets.log_evidence, 700.0))


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
