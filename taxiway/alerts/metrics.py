"""Prometheus metrics: a file for node_exporter's textfile collector, and /metrics while the monitor runs."""

from __future__ import annotations

import threading
from collections import Counter as Count
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest, start_http_server
from prometheus_client.core import GaugeMetricFamily

from components.contract.errors import ServiceError
from components.contract.files import write
from components.monitoring.alarms.alarm import Alarm, by_importance
from taxiway.alerts.settings import Prometheus

_SERIES = 200
"""The most series of alarms by model: the most important ones have their own, the others share `column="others"`."""

_LABELS = ("model", "kind", "column", "slice", "state")


@dataclass(frozen=True)
class Snapshot:
    """What is known of a model.

    Attributes:
        alarms: Those that are not closed.
        last_window: The end of the last window, in seconds since 1970; None if there is none.
        rows: The rows of the last window.
        failing: Messages that wait for a receiver, by way out.
    """

    alarms: Sequence[Alarm] = ()
    last_window: float | None = None
    rows: int = 0
    failing: dict[str, int] | None = None


class Metrics:
    """The metrics of all models that one monitor watches."""

    def __init__(self) -> None:
        self._models: dict[str, Snapshot] = {}
        self._lock = threading.Lock()
        self.registry = CollectorRegistry()
        self.registry.register(self)  # type: ignore[arg-type]

    def show(self, model: str, snapshot: Snapshot) -> None:
        """Replaces what is known of a model."""
        with self._lock:
            self._models[model] = snapshot

    def collect(self) -> Iterator[Any]:
        """Prometheus's interface."""
        with self._lock:
            models = dict(self._models)
        alarms = GaugeMetricFamily("taxiway_monitor_alarms", "Alarms that are not closed.", labels=_LABELS)
        last = GaugeMetricFamily(
            "taxiway_monitor_last_window_timestamp_seconds", "End of the last computed window.", labels=["model"]
        )
        rows = GaugeMetricFamily("taxiway_monitor_rows", "Rows in the last computed window.", labels=["model"])
        failing = GaugeMetricFamily(
            "taxiway_monitor_undelivered", "Messages that wait for a receiver.", labels=["model", "way"]
        )
        for model, found in sorted(models.items()):
            for labels, count in _series(found.alarms).items():
                alarms.add_metric([model, *labels], count)
            rows.add_metric([model], found.rows)
            if found.last_window is not None:
                last.add_metric([model], found.last_window)
            for way, count in (found.failing or {}).items():
                failing.add_metric([model, way], count)
        yield from (alarms, last, rows, failing)


def _series(alarms: Sequence[Alarm]) -> Count[tuple[str, str, str, str]]:
    """Alarms by kind, column, slice and state."""
    found: Count[tuple[str, str, str, str]] = Count()
    for alarm in by_importance(alarms):
        labels = (alarm.kind, alarm.column, alarm.slice, alarm.state)
        is_own = labels in found or len(found) < _SERIES
        found[labels if is_own else (alarm.kind, "others", "", alarm.state)] += 1
    return found


def write_textfile(metrics: Metrics, model: str, folder: Path) -> None:
    """Writes a model's metrics for node_exporter, which reads whole files.

    Raises:
        ServiceError: The folder cannot be written to.
    """
    try:
        write(folder / f"taxiway_{model}.prom", generate_latest(metrics.registry))
    except OSError as error:
        raise ServiceError(f"{folder} cannot be written to: {error.strerror}", fix=f"mkdir -p {folder}") from error


def serve(metrics: Metrics, settings: Prometheus) -> Any:
    """Serves /metrics until the returned server's `shutdown`; its port is `server_port`.

    Raises:
        ServiceError: The port is taken.
    """
    try:
        return start_http_server(settings.port, settings.host, metrics.registry)[0]
    except OSError as error:
        raise ServiceError(
            f"the port {settings.port} of the metrics cannot be opened: {error.strerror}", fix="choose another port"
        ) from error
