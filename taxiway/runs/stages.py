"""The stages of a fused task: what its log says of them, while it runs and at its end."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from components.fused import report
from taxiway.runner.call import DONE, State

_PAUSE = 0.2


@dataclass(frozen=True)
class Stage:
    """One stage of a fused task.

    Attributes:
        name: The name of the task that it would be by itself.
        state: How it ended; None while it runs.
        seconds: How long it took.
    """

    name: str
    state: State | None
    seconds: float


def read(log: Path, ended: State | None = None) -> list[Stage]:
    """The stages that a fused task has begun.

    Args:
        log: The task's log.
        ended: How the task ended: a stage that has not ended by then, ended so.
    """
    lines = log.read_text(errors="replace").splitlines() if log.is_file() else []
    last = None if ended in DONE else ended
    return [
        Stage(each.name, last if each.state == report.RUNNING else State(each.state), each.seconds)
        for each in report.read(lines)
    ]


class Watch:
    """Follows the log of a fused task until `stop`.

    Args:
        log: The log.
        tell: Is given the stages whenever they change, from a thread.
    """

    def __init__(self, log: Path, tell: Callable[[list[Stage]], object]) -> None:
        self._log = log
        self._tell = tell
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Tells what is left to tell, and ends."""
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        known: list[Stage] = []
        is_over = False
        while not is_over:
            is_over = self._over.wait(_PAUSE)
            if (found := read(self._log)) != known:
                self._tell(found)
                known = found
