"""The recorder's Prometheus metrics."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from prometheus_client import CollectorRegistry, Counter, Gauge

Reason = Literal["full", "store", "rows", "stop"]
"""Why requests are dropped: too many wait, the store does not take them, a bug or a table that does not take their
types, or the server has ended before they were written."""


class Metrics:
    """Counts requests."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._recorded = Counter(
            "taxiway_inference_recorded", "Requests in the inference table.", ("model",), registry=registry
        )
        self._dropped = Counter(
            "taxiway_inference_dropped",
            "Sampled requests that were not recorded, by reason.",
            ("model", "reason"),
            registry=registry,
        )
        self._left_out = Counter(
            "taxiway_inference_left_out",
            "Requests recorded without inputs and outputs (unreadable), and columns beyond the limit (columns).",
            ("model", "what"),
            registry=registry,
        )
        self._written = Gauge(
            "taxiway_inference_written_seconds", "Time of the last write.", ("model",), registry=registry
        )

        self._waiting = Gauge("taxiway_inference_waiting", "Requests that are not written yet.", registry=registry)

    def waiting(self, count: Callable[[], int]) -> None:
        """Shows how many requests wait whenever the metrics are read."""
        self._waiting.set_function(count)

    def recorded(self, model: str, requests: int) -> None:
        """Counts written requests."""
        self._recorded.labels(model).inc(requests)
        self._written.labels(model).set_to_current_time()

    def dropped(self, model: str, reason: Reason, requests: int = 1) -> None:
        """Counts dropped requests."""
        self._dropped.labels(model, reason).inc(requests)

    def left_out(self, model: str, what: str, count: int) -> None:
        """Counts what is missing in the rows of recorded requests."""
        if count:
            self._left_out.labels(model, what).inc(count)
