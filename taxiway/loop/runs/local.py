"""Runs of cycles on this machine: processes that outlive the loop, found again by ids that follow from the cycle.

A run that was killed is started again under the next id; the cache has what its stages have made.
"""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.contract import files
from components.contract.digests import text_digest
from taxiway.lineage.loop.cycle import Cycle
from taxiway.loop.runs.look import ENDED, MISSING, RUNNING, Look
from taxiway.loop.runs.parameters import filled
from taxiway.loop.settings import Settings
from taxiway.runs import folders
from taxiway.storage.home import Home

_ATTEMPTS, _LONGEST = 20, 500
_ENDS = {"SUCCEEDED": "", "FAILED": "failed", "CANCELED": "was canceled"}


def run_id(cycle: Cycle, settings: Settings, attempt: int = 0) -> str:
    """The id of a cycle's run."""
    name = Path(settings.pipeline).name.partition(".")[0].replace("_", "-")
    digest = text_digest(cycle.id).removeprefix("sha256:")
    return folders.new_id(name, cycle.started, f"{digest[:6]}{attempt:02x}")


@dataclass
class LocalRuns:
    """The runs of a model's cycles.

    Attributes:
        home: Where they are kept.
    """

    home: Home

    def look(self, cycle: Cycle, settings: Settings) -> Look:
        """What the cycle's run does."""
        name = ""
        for attempt in range(_ATTEMPTS):
            name = run_id(cycle, settings, attempt)
            if found := self._looked(name, f"attempt {attempt + 1}" if attempt else ""):
                return found
        return Look(ENDED, name, f"the run was killed {_ATTEMPTS} times")

    def _looked(self, name: str, attempt: str) -> Look | None:
        """What a run does; None if it was killed."""
        # Whether it lives is asked before its record is read: the record is written before the end.
        if files.is_locked(self._output(name)) or folders.is_alive(self.home.runs / name):
            return Look(RUNNING, name)
        state, error = _recorded(self.home.runs / name / "run.json")
        if state in _ENDS:
            return Look(ENDED, name, f"the run {name} {_ENDS[state]}: {error}" if _ENDS[state] else "")
        if state:
            return None
        if refusal := self._refusal(name):
            return Look(ENDED, name, f"the run {name} was refused: {refusal}")
        return Look(MISSING, name, attempt)

    def start(self, cycle: Cycle, settings: Settings, name: str) -> None:
        """Starts a run, unless somebody else just does. It holds a lock on its output for as long as it lives."""
        given = filled(settings.parameters, cycle.trigger)
        options = [word for parameter, value in given.items() for word in ("--param", f"{parameter}={_text(value)}")]
        command = [sys.executable, "-P", "-m", "taxiway", "run", settings.pipeline, *options, "--run-id", name]
        output = self._output(name)
        output.parent.mkdir(parents=True, exist_ok=True)
        with output.open("ab") as file, suppress(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            file.truncate(0)
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                env={**os.environ, "TAXIWAY_HOME": str(self.home.root)},
                # Neither Ctrl-C at the loop's terminal nor the loop's end reaches it.
                start_new_session=True,
            )
            threading.Thread(target=process.wait, daemon=True).start()

    def _output(self, name: str) -> Path:
        return self.home.loop / f"{name}.log"

    def _refusal(self, name: str) -> str:
        """Why a run did not begin; empty if it was not tried, or was killed before it said so."""
        try:
            said = self._output(name).read_text(errors="replace")
        except FileNotFoundError:
            return ""
        _, error, text = said.rpartition("error: ")
        if error:
            return " ".join(text.split())[:_LONGEST]
        return said.strip().splitlines()[-1][:_LONGEST] if "Traceback" in said else ""


def _recorded(file: Path) -> tuple[str, str]:
    """The state in a run's record, and why it failed; no state if it has none yet, or cannot be read."""
    try:
        document: Mapping[str, Any] = json.loads(file.read_bytes())
    except (OSError, ValueError):
        return "", ""
    errors = [str(task.get("error") or "") for task in document.get("tasks", {}).values()]
    return str(document.get("state", "")), next(filter(None, errors), "")


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
