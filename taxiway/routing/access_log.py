"""The proxy's access log, with one JSON line per request, and its metrics."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_OTHER = "other"


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One request, or its copy to the shadow.

    Attributes:
        event: `request` or `shadow`.
        protocol: `grpc` or `rest`.
        method: `Predict`, `predict`, ...
        model: The requested model.
        target: The target; empty if the request names a version or label, or the model has no split.
        label: The label that the proxy set.
        backend: The backend that answered.
        version: The version that answered; None if the response does not name it.
        status: The gRPC code or HTTP status.
        ms: The latency in milliseconds.
        same: Shadow only: whether its response equals the target's; None if they cannot be compared.
        answer: Shadow only: its response, truncated.
    """

    event: str
    protocol: str
    method: str
    model: str
    target: str
    label: str
    backend: str
    version: int | None
    status: str
    ms: float
    same: bool | None = None
    answer: str | None = None


class AccessLog:
    """Logs and counts requests."""

    def __init__(self, known_models: set[str]) -> None:
        self._known = known_models
        self.registry = CollectorRegistry()
        labels = ("model", "target", "backend", "protocol", "method", "status")
        self._requests = Counter("taxiway_route_requests", "Requests by status.", labels, registry=self.registry)
        self._seconds = Histogram(
            "taxiway_route_seconds",
            "Latency in seconds.",
            ("model", "target"),
            buckets=_BUCKETS,
            registry=self.registry,
        )
        self._shadows = Counter(
            "taxiway_route_shadow", "Shadow requests by outcome.", ("model", "outcome"), registry=self.registry
        )
        self._weights = Gauge("taxiway_route_weight", "Weights.", ("model", "target"), registry=self.registry)

    def write(self, entry: Entry) -> None:
        """Logs a request or a shadow's response."""
        self.say(**asdict(entry))
        model = self._model(entry.model)
        if entry.event == "shadow":
            outcome = {True: "same", False: "different", None: "failed"}[entry.same]
            self._shadows.labels(model, outcome).inc()
            return
        self._requests.labels(model, entry.target, entry.backend, entry.protocol, entry.method, entry.status).inc()
        self._seconds.labels(model, entry.target).observe(entry.ms / 1000)

    def dropped(self, model: str) -> None:
        """Counts a shadow request that was dropped because the queue was full."""
        self._shadows.labels(self._model(model), "dropped").inc()

    def set_weights(self, model: str, weights: dict[str, float]) -> None:
        """Logs new weights."""
        self.say(event="weights", model=model, weights=weights)
        for target, weight in weights.items():
            self._weights.labels(model, target).set(weight)

    def say(self, **facts: Any) -> None:
        """Writes a JSON line with the time."""
        told = {name: value for name, value in facts.items() if value not in (None, "")}
        time = datetime.now(UTC).isoformat(timespec="milliseconds")
        sys.stdout.write(json.dumps({"time": time, **told}) + "\n")
        sys.stdout.flush()

    def metrics(self) -> bytes:
        """All metrics in Prometheus' text format."""
        return generate_latest(self.registry)

    def _model(self, name: str) -> str:
        # Unknown names are merged, so that clients cannot add label values.
        return name if name in self._known else _OTHER
