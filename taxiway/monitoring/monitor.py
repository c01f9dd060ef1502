"""Watches a model: passes over its tables, now or again and again, told to people, receivers and the lineage."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from components.contract.errors import ServiceError
from components.contract.files import locked
from components.inference import stores, table
from components.monitoring.alarms import update
from components.monitoring.alarms.alarm import Change
from components.monitoring.passes.compute import Computed
from components.monitoring.passes.run import Watch
from components.monitoring.store import Store
from taxiway.alerts import metrics as exported
from taxiway.alerts.metrics import Metrics
from taxiway.alerts.send import Outcome, send
from taxiway.lineage.monitoring import windows
from taxiway.monitoring import origins
from taxiway.monitoring.settings import Settings
from taxiway.storage.home import Home

if TYPE_CHECKING:
    from taxiway.lineage.store import LineageStore

_COMPACT_EVERY = timedelta(hours=1)
_KEPT = timedelta(days=90)
"""How long it is kept what was told to whom, and mutes that are over."""


@dataclass
class Passed:
    """What a pass did.

    Attributes:
        computed: The windows, oldest first.
        changes: What changed of the alarms.
        outcomes: What receivers said.
        unknown: Why a version cannot be compared, by version.
        has_table: Whether there is an inference table.
    """

    computed: list[Computed] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)
    unknown: dict[int, str] = field(default_factory=dict)
    has_table: bool = True


class Monitor:
    """The monitor of one model.

    Args:
        target: The model's name, or the place that its versions are pushed to.
        tables: The folder or URL with the tables of all models.
        settings: The settings.
        lineage: The lineage store; None if there is none.
    """

    def __init__(self, target: str, tables: str, settings: Settings, lineage: LineageStore | None) -> None:
        home = Home.default()
        self.model = origins.model(target, lineage)
        self.store = Store(f"{tables.rstrip('/')}/{self.model.name}")
        self.metrics = Metrics()
        self._settings, self._lineage = settings, lineage
        cache = home.root / "references" / self.model.name
        self._lock = cache / ".monitor.lock"
        self.watch = Watch(
            store=self.store,
            model=self.model.name,
            find=lambda version: origins.trained(self.model, version, lineage, cache / "models"),
            settings=settings.watched,
            cache=cache,
            privacy=settings.privacy,
        )
        self._compacted = datetime.min.replace(tzinfo=UTC)

    def once(self, told: Callable[[Computed], object], now: datetime | None = None) -> Passed:
        """One pass.

        Args:
            told: Is called with every window when it is computed.
            now: The time; None for the clock's.

        Raises:
            UserError: The settings do not fit the data.
            ServiceError: A table or the lineage store does not answer.
        """
        with stores.reached(self.store.root):
            return self._once(told, now or datetime.now(UTC))

    def _once(self, told: Callable[[Computed], object], now: datetime) -> Passed:
        self._lock.parent.mkdir(parents=True, exist_ok=True)
        found = Passed(unknown=self.watch.unknown)
        # Two monitors at once do no harm, but the work twice.
        with locked(self._lock):
            for computed in self.watch.pass_over(now):
                found.computed.append(computed)
                self._record(computed, now)
                told(computed)
        found.changes = [change for each in found.computed for change in each.changes]
        found.changes += update.refresh(self.store, self.model.name, now, self._settings.watched.alarms)
        found.outcomes = send(self.store, self.model.name, self._settings.alerts, metrics=self.metrics, now=now)
        found.has_table = self.store.version("inference") is not None
        self.store.cut("deliveries", "changed", now - _KEPT)
        self.store.cut("mutes", "until", now - _KEPT)
        return found

    def every(
        self,
        pause: timedelta,
        told: Callable[[Computed], object],
        passed: Callable[[Passed | ServiceError], object],
        stopped: threading.Event,
    ) -> None:
        """Passes again and again until it is stopped; a store that is away is tried again at the next time."""
        with ExitStack() as stack:
            if self._settings.alerts.prometheus and self._settings.alerts.prometheus.port:
                stack.callback(exported.serve(self.metrics, self._settings.alerts.prometheus).shutdown)
            while not stopped.is_set():
                began = datetime.now(UTC)
                try:
                    passed(self.once(told))
                    self._compact(began)
                except ServiceError as error:
                    passed(error)
                stopped.wait(max((began + pause - datetime.now(UTC)).total_seconds(), 0.0))

    def _compact(self, now: datetime) -> None:
        if now - self._compacted >= _COMPACT_EVERY:
            table.compact(self.store.root)
            self._compacted = now

    def _record(self, computed: Computed, now: datetime) -> None:
        if self._lineage is None:
            return
        versions = [
            windows.Watched(each.version, str(each.model), each.model_digest, each.examples.uri, each.digest)
            for each in self.watch.compared(computed)
        ]
        changes = [
            {"event": each.event, "alarm": each.alarm.alarm, "sentence": each.alarm.sentence or ""}
            for each in computed.changes
        ]
        seen = windows.Seen(
            model=self.model.name,
            start=computed.window.start,
            end=computed.window.end,
            rows=computed.rows,
            signals=computed.signals,
            tables=self.store.root,
            table_version=computed.table_version,
            alarms=changes,
            settings=json.loads(json.dumps(asdict(self._settings.watched), default=str)),
        )
        windows.record(self._lineage, seen, versions, now)
