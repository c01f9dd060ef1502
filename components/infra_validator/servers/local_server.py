"""Taxiway's model server as a child process of the stage: it ends with the stage, however the stage ends."""

from __future__ import annotations

import os
import runpy
import shutil
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from components.processes import children

COMMAND = "taxiway"
"""The module whose `serve` command is the server; it is run by name, as a user would run it."""

_STOP_SECONDS = 5


class LocalServer:
    """`taxiway serve` on a free port of loopback."""

    def __init__(self, base: Path, folder: Path, custom_ops: Sequence[str] = ()) -> None:
        self._log = folder / "server.log"
        self._address_file = folder / "server.address"
        arguments = ["serve", str(base), "--port", "0", "--rest-port", "0", "--address-file", str(self._address_file)]
        arguments += [word for library in custom_ops for word in ("--custom-ops", library)]
        self._status: int | None = None
        self._pid = _forked(arguments, self._log) if may_fork() else _spawned(arguments, self._log)

    def address(self) -> str | None:
        """The gRPC address, once the server has written it."""
        return self._address_file.read_text().split()[0] if self._address_file.is_file() else None

    def ended(self) -> str:
        """How the process exited; empty while it runs."""
        if self._status is None:
            pid, status = os.waitpid(self._pid, os.WNOHANG)
            self._status = os.waitstatus_to_exitcode(status) if pid else None
        if self._status is None:
            return ""
        how = f"was killed by signal {-self._status}" if self._status < 0 else f"exited with status {self._status}"
        return f"the server {how}"

    def log(self) -> str:
        """Its output so far."""
        return self._log.read_text(errors="replace") if self._log.is_file() else ""

    def stop(self) -> None:
        """Terminates the process, and kills it if it does not exit soon."""
        for how in (signal.SIGTERM, signal.SIGKILL):
            if not self.ended():
                os.kill(self._pid, how)
                self._wait()

    def _wait(self) -> None:
        deadline = time.monotonic() + _STOP_SECONDS
        while not self.ended() and time.monotonic() < deadline:
            time.sleep(0.01)


def may_fork() -> bool:
    """Whether forking this process saves the server TensorFlow's import, and is safe.

    It is safe if this is the only thread: a child could never release locks that other threads hold. TensorFlow has
    threads once it has been used.
    """
    return sys.platform == "linux" and "tensorflow" in sys.modules and len(list(Path("/proc/self/task").iterdir())) == 1


def _forked(arguments: list[str], log: Path) -> int:
    parent = os.getpid()
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid == 0:
        children.leave_after(lambda: _serve(arguments, log, parent))
    return pid


def _serve(arguments: list[str], log: Path, parent: int) -> None:
    children.die_with(parent)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    _redirect(log)
    sys.argv = [f"python -m {COMMAND}", *arguments]
    runpy.run_module(COMMAND, run_name="__main__", alter_sys=True)


def _redirect(log: Path) -> None:
    for path, flags, targets in ((os.devnull, os.O_RDONLY, (0,)), (log, os.O_WRONLY | os.O_CREAT, (1, 2))):
        opened = os.open(path, flags, 0o600)
        for target in targets:
            os.dup2(opened, target)


def _spawned(arguments: list[str], log: Path) -> int:
    guard = ["setpriv", "--pdeathsig", "KILL", "--"] if shutil.which("setpriv") else []
    command = [*guard, sys.executable, "-m", COMMAND, *arguments]
    files = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, str(log), os.O_WRONLY | os.O_CREAT, 0o600),
        (os.POSIX_SPAWN_DUP2, 1, 2),
    ]
    return os.posix_spawnp(command[0], command, os.environ, file_actions=files)
