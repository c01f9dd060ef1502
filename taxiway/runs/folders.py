"""The folders of the runs on this machine, and which of them belong to a live process."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from components.contract import files
from components.contract.commands import typed
from components.contract.errors import ServiceError, UserError
from taxiway.runs.record import Run
from taxiway.storage.home import Home

_STARTED = re.compile(r"-(\d{8}-\d{6})-[0-9a-f]+$")
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")


def new_id(pipeline: str, now: datetime, suffix: str = "") -> str:
    """The id of a run; the suffix is hexadecimal, and random by default."""
    return f"{pipeline}-{now.astimezone(UTC):%Y%m%d-%H%M%S}-{suffix or os.urandom(4).hex()}"


@contextmanager
def opened(pipeline: str, home: Home, run_id: str = "") -> Iterator[Run]:
    """A run's folder and lock. The lock tells others that the run is alive; it is released when the process ends.

    Args:
        pipeline: The pipeline's name.
        home: Where runs are kept.
        run_id: Its id, which no run may have had; empty for a new one.

    Raises:
        UserError: A run has this id.
    """
    given, run_id = run_id, checked_id(run_id) or new_id(pipeline, datetime.now(UTC))
    folder = home.runs / run_id
    with contextlib.ExitStack() as stack:
        try:
            (folder / "logs").mkdir(parents=True, exist_ok=bool(given))
            stack.enter_context(files.locked(folder / "lock", on_wait=lambda: _refuse(run_id, "is running")))
            if (folder / "run.json").exists():
                _refuse(run_id, "is there already")
            # Under the lock, because other runs remove work folders without a live run.
            shutil.rmtree(home.work / run_id, ignore_errors=True)
            (home.work / run_id).mkdir(parents=True)
            stack.callback(shutil.rmtree, home.work / run_id, ignore_errors=True)
        except OSError as error:
            fix = "set TAXIWAY_HOME to another folder"
            raise ServiceError(f"{home.root} cannot be written: {error}", fix=fix) from error
        yield Run(run_id, pipeline, folder)


def checked_id(run_id: str) -> str:
    """The id that a user gave, or none.

    Raises:
        UserError: No folder can have it as its name.
    """
    if run_id and not _ID.fullmatch(run_id):
        raise UserError(f"the run's id is {run_id!r}", fix="use letters, digits, '.', '_' and '-' only")
    return run_id


def _refuse(run_id: str, why: str) -> None:
    fix = f"give another id; `{typed('taxiway runs')}` lists the runs"
    raise UserError(f"the run {run_id} {why}: an id is used once", fix=fix)


def started(folder: Path) -> datetime:
    """The time at which a run began, which is in its id."""
    if found := _STARTED.search(folder.name):
        # A folder of another program may be named by what is no time.
        with contextlib.suppress(ValueError):
            return datetime.strptime(found[1], "%Y%m%d-%H%M%S").replace(tzinfo=UTC)
    try:
        return datetime.fromtimestamp(folder.stat().st_mtime, UTC)
    except OSError:
        return datetime.fromtimestamp(0, UTC)


def is_alive(folder: Path) -> bool:
    """Whether a run's process is still running."""
    return files.is_locked(folder / "lock")


def living(home: Home) -> set[str]:
    """The runs whose process is still running."""
    return {folder.name for folder in home.runs.iterdir() if is_alive(folder)}


def remove_abandoned(home: Home) -> None:
    """Removes the work folders of runs that were killed."""
    for folder in home.work.iterdir():
        if not is_alive(home.runs / folder.name):
            shutil.rmtree(folder, ignore_errors=True)
