"""Tells all receivers what has happened to a model's alarms since they were told last."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path

from components.contract.errors import ServiceError
from components.monitoring.alarms.alarm import CLOSED, Alarm, from_table
from components.monitoring.store import Store
from taxiway.alerts import outbox
from taxiway.alerts.alertmanager import AlertmanagerWay
from taxiway.alerts.events import KubernetesWay
from taxiway.alerts.mail import MailWay
from taxiway.alerts.message import Message
from taxiway.alerts.metrics import Metrics, Snapshot, write_textfile
from taxiway.alerts.settings import Alerts
from taxiway.alerts.ways import NotTakenError, Way
from taxiway.alerts.webhook import WebhookWay

_PAUSES = (0.5, 2.0)
"""Seconds before the second and the third try in a pass; a receiver that is away longer has to wait for the next."""


@dataclass(frozen=True)
class Outcome:
    """What became of a message.

    Attributes:
        way: The way out.
        message: The message; None for the open alarms in Alertmanager or the file of metrics.
        error: Why it was not taken; empty if it was.
    """

    way: str
    message: Message | None
    error: str = ""


def ways(settings: Alerts) -> list[Way]:
    """The ways out that tell messages."""
    found: list[Way] = [WebhookWay(each) for each in settings.webhooks]
    found += [MailWay(settings.mail)] if settings.mail else []
    found += [AlertmanagerWay(settings.alertmanager)] if settings.alertmanager else []
    return [*found, KubernetesWay(settings.kubernetes)] if settings.kubernetes else found


def send(
    store: Store,
    model: str,
    settings: Alerts,
    *,
    metrics: Metrics | None = None,
    now: datetime | None = None,
    sleep: Callable[[float], object] = time.sleep,
) -> list[Outcome]:
    """Tells what has not been told yet; a receiver that is away costs seconds, and is tried again in a later pass.

    Args:
        store: The model's tables.
        model: The model's name.
        settings: The ways out.
        metrics: The metrics that a running monitor serves.
        now: The time; None for the clock's.
        sleep: Waits between tries.

    Raises:
        ServiceError: Others write to the tables without a pause.
    """
    now = now or datetime.now(UTC)
    alarms = from_table(store.read("alarms", [("state", "!=", CLOSED)]))
    closed = from_table(store.read("alarms", [("state", "=", CLOSED), ("closed", ">", now - outbox.KEEP)]))
    outcomes = told(store, model, settings, [*alarms, *closed], now=now, sleep=sleep)
    return [*outcomes, *_kept(settings, alarms, now), *_shown(store, model, settings, alarms, metrics or Metrics())]


def told(
    store: Store,
    model: str,
    settings: Alerts,
    alarms: Sequence[Alarm],
    *,
    now: datetime,
    sleep: Callable[[float], object] = time.sleep,
) -> list[Outcome]:
    """Tells what has not been told yet of these alarms, or of what has their form; see `send`."""
    telling = _Told(store, model, alarms, now, sleep)
    return [outcome for way in ways(settings) for outcome in telling.by(way)]


@dataclass(frozen=True)
class _Told:
    """Tells of a model's alarms."""

    store: Store
    model: str
    alarms: Sequence[Alarm]
    now: datetime
    sleep: Callable[[float], object]

    def by(self, way: Way) -> Iterator[Outcome]:
        """Tells what is due by a way out; the first message that is not taken is the last of this pass."""
        due = outbox.changes(self.alarms, way.events, self.now)
        for event, group in groupby(due, key=lambda change: change.event):
            claimed = outbox.claim(self.store, way.name, list(group), self.now)
            if not claimed:
                continue
            message = Message(event, self.model, self.now, claimed)
            outcome = _tried(way, message, self.sleep)
            outbox.record(self.store, way.name, message, outcome.error)
            yield outcome
            if outcome.error:
                return


def _tried(way: Way, message: Message, sleep: Callable[[float], object]) -> Outcome:
    for pause in (*_PAUSES, None):
        try:
            way.tell(message)
            return Outcome(way.name, message)
        except NotTakenError as error:
            reason = str(error)
        if pause is not None:
            sleep(pause)
    return Outcome(way.name, message, reason)


def _kept(settings: Alerts, alarms: Sequence[Alarm], now: datetime) -> Iterator[Outcome]:
    """The open alarms in Alertmanager."""
    if settings.alertmanager:
        way = AlertmanagerWay(settings.alertmanager)
        try:
            way.keep(alarms, now)
        except NotTakenError as error:
            yield Outcome(way.name, None, str(error))


def _shown(store: Store, model: str, settings: Alerts, alarms: Sequence[Alarm], metrics: Metrics) -> Iterator[Outcome]:
    """The metrics."""
    metrics.show(model, snapshot(store, alarms))
    if settings.prometheus and settings.prometheus.textfile:
        try:
            write_textfile(metrics, model, Path(settings.prometheus.textfile))
        except ServiceError as error:
            yield Outcome("prometheus", None, error.what)


def snapshot(store: Store, alarms: Sequence[Alarm]) -> Snapshot:
    """What the metrics say of a model."""
    windows = store.read("windows", columns=["window_end", "rows"]).to_pylist()
    last = max((row["window_end"] for row in windows), default=None)
    rows = sum(row["rows"] or 0 for row in windows if row["window_end"] == last)
    return Snapshot(alarms, last.timestamp() if last else None, rows, outbox.waiting(store))
