"""One examination of a candidate: waits until it is served, checks its answers, and measures their latency."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path

from components.contract.artifacts import Examples
from components.infra_validator import probe
from components.infra_validator.questions import Request, questions, read_examples, signatures
from components.infra_validator.servers.server import Server


@dataclass(frozen=True)
class Findings:
    """The results for a candidate that passed.

    Attributes:
        loading_seconds: The time from the start of the examination until the model was AVAILABLE.
        latency: For each signature, `requests` (how many were timed), `p50_ms` and `p99_ms`.
        requests: The requests that were sent.
    """

    loading_seconds: float
    latency: dict[str, dict[str, float]] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)


def examine(
    server: Server,
    saved_model: Path,
    examples: Examples | None,
    *,
    splits: list[str],
    wanted: list[str],
    num_examples: int,
    max_latency_ms: float,
    max_loading_seconds: float,
) -> Findings:
    """Waits for a server that was just started, sends requests, and checks the answers; see the stage's parameters.

    Raises:
        FailedError: The candidate failed.
        UserError: There are no such splits or signatures, or the examples lack what the signatures need.
        DataError: There are no examples.
    """
    began = time.monotonic()
    rows = read_examples(examples, splits, num_examples) if examples else None
    address = probe.wait_until_available(server, max_loading_seconds)
    loading_seconds = round(time.monotonic() - began, 3)
    if rows is None:
        return Findings(loading_seconds)
    # Only now, because the server has reported by then if the SavedModel is invalid.
    there = signatures(saved_model)
    to_ask = questions(there, wanted, rows)
    latencies = probe.ask(server, address, to_ask, there, max_latency_ms)
    return Findings(loading_seconds, _summed_up(latencies), [question.request for question in to_ask])


def _summed_up(latencies: probe.Latencies) -> dict[str, dict[str, float]]:
    return {
        name: {
            "requests": len(milliseconds),
            "p50_ms": probe.percentile(milliseconds, 50),
            "p99_ms": probe.percentile(milliseconds, 99),
        }
        for name, milliseconds in latencies.items()
    }
