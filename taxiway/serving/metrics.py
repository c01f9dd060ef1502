"""The server's Prometheus metrics, with TF Serving's names if it has the same metric."""

from __future__ import annotations

import functools
import threading
from collections import Counter
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Gauge, Histogram
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

_MICROSECONDS = [10 * 1.8**power for power in range(33)]
"""TF Serving's latency buckets."""

_EXAMPLES = [2**power for power in range(16)]


class _Counter(Collector):
    """A counter whose name does not end in `_total`, like TF Serving's; prometheus_client always adds that suffix."""

    def __init__(self, name: str, help_text: str, labels: tuple[str, ...], registry: CollectorRegistry) -> None:
        self._name, self._help, self._labels = name, help_text, labels
        self._values = Counter[tuple[str, ...]]()
        self._lock = threading.Lock()
        registry.register(self)

    def add(self, *labels: str) -> None:
        """Adds one."""
        with self._lock:
            self._values[labels] += 1

    def collect(self) -> Iterator[Metric]:
        """The values, for prometheus_client."""
        metric = Metric(self._name, self._help, "unknown")
        with self._lock:
            for labels, value in self._values.items():
                metric.add_sample(self._name, dict(zip(self._labels, labels, strict=True)), value)
        yield metric

    def describe(self) -> list[Metric]:
        """Empty, which skips the registry's check for duplicate names."""
        return []


class Metrics:
    """The server's metrics."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = _Counter(
            ":tensorflow:serving:request_count",
            "Requests by model and status.",
            ("model_name", "status"),
            registry=self.registry,
        )
        self._latency = Histogram(
            ":tensorflow:serving:request_latency",
            "Request latency in microseconds.",
            ("model_name", "API", "entrypoint"),
            buckets=_MICROSECONDS,
            registry=self.registry,
        )
        self._runtime = Histogram(
            ":tensorflow:serving:runtime_latency",
            "TensorFlow call latency in microseconds.",
            ("model_name", "API", "runtime"),
            buckets=_MICROSECONDS,
            registry=self.registry,
        )
        self._examples = Histogram(
            ":tensorflow:serving:request_example_counts",
            "Rows per request.",
            ("model",),
            buckets=_EXAMPLES,
            registry=self.registry,
        )
        self._logged = _Counter(
            ":tensorflow:serving:request_log_count",
            "Logged requests.",
            ("model_name", "status"),
            registry=self.registry,
        )
        self._loads = _Counter(
            ":tensorflow:cc:saved_model:load_attempt_count",
            "Attempts to load a version.",
            ("model_path", "status"),
            registry=self.registry,
        )
        self._load_seconds = Gauge(
            ":tensorflow:cc:saved_model:load_latency",
            "Latency of the last load in microseconds.",
            ("model_path",),
            registry=self.registry,
        )
        self._states = Gauge(
            "taxiway_model_version_state",
            "TF Serving's state of a version: 10 START, 20 LOADING, 30 AVAILABLE, 40 UNLOADING, 50 END.",
            ("model_name", "version"),
            registry=self.registry,
        )

        # Looking up a child metric takes longer than incrementing it.
        self._latency_of = functools.cache(self._latency.labels)

    def request(self, model: str, api: str, entrypoint: str, status: str, seconds: float) -> None:
        """Counts a request; the model is a configured one or ""."""
        self._requests.add(model, status)
        self._latency_of(model, api, entrypoint).observe(seconds * 1e6)

    def of_calls(self, model: str) -> tuple[Histogram, Histogram]:
        """The histograms of a model's calls: microseconds and rows."""
        return self._runtime.labels(model, "Predict", "TF1"), self._examples.labels(model)

    def logged(self, model: str, status: str) -> None:
        """Counts a request that was sampled for the log."""
        self._logged.add(model, status)

    def load(self, path: str, status: str, seconds: float) -> None:
        """Counts an attempt to load a version."""
        self._loads.add(path, status)
        self._load_seconds.labels(path).set(seconds * 1e6)

    def total(self, name: str) -> int:
        """A counter's sum over all labels, by TF Serving's name, `/tensorflow/...`; 0 if there is no such counter."""
        name = name.replace("/", ":")
        samples = (sample for metric in self.registry.collect() for sample in metric.samples)
        return int(sum(sample.value for sample in samples if sample.name == name))

    def state(self, model: str, version: int, state: int) -> None:
        """Sets a version's state."""
        self._states.labels(model, str(version)).set(state)
