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
from components.contract.errors import ServiceError
from taxiway.runs.record import Run
from taxiway.storage.home import Home

_STARTED = re.compile(r"-(\d{8}-\d{6})-[0-9a-f]+$")


@contextmanager
def opened(pipeline: str, home: Home) -> Iterator[Run]:
    """A run's folder and lock. The lock tells others that the run is alive; it is released when the process ends."""
    now = datetime.now(UTC)
    run_id = f"{pipeline}-{now:%Y%m%d-%H%M%S}-{os.urandom(4).hex()}"
    folder = home.runs / run_id
    with contextlib.ExitStack() as stack:
        try:
            (folder / "logs").mkdir(parents=True)
            stack.enter_context(files.locked(folder / "lock"))
            # Under the lock, because other runs remove work folders without a live run.
            (home.work / run_id).mkdir(parents=True)
            stack.callback(shutil.rmtree, home.work / run_id, ignore_errors=True)
        except OSError as error:
            fix = "set TAXIWAY_HOME to another folder"
            raise ServiceError(f"{home.root} cannot be written: {error}", fix=fix) from error
        yield Run(run_id, pipeline, folder)


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
