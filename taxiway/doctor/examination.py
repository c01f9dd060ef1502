"""Runs checks in parallel, each in its own process with a timeout.

Only killing a process reliably stops a library that is resolving a name, sleeping between retries, or waiting for a
program that it started.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any

from taxiway.doctor.findings import Check, Line, State, short

_PROCESSES = multiprocessing.get_context("fork")


@dataclass
class _Started:
    check: Check
    process: Any
    answer: Connection
    deadline: float
    lines: list[Line] | None = None


class Examination:
    """A set of running checks."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._started: list[_Started] = []

    def start(self, checks: list[Check]) -> None:
        """Starts checks; they do not wait for each other."""
        for check in checks:
            answer, sender = _PROCESSES.Pipe(duplex=False)
            process = _PROCESSES.Process(target=_look, args=(check, sender), daemon=True)
            process.start()
            sender.close()
            self._started.append(_Started(check, process, answer, time.monotonic() + self._seconds))

    def lines(self) -> list[tuple[str, Line]]:
        """Waits for all checks; returns (group, line) pairs in the order in which the checks were started."""
        while waiting := [each for each in self._started if each.lines is None]:
            ready = wait([each.answer for each in waiting], max(0, waiting[0].deadline - time.monotonic()))
            for each in waiting:
                if each.answer in ready:
                    each.lines = _received(each)
                elif time.monotonic() >= each.deadline:
                    found = f"no answer within {self._seconds:g} s"
                    each.lines = [Line(each.check.name, each.check.silent, found, "retry with --timeout 30")]
        return [(each.check.group, line) for each in self._started for line in each.lines or []]

    def close(self) -> None:
        """Kills the checks that are still running, and the processes that they started."""
        for each in self._started:
            if each.process.is_alive():
                # A process that was just forked may not have its own process group yet.
                each.process.kill()
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(each.process.pid, signal.SIGKILL)
            each.process.join()
            each.answer.close()


def _look(check: Check, sender: Connection) -> None:
    """Runs in the process of a check: in its own session, with the output of libraries discarded."""
    os.setsid()
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nowhere, stream)
    try:
        found = check.look()
    except Exception as error:  # a bug here or in a library must not hide the other checks
        found = [Line(check.name, State.UNKNOWN, f"{type(error).__name__}: {short(error)}")]
    sender.send(found)


def _received(started: _Started) -> list[Line]:
    try:
        found: list[Line] = started.answer.recv()
    except EOFError:
        found = [Line(started.check.name, State.UNKNOWN, "the check crashed")]
    return found
