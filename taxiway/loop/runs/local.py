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
from taxiway.loop.runs.look import ENDED, MISSING, RUNNING, Look
from taxiway.loop.runs.parameters import filled
from taxiway.loop.settings import Settings
from taxiway.runs import folders
from taxiway.storage.home import Home

_ATTEMPTS = 20
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
    _children: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

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
        child = self._children.get(name)
        # Whether it lives is asked before its record is read: the record is written before the end.
        if (child and child.poll() is None) or folders.is_alive(self.home.runs / name):
            return Look(RUNNING, name)
        state, error = _recorded(self.home.runs / name / "run.json")
        if state in _ENDS:
            return Look(ENDED, name, f"the run {name} {_ENDS[state]}: {error}" if _ENDS[state] else "")
        if state:
            return None
        if child:
            return Look(ENDED, name, f"the run {name} was refused: {self._said(name)}")
        return Look(MISSING, name, attempt)

    def start(self, cycle: Cycle, settings: Settings, name: str) -> None:
        """Starts a run, of which there is only one, whoever else does the same."""
        given = filled(settings.parameters, cycle.trigger)
        options = [word for parameter, value in given.items() for word in ("--param", f"{parameter}={_text(value)}")]
        command = [sys.executable, "-P", "-m", "taxiway", "run", settings.pipeline, *options, "--run-id", name]
        output = self._output(name)
        output.parent.mkdir(parents=True, exist_ok=True)
        with output.open("wb") as file:
            self._children[name] = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                env={**os.environ, "TAXIWAY_HOME": str(self.home.root)},
                # Neither Ctrl-C at the loop's terminal nor the loop's end reaches it.
                start_new_session=True,
            )

    def _output(self, name: str) -> Path:
        return self.home.loop / f"{name}.log"

    def _said(self, name: str) -> str:
        lines = self._output(name).read_text(errors="replace").strip().splitlines()
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
