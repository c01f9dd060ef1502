"""Cancels a run from another process: the request is a file, which the run looks for."""

from __future__ import annotations

from collections.abc import Callable
from concurrent import futures
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from components.contract.errors import UserError
from taxiway.runs import folders
from taxiway.storage.home import Home

_PAUSE = 0.25


def request(run_id: str, home: Home) -> None:
    """Asks a run to stop, as Ctrl-C does.

    Raises:
        UserError: The run has ended.
    """
    # The work folder exists for as long as the run.
    if not folders.is_alive(home.runs / run_id) or not (home.work / run_id).is_dir():
        raise UserError(f"the run {run_id} has ended", fix="nothing is left to cancel")
    _file(run_id, home).touch()


def is_requested(run_id: str, home: Home) -> bool:
    """Whether a run that goes on was asked to stop."""
    return _file(run_id, home).exists()


def _file(run_id: str, home: Home) -> Path:
    return home.work / run_id / "cancel"


def wait(outcome: Future[Any], run_id: str, home: Home, act: Callable[[], object]) -> None:
    """Waits for the outcome of a run, and calls `act` once if the run is asked to stop before."""
    while not futures.wait([outcome], _PAUSE).done:
        if is_requested(run_id, home):
            act()
            futures.wait([outcome])
