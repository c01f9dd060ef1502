"""How often a task is retried, and with which pauses: the `retryPolicy` of a compiled task."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from taxiway.language.tasks import RetryPolicy


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


def pauses(policy: RetryPolicy) -> Iterator[float]:
    """The seconds to wait before each retry; none if the task is not retried."""
    pause, waited = policy.first_pause, 0.0
    for _ in range(policy.times):
        waited += pause
        if waited > policy.longest:
            return
        yield pause
        pause *= policy.factor
