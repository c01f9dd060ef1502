"""Gathers what is known of both versions, and reads it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Protocol

from components.contract.errors import TaxiwayError, explained
from components.contract.times import zoned
from components.experiments.canary.mixes import Means, averaged
from taxiway.delivery.advance import Evidence
from taxiway.delivery.evidence import compared, outcomes, predictions
from taxiway.delivery.evidence.compared import FRESH, Bins, Compared
from taxiway.delivery.evidence.counts import Counts, Second
from taxiway.delivery.evidence.predictions import Predictions
from taxiway.delivery.evidence.tables import Rows
from taxiway.delivery.rollout import INCONCLUSIVE, SUCCESS, Reading, Rollout
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
    found = known
    if settings.guardrails.errors:
        found = replace(found, errors=_errors(known.errors, second.champion, tried, weight, settings))
    if settings.guardrails.latency and rollout.since and now - rollout.since >= settings.warm_up:
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


def readings(known: Gathered, settings: Delivery, rollout: Rollout) -> list[Reading]:
    """What each guardrail says."""
    guardrails, level = settings.guardrails, level_of_each(settings)
    found = list[Reading]()
    if guardrails.errors:
        found.append(compared.errors(known.errors, guardrails.errors, level))
    if guardrails.latency:
        found.append(compared.latency(known.latency, guardrails.latency, level))
    if guardrails.drift:
        is_last = settings.steps[rollout.step].weight == 100
        of_step = predictions.in_step(known.drift, rollout.step, is_last=is_last)
        read = predictions.reading(of_step, guardrails.drift, level / len(settings.steps))
        found.append(_where_both_answer(read, settings, rollout))
    if guardrails.business:
        read = outcomes.reading(known.business, guardrails.business, level, _units(settings))
        found.append(_where_both_answer(_due(read, known, settings, rollout), settings, rollout))
    return found


def _where_both_answer(read: Reading, settings: Delivery, rollout: Rollout) -> Reading:
    """The reading; before the challenger has requests, nothing is missing."""
    if settings.steps[rollout.step].weight or read.verdict != INCONCLUSIVE:
        return read
    return replace(read, verdict=SUCCESS, sentence=f"{read.guardrail}: looked at once the challenger has requests")


def _due(read: Reading, known: Gathered, settings: Delivery, rollout: Rollout) -> Reading:
    """The reading; a success only once the outcomes of the step's least time are there."""
    step = settings.steps[rollout.step]
    if read.verdict != SUCCESS or step.weight in (0, 100) or rollout.since is None:
        return read
    until = rollout.since + step.least_time
    if known.judged and zoned(known.judged) >= until:
        return read
    said = f"{read.sentence}; outcomes of requests until {until:%Y-%m-%d %H:%M:%S} UTC are waited for"
    return replace(read, verdict=INCONCLUSIVE, sentence=said)


def _units(settings: Delivery) -> float:
    """About how many requests both versions have in the steps in which both have some."""
    shares = [(step.least_requests, step.weight / 100) for step in settings.steps if 0 < step.weight < 100]
    return max(sum(requests / share for requests, share in shares), 1000.0)


class DeliveryWitness:
    """Gathers the evidence of a rollout.

    Args:
        settings: The rollout's.
        seconds: What tells errors and latency; None if the tables do.
        rows: The tables; None if nothing is read from them.
        in_background: Whether tables are read in a thread: a large one must not keep a failing version in service.
    """

    def __init__(
        self, settings: Delivery, seconds: Seconds | None, rows: Rows | None, *, in_background: bool = False
    ) -> None:
        self._settings, self._seconds, self._rows = settings, seconds, rows
        self._thread = ThreadPoolExecutor(1) if in_background and rows else None
        self._looked: datetime | None = None
        self._reading: tuple[Rollout, Future[Gathered]] | None = None

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
        return asdict(known), Evidence(readings(known, self._settings, rollout), known.requests, last, trouble)

    def _from_proxies(self, known: Gathered, rollout: Rollout, now: datetime) -> Gathered:
        """Seconds before the step's weights are written belong to no step."""
        seconds = self._seconds.seconds() if self._seconds else []
        return with_seconds(known, seconds, rollout, now, self._settings) if rollout.since else known

    def _from_tables(self, known: Gathered, rollout: Rollout, now: datetime) -> Gathered:
        if not self._rows or not rollout.since:
            return known
        if self._reading is None:
            if self._looked and now - self._looked < EVERY:
                return known
            self._looked = now
            self._reading = rollout, self._begun(self._rows, known, rollout, now)
        asked, reading = self._reading
        if not reading.done():
            return known
        self._reading = None
        found = reading.result()
        if (asked.step, asked.since) != (rollout.step, rollout.since):
            return known  # what was read is of the step before; it is read again
        if self._settings.evidence == "tables":
            return found
        return replace(known, drift=found.drift, business=found.business, read=found.read, judged=found.judged)

    def _begun(self, rows: Rows, known: Gathered, rollout: Rollout, now: datetime) -> Future[Gathered]:
        """Reads the tables, in the thread if there is one."""

        def read() -> Gathered:
            fix = "check delivery.tables, and the store"
            with explained(f"the tables at {rows.store.root} cannot be read", fix=fix):
                return self._judged(self._read(known, rows, rollout, now), rows, rollout, now)

        if self._thread:
            return self._thread.submit(read)
        done = Future[Gathered]()
        try:
            done.set_result(read())
        except TaxiwayError as error:
            done.set_exception(error)
        return done

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
