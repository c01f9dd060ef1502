"""The proxy's access log, with one JSON line per request, and its metrics."""

from __future__ import annotations

import json
import sys
import time
from datetime import UTC, datetime
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from taxiway.routing.calls import Call
from taxiway.routing.request_fields import SPLIT

# Ten a decade, so that a version that is a quarter slower than another is in other buckets.
_DECADE = (1, 1.25, 1.6, 2, 2.5, 3.15, 4, 5, 6.3, 8)
BUCKETS = (0.0005, 0.0008, *(round(each * 10**power, 6) for power in (-3, -2, -1, 0) for each in _DECADE), 10, 30)
"""The bounds of the latencies' histogram, in seconds."""

_OTHER = "other"
_SPLIT = (*SPLIT, *(method.lower() for method in SPLIT))


class AccessLog:
    """Logs and counts requests."""

    def __init__(self, known_models: set[str]) -> None:
        self._known = known_models
        self.registry = CollectorRegistry()
        labels = ("model", "target", "backend", "protocol", "method", "status")
        self._requests = Counter("taxiway_route_requests", "Requests by status.", labels, registry=self.registry)
        self._seconds = Histogram(
            "taxiway_route_seconds",
            "Latency in seconds of requests that are split.",
            ("model", "target"),
            buckets=BUCKETS,
            registry=self.registry,
        )
        self._shadow_seconds = Histogram(
            "taxiway_route_shadow_seconds",
            "Latency of shadow requests in seconds.",
            ("model", "target"),
            buckets=BUCKETS,
            registry=self.registry,
        )
        self._shadows = Counter(
            "taxiway_route_shadow", "Shadow requests by outcome.", ("model", "outcome"), registry=self.registry
        )
        self._weights = Gauge("taxiway_route_weight", "Weights.", ("model", "target"), registry=self.registry)

    def answered(
        self,
        event: str,
        call: Call,
        status: str,
        *,
        version: int | None = None,
        same: bool | None = None,
        answer: str | None = None,
    ) -> None:
        """Logs and counts the response to a call, with the latency until now.

        Args:
            event: `request` or `shadow`.
            call: The call.
            status: The gRPC code or HTTP status.
            version: The version that answered; None if the response does not name it.
            same: Shadow only: whether its response equals the target's; None if they cannot be compared.
            answer: Shadow only: its response, truncated.
        """
        ms = round((time.perf_counter() - call.began) * 1000, 2)
        self.say(
            event=event,
            protocol=call.protocol,
            method=call.method,
            model=call.model,
            target=call.route.target,
            label=call.route.label,
            backend=call.route.backend,
            version=version,
            status=status,
            ms=ms,
            same=same,
            answer=answer,
        )
        if event == "shadow":
            self._count_shadow(call, same, ms)
        else:
            self._count(call, status, ms)

    def _count_shadow(self, call: Call, same: bool | None, ms: float) -> None:
        model, outcome = self._model(call.model), {True: "same", False: "different", None: "failed"}[same]
        self._shadows.labels(model, outcome).inc()
        self._shadow_seconds.labels(model, call.route.target).observe(ms / 1000)

    def _count(self, call: Call, status: str, ms: float) -> None:
        model, route = self._model(call.model), call.route
        self._requests.labels(model, route.target, route.backend, call.protocol, call.method, status).inc()
        if call.method in _SPLIT:
            self._seconds.labels(model, route.target).observe(ms / 1000)

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
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        sys.stdout.write(json.dumps({"time": now, **told}) + "\n")
        sys.stdout.flush()

    def metrics(self) -> bytes:
        """All metrics in Prometheus' text format."""
        return generate_latest(self.registry)

    def _model(self, name: str) -> str:
        # Unknown names are merged, so that clients cannot add label values.
        return name if name in self._known else _OTHER
