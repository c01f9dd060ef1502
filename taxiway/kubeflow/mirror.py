"""Copies Kubeflow's runs into a home on this machine, as the runner would have left them there.

What reads a home, such as the pages of `taxiway ui`, shows Kubeflow's runs without knowing of Kubeflow. A run that has
ended is copied once. The copy has the compiled pipeline, the tasks with their states, times and errors, metrics, the
logs of failed tasks and the lineage; artifacts stay where they are.
"""

from __future__ import annotations

import json
import re
import shutil
import zlib
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from components.contract import files
from components.contract.errors import ServiceError, TaxiwayError
from taxiway.kubeflow import following, submission
from taxiway.kubeflow.host import Host
from taxiway.runs import folders
from taxiway.runs.record import Run
from taxiway.storage.home import Home

_PAGE = 100
_MOST = 1000
"""Runs; older ones are left out."""
_OURS = re.compile(r"[\w.-]*-\d{8}-\d{6}-[0-9a-f]+")
_ENDED = ("SUCCEEDED", "FAILED", "CANCELED", "SKIPPED")


class Mirror:
    """A home with the runs of a Kubeflow. Runs that go on have the lock of a live run while this process lives."""

    def __init__(self, host: Host, home: Home) -> None:
        self._host = host
        self._home = home
        self._locks: dict[str, ExitStack] = {}
        self._done: set[str] = set()

    def refresh(self) -> list[str]:
        """Copies the runs that are new or have changed, the latest first.

        Returns:
            Why some of them could not be copied; they are tried again next time.

        Raises:
            UserError: Kubeflow rejects the login.
            ServiceError: Kubeflow does not answer.
        """
        problems = []
        for listed in self._listed():
            name = _name(listed)
            if name in self._done:
                continue
            try:
                self._copy(listed.run_id, name)
            except (TaxiwayError, OSError, ValueError, KeyError, TypeError, AttributeError) as error:
                # One run that cannot be understood, such as one of a later version, must not hide the others.
                problems.append(f"{listed.display_name}: {error}")
                self._remove_without_record(name)
        return problems

    def close(self) -> None:
        """Gives up the locks of runs that go on."""
        for lock in self._locks.values():
            lock.close()

    def _listed(self) -> Iterator[Any]:
        token, count = "", 0
        while count < _MOST:
            with self._host.explained("list the runs"):
                page = self._host.client.list_runs(
                    page_token=token, page_size=_PAGE, sort_by="created_at desc", namespace=self._host.namespace
                )
            found = page.runs or []
            yield from found
            count += len(found)
            token = page.next_page_token or ""
            if not token or not found:
                return

    def _copy(self, run_id: str, name: str) -> None:
        folder = self._home.runs / name
        if _is_over(folder):
            self._done.add(name)
            return
        pipeline, _ = submission.started(self._host, run_id)
        (folder / "logs").mkdir(parents=True, exist_ok=True)
        files.write(folder / "pipeline.yaml", json.dumps(pipeline.spec, indent=1))
        run = Run(name, pipeline.name, folder)
        document = following.look_once(self._host, pipeline, run_id, run, self._home)
        parameters = (document.runtime_config and document.runtime_config.parameters) or {}
        is_over = str(document.state) in _ENDED
        if not is_over:
            self._hold(folder)
        elif not run.seconds:
            run.seconds = 0.001  # a run without a time has not ended
        run.write(json.loads(json.dumps(parameters, default=str)))
        if is_over:
            self._release(name)
            self._done.add(name)

    def _remove_without_record(self, name: str) -> None:
        if not (self._home.runs / name / "run.json").exists():
            shutil.rmtree(self._home.runs / name, ignore_errors=True)

    def _hold(self, folder: Path) -> None:
        if folder.name not in self._locks and not folders.is_alive(folder):
            self._locks[folder.name] = ExitStack()
            self._locks[folder.name].enter_context(files.locked(folder / "lock"))

    def _release(self, name: str) -> None:
        if name in self._locks:
            self._locks.pop(name).close()


def _is_over(folder: Path) -> bool:
    """Whether the run was copied after its end."""
    try:
        return bool(json.loads((folder / "run.json").read_bytes())["state"] != "RUNNING")
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _name(listed: Any) -> str:
    """The run's name as a folder: as `taxiway submit` gave it, or made like that."""
    shown = str(listed.display_name or "run")
    if _OURS.fullmatch(shown):
        return shown
    plain = re.sub(r"[^\w.-]+", "-", shown).strip(".-")[:80] or "run"
    created = (listed.created_at or datetime.fromtimestamp(0, UTC)).astimezone(UTC)
    return f"{plain}-{created:%Y%m%d-%H%M%S}-{zlib.crc32(str(listed.run_id).encode()):08x}"


def home_of(host: Host, root: Path) -> Home:
    """Where the runs of a Kubeflow are copied to."""
    name = re.sub(r"[^\w.-]+", "-", f"{host.url.partition('://')[2]}-{host.namespace or ''}").strip(".-")
    home = Home(root / "kubeflow" / name)
    try:
        home.runs.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ServiceError(
            f"{home.root} cannot be written: {error}", fix="set TAXIWAY_HOME to another folder"
        ) from error
    return home
