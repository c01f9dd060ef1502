"""Tells people of cycles, by the ways out that alarms take: each step that somebody should know of, once."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from deltalake.exceptions import DeltaError

from components.contract.errors import TaxiwayError
from components.monitoring.alarms.alarm import CLOSED, OPEN, Alarm
from components.monitoring.store import Store
from taxiway.alerts.outbox import KEEP
from taxiway.alerts.send import told, ways
from taxiway.alerts.settings import Alerts
from taxiway.lineage.loop import ledger
from taxiway.lineage.loop.cycle import Cycle, Event, State

if TYPE_CHECKING:
    from taxiway.loop.loop import Loop

KIND = "retraining"
"""The kind that messages have instead of an alarm's."""

_RETRY = 60.0
"""Seconds until receivers that were away are tried again."""

_GOOD = (State.PROMOTED, State.NOTHING_PUSHED)


@dataclass
class Telling:
    """Tells in a thread of its own: a receiver that is away keeps no rollout waiting.

    Attributes:
        failed: Gets the name of a way out and why it did not take a message.
    """

    failed: Callable[[str, str], object]
    _thread: threading.Thread | None = None
    _last: float = -math.inf

    def tell(self, loop: Loop, now: datetime, *, is_news: bool, waits: bool = False) -> None:
        """Tells what was not told yet.

        Args:
            loop: The loop.
            now: The time.
            is_news: Whether a step was taken; if none was, there is something to tell only if a receiver was away.
            waits: Whether to wait until all are told.
        """
        is_due = is_news or time.monotonic() - self._last > _RETRY
        if not is_due or (self._thread and self._thread.is_alive()) or not ways(loop.settings.alerts):
            return
        self._last = time.monotonic()
        alarms = recent(ledger.read(loop.lineage, loop.settings.model).cycles, loop.settings.tell, now)
        given = (loop.tables, loop.settings.model, loop.settings.alerts, alarms, now)
        self._thread = threading.Thread(target=self._told, args=given, daemon=True)
        self._thread.start()
        if waits:
            self._thread.join()

    def _told(self, tables: Store, model: str, alerts: Alerts, alarms: Sequence[Alarm], now: datetime) -> None:
        try:
            for outcome in told(tables, model, alerts, alarms, now=now) if alarms else []:
                if outcome.error:
                    self.failed(outcome.way, outcome.error)
        except (TaxiwayError, DeltaError, OSError) as error:
            self.failed("the table of deliveries", str(error).partition("\n")[0])


def recent(cycles: Sequence[Cycle], tell: Sequence[str], now: datetime) -> list[Alarm]:
    """What is to be told of cycles, in the form of alarms: good ends are closed, others open."""
    return [alarm for each in cycles for alarm in _alarms(each, tell) if now - alarm.changed < KEEP]


def _alarms(cycle: Cycle, tell: Sequence[str]) -> Iterator[Alarm]:
    for number, event in enumerate(cycle.events):
        if event.state in tell or ("approval" in tell and event.facts.get("needs")):
            yield _alarm(cycle, number, event)


def _alarm(cycle: Cycle, number: int, event: Event) -> Alarm:
    is_good = event.state in _GOOD
    return Alarm(
        alarm=f"{cycle.id}-{number}",
        model=cycle.model,
        version=event.facts.get("version", cycle.facts.get("version")),
        kind=KIND,
        column=str(event.state),
        slice="",
        state=CLOSED if is_good else OPEN,
        sentence=f"{cycle.model}, {sentence(event)} (retraining {cycle.id}, after: {cycle.trigger.reason})",
        since=cycle.started,
        # What has ended well was never open, as far as receivers know.
        opened=event.time - KEEP if is_good else event.time,
        last=event.time,
        closed=event.time if is_good else None,
        changed=event.time,
        acknowledged_by=None,
        effect=None,
        effect_unit=None,
        p_adjusted=None,
        evidence=0.0,
        importance=None,
        window="",
        rows=0,
        acknowledged=None,
    )


def sentence(event: Event) -> str:
    """A step in words."""
    return f"{str(event.state).replace('_', ' ')}: {event.reason}"
