"""Python programs in processes that are forked from one with TensorFlow loaded: each starts at once.

A program runs as `python -m MODULE ARGUMENTS` would run it, but for the import of TensorFlow, which takes seconds.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from components.processes import children, preload

CHECKOUT = Path(__file__).parents[1]
LOADED = ("tensorflow", "tensorflow_serving.apis.prediction_service_pb2_grpc", "taxiway.serving.server", "taxiway.cli")
_LARGEST = 1 << 20


class Process:
    """A program that runs, or has ended, as `subprocess.Popen` has it."""

    def __init__(self, module: str, arguments: list[str], log: Path, environment: dict[str, str] | None = None) -> None:
        """Starts the program in the checkout; the log takes what it prints."""
        self.returncode: int | None = None
        self._ended, end = os.pipe()
        started = {"module": module, "arguments": arguments, "environment": {**os.environ, **(environment or {})}}
        with log.open("wb") as output:
            requests = _requests()
            socket.send_fds(requests, [json.dumps(started).encode()], [output.fileno(), end])
            os.close(end)
            self.pid = int(requests.recv(20))

    def poll(self) -> int | None:
        """The exit status, if it has ended."""
        return self.returncode if self.returncode is not None or not self._has_ended(0) else self.wait()

    def wait(self, timeout: float | None = None) -> int:
        """The exit status, once it has ended."""
        if self.returncode is None:
            if not self._has_ended(timeout):
                raise subprocess.TimeoutExpired(str(self.pid), timeout or 0)
            self.returncode = int(os.read(self._ended, 20))
            os.close(self._ended)
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Sends a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """Kills it."""
        self.send_signal(signal.SIGKILL)

    def _has_ended(self, timeout: float | None) -> bool:
        return bool(select.select([self._ended], [], [], timeout)[0])


@functools.cache
def _requests() -> socket.socket:
    """Where the forking process receives requests; it ends with this one."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    environment = {**os.environ, **preload.ENVIRONMENT, "TF_CPP_MIN_LOG_LEVEL": "2"}
    command = [sys.executable, "-m", "tests.forked", str(theirs.fileno())]
    server = subprocess.Popen(command, cwd=CHECKOUT, env=environment, pass_fds=[theirs.fileno()])
    theirs.close()
    atexit.register(server.wait)
    atexit.register(ours.close)
    return ours


class _Server:
    """Receives requests, forks, and reports exits; single-threaded, so that forks are safe."""

    def __init__(self, requests: socket.socket) -> None:
        self._requests = requests
        self._running: dict[int, tuple[int, int]] = {}  # by the process's descriptor: its id, and who wants its status

    def serve(self) -> None:
        """Serves until all clients are gone, and kills the remaining processes."""
        while True:
            ready, _, _ = select.select([self._requests, *self._running], [], [])
            for ended in self._running.keys() & set(ready):
                self._tell(ended)
            if self._requests in ready:
                request, descriptors, _, _ = socket.recv_fds(self._requests, _LARGEST, 2)
                if not request:
                    break
                self._start(json.loads(request), *descriptors)
        for pid, _ in self._running.values():
            os.kill(pid, signal.SIGKILL)

    def _start(self, request: dict[str, Any], log: int, end: int) -> None:
        server = os.getpid()
        pid = os.fork()
        if pid == 0:
            for mine in (
                self._requests.fileno(),
                end,
                *self._running,
                *(wanted for _, wanted in self._running.values()),
            ):
                os.close(mine)
            children.leave_after(lambda: _run(request, log, server))
        os.close(log)
        self._running[os.pidfd_open(pid)] = pid, end
        self._requests.send(str(pid).encode())

    def _tell(self, ended: int) -> None:
        pid, end = self._running.pop(ended)
        os.close(ended)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        with contextlib.suppress(BrokenPipeError):  # nobody wants to know
            os.write(end, str(status).encode())
        os.close(end)


def _run(request: dict[str, Any], log: int, server: int) -> None:
    children.die_with(server)
    null = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((null, 0), (log, 1), (log, 2)):
        os.dup2(source, target)
    gc.enable()
    os.environ.clear()
    os.environ.update(request["environment"])
    tempfile.tempdir = None
    sys.argv = [request["module"], *request["arguments"]]
    runpy.run_module(request["module"], run_name="__main__", alter_sys=True)


def main(requests: str) -> None:
    """Loads the libraries, and serves."""
    gc.disable()
    for module in LOADED:
        importlib.import_module(module)
    gc.freeze()
    _Server(socket.socket(fileno=int(requests))).serve()


if __name__ == "__main__":
    main(*sys.argv[1:])
