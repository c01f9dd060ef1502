"""How often a task is retried, and with which pauses: the `retryPolicy` of a compiled task."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Protocol


class Stop(Protocol):
    """Stops further tasks from starting; a `threading.Event` is one."""

    def is_set(self) -> bool:
        """Whether no more tasks may start."""

    def set(self) -> None:
        """Stops further tasks from starting."""

    def wait(self, timeout: float | None = None) -> bool:
        """Waits until the run stops or the timeout expires."""


class Attempt:
    """A `Stop` for one attempt at a sub-pipeline: a failure in it stops the attempt, but not the run."""

    def __init__(self, outer: Stop) -> None:
        self._outer = outer
        self._failed = False

    def is_set(self) -> bool:
        """Whether something failed in the attempt, or the run stops."""
        return self._failed or self._outer.is_set()

    def set(self) -> None:
        """Ends the attempt."""
        self._failed = True

    def wait(self, timeout: float | None = None) -> bool:
        """Waits until the run stops or the timeout expires."""
        return self._outer.wait(timeout)


def pauses(task: Mapping[str, Any]) -> Iterator[float]:
    """The seconds to wait before each retry; none if the task is not retried."""
    policy = task.get("retryPolicy", {})
    pause, waited = _seconds(policy.get("backoffDuration")), 0.0
    for _ in range(int(policy.get("maxRetryCount", 0))):
        waited += pause
        if waited > _seconds(policy.get("backoffMaxDuration", "3600s")):
            return
        yield pause
        pause *= float(policy.get("backoffFactor", 2))


def _seconds(duration: str | None) -> float:
    return float((duration or "0s").removesuffix("s"))
