"""Gathers what is known of both versions, and reads it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Protocol

from components.contract.errors import TaxiwayError
from components.contract.times import zoned
from components.experiments.canary.mixes import Means, averaged
from taxiway.delivery.advance import Evidence
from taxiway.delivery.evidence import compared, outcomes, predictions
from taxiway.delivery.evidence.compared import FRESH, Bins, Compared
from taxiway.delivery.evidence.counts import Counts, Second
from taxiway.delivery.evidence.predictions import Predictions
from taxiway.delivery.evidence.tables import Rows
from taxiway.delivery.rollout import Reading, Rollout
from taxiway.delivery.settings import BLUE_GREEN, Delivery

LAG = timedelta(seconds=15)
"""Rows of the inference table are written every ten seconds."""

EVERY = timedelta(seconds=10)
"""How often the tables are read."""


class Seconds(Protocol):
    """What tells errors and latency."""

    def seconds(self) -> list[Second]:
        """What has happened since the last call; raises ServiceError."""


@dataclass(frozen=True)
class Gathered:
    """The evidence of a rollout, as it is kept.

    Attributes:
        step: The step that requests are counted of.
        requests: The requests of the step; see `Evidence`.
        last: When the last one was seen, ISO 8601.
        errors: Counts of failures.
        latency: Counts by latency.
        drift: Counts of predictions.
        business: Sums of outcomes.
        read: The time up to which requests in the inference table are counted, ISO 8601.
        judged: The time up to which their outcomes are.
    """

    step: int = 0
    requests: int = 0
    last: str = ""
    errors: Compared = field(default_factory=lambda: FRESH["errors"])
    latency: Compared = field(default_factory=lambda: FRESH["latency"])
    drift: Predictions = field(default_factory=Predictions)
    business: Means = field(default_factory=Means)
    read: str = ""
    judged: str = ""


def of_json(given: Mapping[str, Any]) -> Gathered:
    """From the JSON of a rollout."""
    if not given:
        return Gathered()
    return Gathered(
        **{
            **given,
            "errors": compared.of_json(given["errors"]),
            "latency": compared.of_json(given["latency"]),
            "drift": predictions.of_json(given["drift"]),
            "business": Means(**given["business"]),
        }
    )


def with_seconds(
    known: Gathered, seconds: Iterable[Second], rollout: Rollout, now: datetime, settings: Delivery
) -> Gathered:
    """The evidence with more seconds of the current step."""
    for each in seconds:
        known = _with_second(known, each, rollout, now, settings)
    return known


def _with_second(known: Gathered, second: Second, rollout: Rollout, now: datetime, settings: Delivery) -> Gathered:
    weight = settings.steps[rollout.step].weight
    tried = second.challenger if weight else _tried(second, settings)
    found = replace(known, errors=_errors(known.errors, second.champion, tried, weight, settings))
    if rollout.since and now - rollout.since >= settings.warm_up:
        found = replace(found, latency=_latency(known.latency, second.champion, tried, weight, settings))
    count = (tried if weight or settings.strategy != BLUE_GREEN else second.champion).requests
    return replace(found, requests=known.requests + count, last=now.isoformat()) if count else found


def _tried(second: Second, settings: Delivery) -> Counts:
    return Counts() if settings.strategy == BLUE_GREEN else second.shadow


def _errors(known: Compared, champion: Counts, tried: Counts, weight: float, settings: Delivery) -> Compared:
    pair = [Bins((each.answered, each.failed)) for each in (champion, tried)]
    return _compared(known, pair, 0, weight, settings)


def _latency(known: Compared, champion: Counts, tried: Counts, weight: float, settings: Delivery) -> Compared:
    found = settings.guardrails.latency
    shift = compared.bins_of(found.tolerance) if found else 0
    pair = [Bins(each.latencies, each.seconds) for each in (champion, tried)]
    return _compared(known, pair, shift, weight, settings)


def _compared(known: Compared, pair: Sequence[Bins], shift: int, weight: float, settings: Delivery) -> Compared:
    champion, tried = pair
    if settings.strategy != BLUE_GREEN:
        return compared.compared(known, champion, tried, shift)
    if weight:
        return compared.switched(known, tried, level_of_each(settings), shift)
    return compared.measured(known, champion)


def level_of_each(settings: Delivery) -> float:
    """The level of a guardrail; half of it is that of the champion's rates where they are measured before a switch."""
    parts = max(len(settings.guardrails.names), 1) * (2 if settings.strategy == BLUE_GREEN else 1)
    return settings.level / parts


def readings(known: Gathered, settings: Delivery) -> list[Reading]:
    """What each guardrail says."""
    guardrails, level = settings.guardrails, level_of_each(settings)
    found = list[Reading]()
    if guardrails.errors:
        found.append(compared.errors(known.errors, guardrails.errors, level))
    if guardrails.latency:
        found.append(compared.latency(known.latency, guardrails.latency, level))
    if guardrails.drift:
        found.append(predictions.reading(known.drift, guardrails.drift, level / len(settings.steps)))
    if guardrails.business:
        found.append(outcomes.reading(known.business, guardrails.business, level, _units(settings)))
    return found


def _units(settings: Delivery) -> float:
    """About how many requests both versions have in the steps in which both have some."""
    shares = [(step.least_requests, step.weight / 100) for step in settings.steps if 0 < step.weight < 100]
    return max(sum(requests / share for requests, share in shares), 1000.0)


class DeliveryWitness:
    """Gathers the evidence of a rollout."""

    def __init__(self, settings: Delivery, seconds: Seconds | None, rows: Rows | None) -> None:
        self._settings, self._seconds, self._rows = settings, seconds, rows
        self._looked: datetime | None = None

    def look(self, rollout: Rollout, now: datetime) -> tuple[Mapping[str, Any], Evidence]:
        """See `Witness`."""
        known, trouble = of_json(rollout.gathered), ""
        if known.step != rollout.step:
            known = replace(known, step=rollout.step, requests=0, last="")
        try:
            known = self._from_proxies(known, rollout, now)
            known = self._from_tables(known, rollout, now)
        except TaxiwayError as error:
            trouble = str(error)
        last = zoned(known.last) if known.last else None
        return asdict(known), Evidence(readings(known, self._settings), known.requests, last, trouble)

    def _from_proxies(self, known: Gathered, rollout: Rollout, now: datetime) -> Gathered:
        """Seconds before the step's weights are written belong to no step."""
        seconds = self._seconds.seconds() if self._seconds else []
        return with_seconds(known, seconds, rollout, now, self._settings) if rollout.since else known

    def _from_tables(self, known: Gathered, rollout: Rollout, now: datetime) -> Gathered:
        if not self._rows or not rollout.since or (self._looked and now - self._looked < EVERY):
            return known
        self._looked = now
        return self._judged(self._read(known, self._rows, rollout, now), self._rows, rollout, now)

    def _read(self, known: Gathered, rows: Rows, rollout: Rollout, now: datetime) -> Gathered:
        start, end = zoned(known.read) if known.read else rollout.started, now - LAG
        assert rollout.since, "the step has begun"
        start = max(start, rollout.since)
        if start >= end:
            return known
        settings, found = self._settings, replace(known, read=end.isoformat())
        if settings.evidence == "tables":
            found = with_seconds(found, rows.seconds(start, end), rollout, now, settings)
        if settings.guardrails.drift:
            both = rows.predictions(start, end, settings.guardrails.drift.output)
            of_step = predictions.in_step(found.drift, rollout.step, is_last=settings.steps[rollout.step].weight == 100)
            found = replace(found, drift=predictions.counted(of_step, both.champion, both.challenger))
        return found

    def _judged(self, known: Gathered, rows: Rows, rollout: Rollout, now: datetime) -> Gathered:
        business = self._settings.guardrails.business
        if business is None:
            return known
        start = zoned(known.judged) if known.judged else rollout.started
        end = now - max(business.delay, LAG)
        if start >= end:
            return known
        means = known.business
        for both in rows.outcomes(start, end, business.label, business.absent):
            means = averaged(means, both.champion, both.challenger)
        return replace(known, business=means, judged=end.isoformat())
