"""What is wrong with a candidate, and which step detected it."""

from __future__ import annotations


class FailedError(Exception):
    """The candidate failed a step: `start`, `load`, `request`, `answer` or `latency`."""

    def __init__(self, step: str, message: str) -> None:
        super().__init__(f"{step}: {message}")
        self.step = step
        self.message = message
