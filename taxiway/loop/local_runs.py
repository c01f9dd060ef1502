"""Runs of cycles on this machine: processes that outlive the loop, found again by ids that follow from the cycle.

A run that was killed is started again under the next id; the cache has what its stages have made.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from components.contract.digests import text_digest
from taxiway.lineage.loop.cycle import Cycle
from taxiway.loop.look import ENDED, RUNNING, STARTED, Look
from taxiway.loop.parameters import filled
from taxiway.loop.settings import Settings
from taxiway.runs import folders
from taxiway.storage.home import Home

_ATTEMPTS = 20
_OUTPUT = "output.log"
_ENDS = {"SUCCEEDED": "", "FAILED": "failed", "CANCELED": "was canceled"}


@dataclass
class LocalRuns:
    """The runs of a model's cycles.

    Attributes:
        home: Where they are kept.
    """

    home: Home
    _children: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def look(self, cycle: Cycle, settings: Settings) -> Look:
        """What the cycle's run does; it is started if it is not there, or was killed."""
        for attempt in range(_ATTEMPTS):
            run_id = self._id(cycle, settings, attempt)
            child = self._children.get(run_id)
            # A process that has just ended has written its record: it is asked before the record is read.
            is_child_alive = child is not None and child.poll() is None
            if is_child_alive or folders.is_alive(self.home.runs / run_id):
                return Look(RUNNING, run_id)
            state, error = _recorded(self.home.runs / run_id / "run.json")
            if state in _ENDS:
                return Look(ENDED, run_id, f"the run {run_id} {_ENDS[state]}: {error}" if _ENDS[state] else "")
            if child is not None and not state:
                return Look(ENDED, run_id, f"the run {run_id} was refused: {self._said(run_id)}")
            if not state:
                self._start(run_id, settings, cycle)
                return Look(STARTED, run_id, f"attempt {attempt + 1}" if attempt else "")
        return Look(ENDED, run_id, f"the run was killed {_ATTEMPTS} times")

    def _id(self, cycle: Cycle, settings: Settings, attempt: int) -> str:
        name = Path(settings.pipeline).name.partition(".")[0]
        digest = text_digest(cycle.id).removeprefix("sha256:")
        return folders.new_id(name, cycle.started, f"{digest[:6]}{attempt:02x}")

    def _start(self, run_id: str, settings: Settings, cycle: Cycle) -> None:
        given = filled(settings.parameters, cycle.trigger)
        options = [word for name, value in given.items() for word in ("--param", f"{name}={_text(value)}")]
        command = [sys.executable, "-P", "-m", "taxiway", "run", settings.pipeline, *options, "--run-id", run_id]
        output = self._output(run_id)
        output.parent.mkdir(parents=True, exist_ok=True)
        with output.open("wb") as file:
            self._children[run_id] = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                env={**os.environ, "TAXIWAY_HOME": str(self.home.root)},
                # Neither Ctrl-C at the loop's terminal nor the loop's end reaches it.
                start_new_session=True,
            )

    def _output(self, run_id: str) -> Path:
        return self.home.root / "loop" / f"{run_id}.log"

    def _said(self, run_id: str) -> str:
        lines = self._output(run_id).read_text(errors="replace").strip().splitlines()
        return " ".join(line.strip() for line in lines[-3:]).removeprefix("error: ") or "it said nothing"


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
