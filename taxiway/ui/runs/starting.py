"""Starts runs that outlive the server: each is a process in a session of its own, whose output goes to a file."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Mapping
from pathlib import Path

from components.contract.errors import ServiceError, UserError
from taxiway.storage.home import Home

OUTPUT = "output.log"
"""In a run's folder: what `taxiway run` printed, if a page started it."""

_STARTED = re.compile(r"^run (\S+)$", re.MULTILINE)
_PAUSE = 0.1
_PATIENCE = 180.0


def start(pipeline: Path, parameters: Mapping[str, str], home: Home, *, use_cache: bool = True) -> str:
    """Runs a compiled pipeline in the working folder, and returns the run's id as soon as it has begun.

    Raises:
        UserError: The run was refused, such as for a parameter.
        ServiceError: It did not begin.
    """
    options = [word for name, value in parameters.items() for word in ("--param", f"{name}={value}")]
    command = [sys.executable, "-P", "-m", "taxiway", "run", str(pipeline), *options]
    output = home.work / f"{uuid.uuid4().hex}.output"
    process = _process(command if use_cache else [*command, "--no-cache"], output, home)
    try:
        run_id = _begun(process, output)
        # The process goes on writing to the file under its new name.
        output.replace(home.runs / run_id / OUTPUT)
    finally:
        output.unlink(missing_ok=True)
    return run_id


def _process(command: list[str], output: Path, home: Home) -> subprocess.Popen[bytes]:
    home.work.mkdir(parents=True, exist_ok=True)
    with output.open("xb") as file:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            env={**os.environ, "TAXIWAY_HOME": str(home.root)},
            # Neither Ctrl-C at the server's terminal nor the server's end reaches it.
            start_new_session=True,
        )
    threading.Thread(target=process.wait, daemon=True).start()
    return process


def _begun(process: subprocess.Popen[bytes], output: Path) -> str:
    """The id of the run, once it has one."""
    end = time.monotonic() + _PATIENCE
    while time.monotonic() < end:
        has_ended = process.poll() is not None
        said = output.read_text(errors="replace")
        if found := _STARTED.search(said):
            return found[1]
        if has_ended:
            raise _refused(said, process.returncode)
        time.sleep(_PAUSE)
    process.terminate()
    raise ServiceError(f"the run did not begin within {_PATIENCE:g} s", fix="start it in a terminal to see why")


def _refused(said: str, status: int) -> UserError | ServiceError:
    what, _, fix = said.strip().removeprefix("error: ").rpartition("\n  fix: ")
    kind = UserError if status == UserError.exit_status else ServiceError
    return kind(f"the run was refused: {what or fix}", fix=fix if what else "")
