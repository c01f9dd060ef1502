"""How often a task is tried again, and with which pauses: the `retryPolicy` of a compiled task."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from taxiway.language.tasks import RetryPolicy


class Stop(Protocol):
    """Says whether tasks still start; a `threading.Event` is one."""

    def is_set(self) -> bool:
        """Whether no task starts any more."""

    def set(self) -> None:
        """Lets no task start any more."""

    def wait(self, timeout: float | None = None) -> bool:
        """Waits for the end of the run, or for the time."""


class Attempt:
    """A `Stop` for one attempt at a sub-pipeline: what fails in it stops the attempt, and not the run."""

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
        """Waits for the end of the run, or for the time."""
        return self._outer.wait(timeout)


def pauses(policy: RetryPolicy) -> Iterator[float]:
    """The seconds to wait before each further attempt; none where the task is tried once."""
    pause, waited = policy.first_pause, 0.0
    for _ in range(policy.times):
        waited += pause
        if waited > policy.longest:
            return
        yield pause
        pause *= policy.factor
