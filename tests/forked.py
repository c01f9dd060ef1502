"""Runs Python programs in processes forked from one that has TensorFlow loaded, so each starts immediately.

A program runs like `python -m MODULE ARGUMENTS`, without the seconds that the import of TensorFlow takes. A
process that has started, but imported nothing yet, can hand itself over: see `HAND_OVER`.
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
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from components.processes import children, preload

CHECKOUT = Path(__file__).parents[1]
LOADED = ("tensorflow", "tensorflow_serving.apis.prediction_service_pb2_grpc", "taxiway.serving.server", "taxiway.cli")
_LARGEST = 1 << 20

HAND_OVER = """
def hand_over(address):
    import json, os, socket, sys
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as server:
        server.connect(chr(0) + address)
        request = {"argv": sys.orig_argv[1:], "folder": os.getcwd(), "environment": dict(os.environ)}
        socket.send_fds(server, [json.dumps(request).encode()], [0, 1, 2])
        server.recv(20)
        os._exit(int(server.recv(20)) & 255)
"""
"""Defines `hand_over(address)`: runs the command of the calling process in one that the server at an address forks."""


class Process:
    """A program that is running or has ended; like `subprocess.Popen`."""

    def __init__(self, module: str, arguments: list[str], log: Path, environment: dict[str, str] | None = None) -> None:
        """Starts a module, or with `-c` a program text, in the checkout; its output goes to the log."""
        self.returncode: int | None = None
        argv = [*(["-m"] if module != "-c" else []), module, *arguments]
        request = {"argv": argv, "folder": str(CHECKOUT), "environment": {**os.environ, **(environment or {})}}
        self._server = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._server.connect(f"\0{address(*LOADED)}")
        with log.open("wb") as output, open(os.devnull, "rb") as null:
            descriptors = [null.fileno(), output.fileno(), output.fileno()]
            socket.send_fds(self._server, [json.dumps(request).encode()], descriptors)
        self.pid = int(self._server.recv(20))

    def poll(self) -> int | None:
        """The exit status, if it has ended."""
        return self.returncode if self.returncode is not None or not self._has_ended(0) else self.wait()

    def wait(self, timeout: float | None = None) -> int:
        """The exit status, once it has ended."""
        if self.returncode is None:
            if not self._has_ended(timeout):
                raise subprocess.TimeoutExpired(str(self.pid), timeout or 0)
            self.returncode = int(self._server.recv(20))
            self._server.close()
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Sends a signal if it is still running."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """Kills it."""
        self.send_signal(signal.SIGKILL)

    def _has_ended(self, timeout: float | None) -> bool:
        return bool(select.select([self._server], [], [], timeout)[0])


@functools.cache
def address(*modules: str) -> str:
    """The address of a server that has loaded these modules; it ends with this process."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind("")  # the kernel picks a name that is not a file
        listener.listen()
        # The same hash seed as in the runner's own servers.
        own = {**preload.ENVIRONMENT, "TF_CPP_MIN_LOG_LEVEL": "2", "PYTHONHASHSEED": "0"}
        server = subprocess.Popen(
            [sys.executable, "-m", "tests.forked", str(listener.fileno()), *modules],
            cwd=CHECKOUT,
            env={**os.environ, **own},
            stdin=subprocess.PIPE,
            pass_fds=[listener.fileno()],
        )
        assert server.stdin
        atexit.register(server.wait)
        atexit.register(server.stdin.close)
        return str(listener.getsockname()[1:].decode())


class _Server:
    """Takes requests, forks, and reports exit statuses; single-threaded, so that forking is safe."""

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        self._running: dict[int, tuple[int, socket.socket]] = {}  # by the process's descriptor: its id, and the client

    def serve(self) -> None:
        """Serves until standard input closes, because then its clients have ended, and kills what still runs."""
        while True:
            ready, _, _ = select.select([0, self._listener, *self._running], [], [])
            for ended in self._running.keys() & set(ready):
                self._report(ended)
            if 0 in ready:
                break
            if self._listener in ready:
                self._start(self._listener.accept()[0])
        for pid, _ in self._running.values():
            os.kill(pid, signal.SIGKILL)

    def _start(self, client: socket.socket) -> None:
        request, descriptors, _, _ = socket.recv_fds(client, _LARGEST, 3)
        server = os.getpid()
        pid = os.fork()
        if pid == 0:
            for mine in (self._listener, client, *(other for _, other in self._running.values())):
                mine.close()
            for watched in self._running:
                os.close(watched)
            children.leave_after(lambda: _run(json.loads(request), descriptors, server))
        for descriptor in descriptors:
            os.close(descriptor)
        self._running[os.pidfd_open(pid)] = pid, client
        with contextlib.suppress(BrokenPipeError):
            client.send(str(pid).encode())

    def _report(self, ended: int) -> None:
        pid, client = self._running.pop(ended)
        os.close(ended)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        with contextlib.suppress(BrokenPipeError):  # the client has ended
            client.send(str(status).encode())
        client.close()


def _run(request: dict[str, Any], descriptors: list[int], server: int) -> None:
    children.die_with(server)
    for target, source in enumerate(descriptors):
        os.dup2(source, target)
        os.close(source)
    gc.enable()
    before = dict(os.environ)
    os.environ.clear()
    os.environ.update(request["environment"])
    os.chdir(request["folder"])
    tempfile.tempdir = None
    sys.path[:] = [request["folder"], *_named(request["environment"]), *sys.path[1 + len(_named(before)) :]]
    first, *arguments = request["argv"]
    if first == "-m":
        sys.argv = arguments
        runpy.run_module(arguments[0], run_name="__main__", alter_sys=True)
    elif first == "-c":
        sys.argv = [first, *arguments[1:]]
        exec(arguments[0], {"__name__": "__main__"})
    else:
        sys.path[0], sys.argv = str(Path(first).parent), request["argv"]
        runpy.run_path(first, run_name="__main__")


def _named(environment: Mapping[str, str]) -> list[str]:
    return list(filter(None, environment.get("PYTHONPATH", "").split(os.pathsep)))


def main(listener: str, *modules: str) -> None:
    """Loads the libraries, and serves."""
    gc.disable()
    for module in modules:
        importlib.import_module(module)
    gc.freeze()
    _Server(socket.socket(fileno=int(listener))).serve()


if __name__ == "__main__":
    main(*sys.argv[1:])
