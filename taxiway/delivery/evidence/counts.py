"""Requests of both versions that were answered at the same time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from taxiway.routing.access_log import BUCKETS

BINS = len(BUCKETS) + 1
"""Latencies are counted in these bins; the last one has no upper bound."""


@dataclass(frozen=True)
class Counts:
    """Requests of one version.

    Attributes:
        answered: How many were answered without an error.
        failed: How many failed, other than by a client that has left.
        latencies: All requests by the bin of their latency.
        seconds: The sum of their latencies.
    """

    answered: int = 0
    failed: int = 0
    latencies: Sequence[int] = (0,) * BINS
    seconds: float = 0.0

    @property
    def requests(self) -> int:
        """All requests."""
        return self.answered + self.failed


@dataclass(frozen=True)
class Second:
    """What happened in about a second, while the weights stayed the same.

    Attributes:
        champion: The champion's requests.
        challenger: The challenger's.
        shadow: Copies of the champion's requests that the shadow answered.
    """

    champion: Counts = Counts()
    challenger: Counts = Counts()
    shadow: Counts = Counts()
