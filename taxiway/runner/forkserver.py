"""Processes that load the heavy libraries once and fork every stage from there.

They form a tree. Each loads one layer of libraries, forks the servers below it, which load further libraries, and then
forks the stages that need only what it has loaded. So a stage starts as soon as its imports are loaded, while another
CPU loads the libraries of other stages, and processes share the memory of the layers above.

The first server reads requests from standard input, one JSON line each, and forwards those for a layer below. Each
server answers on standard output:

    {"job": 1, "stage": "transform", "argv": [...], "imports": ["tfx"], "log": path,
     "environment": {...}}                                        ->               {"job": 1, "status": 0, ...}
    {"stop": true}                                                                     stops all stages

Standard input closes when the runner ends, for whatever reason: then all stages are killed.

The standard library's forkserver is not used because it imports the caller's main module in every child: a notebook or
a script that calls `taxiway.run` would run again.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import runpy
import signal
import sys
import tempfile
import traceback
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from components.execution import stages
from components.processes import children, preload
from components.processes.preload import Layer
from components.reports import artifacts
from taxiway.packages import environments
from taxiway.runner.launcher import Ended, ended


class Server:
    """Forks a stage for each request; single-threaded, so that forking is safe."""

    def __init__(self, layer: Layer, requests: int, answers: int) -> None:
        self._layer = layer
        self._requests = requests
        self._answers = answers
        self._buffer = b""
        self._below: list[tuple[Layer, int]] = []  # the layers below, and the pipes for their requests
        self._servers: set[int] = set()
        self._running: dict[int, int] = {}
        self._ended: dict[int, Ended] = {}

    def serve(self) -> None:
        """Loads this layer's libraries, starts the layers below, and answers requests until the runner ends."""
        # Imports create no garbage; collection would take an eighth of their time.
        gc.disable()
        for module in (*self._layer.libraries.modules, *self._reports()):
            _load(module)
        # A handler, so that the runner is told at once when a stage ends.
        signal.signal(signal.SIGCHLD, lambda *_: self._reap())
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        # Children share the memory pages of what is loaded; the collector would write to them all.
        gc.freeze()
        for layer in self._layer.below:
            self._start_server(layer)
        while chunk := os.read(self._requests, 1 << 20):
            self._buffer += chunk
            for line in self._lines():
                self._handle(line)
        self._kill(signal.SIGKILL)

    def _reports(self) -> Iterator[str]:
        """The modules that make the reports of the stages that are forked here."""
        return (artifacts.module_of(name) for name in self._layer.stages if stages.load(name).has_report)

    def _lines(self) -> Iterator[bytes]:
        *lines, self._buffer = self._buffer.split(b"\n")
        return iter(lines)

    def _handle(self, line: bytes) -> None:
        request = json.loads(line)
        if "stop" in request:
            self._kill(signal.SIGTERM)
            self._forward(line, [requests for _, requests in self._below])
            return
        below = [requests for layer, requests in self._below if layer.serves(request["stage"], request["imports"])]
        if below:
            self._forward(line, below[-1:])
        else:
            self._start(request)

    def _forward(self, line: bytes, below: list[int]) -> None:
        for requests in below:
            os.write(requests, line + b"\n")

    def _start_server(self, layer: Layer) -> None:
        source, target = os.pipe()
        server = os.getpid()
        pid = os.fork()
        if pid == 0:
            foreign = [self._requests, target, *(requests for _, requests in self._below)]
            children.leave_after(lambda: _serve_below(Server(layer, source, self._answers), server, foreign))
        os.close(source)
        self._below.append((layer, target))
        self._servers.add(pid)

    def _start(self, job: dict[str, Any]) -> None:
        server = os.getpid()
        pid = os.fork()
        if pid == 0:
            # Only servers keep these pipes open: a pipe must close when the process that writes to it ends.
            for descriptor in (self._requests, self._answers, *(requests for _, requests in self._below)):
                os.close(descriptor)
            children.leave_after(lambda: _run_stage(job, server))
        self._running[pid] = job["job"]
        self._answer()

    def _reap(self) -> None:
        try:
            while (end := os.wait4(-1, os.WNOHANG))[0]:
                if end[0] in self._servers:
                    # The rest of the tree would wait forever; the runner reports that the server ended.
                    self._kill(signal.SIGKILL)
                    os._exit(1)
                self._ended[end[0]] = ended(*end[1:])
        except ChildProcessError:
            pass
        self._answer()

    def _answer(self) -> None:
        """Reports the known jobs that ended: a stage may end before `os.fork` has returned here."""
        for pid in self._ended.keys() & self._running.keys():
            job = self._running.pop(pid, None)
            # The signal handler may interrupt this method; only one of the two gets the job.
            if job is not None:
                answer = {"job": job, **asdict(self._ended.pop(pid))}
                os.write(self._answers, json.dumps(answer).encode() + b"\n")

    def _kill(self, how: signal.Signals) -> None:
        for pid in list(self._running):
            # Each stage leads its own process group, with whatever it starts; a stage just forked may not do so yet.
            for kill in (os.killpg, os.kill):
                with contextlib.suppress(ProcessLookupError):
                    kill(pid, how)


def _load(module: str) -> None:
    try:
        importlib.import_module(module)
    except Exception:
        # The stage that needs the module reports the error in its own log.
        traceback.print_exc()


def _serve_below(server: Server, parent: int, foreign: list[int]) -> None:
    """Serves as a layer below in a forked child."""
    children.die_with(parent)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for descriptor in foreign:
        os.close(descriptor)
    server.serve()


def _run_stage(job: dict[str, Any], server: int) -> None:
    """Runs a stage in a forked child."""
    gc.enable()
    os.setsid()
    children.die_with(server)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    log = os.open(job["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    null = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((null, 0), (log, 1), (log, 2)):
        os.dup2(source, target)
    os.environ.update(job["environment"])
    environments.enter(Path(os.environ["VIRTUAL_ENV"]))
    # Resets the server's temporary folder, which a library may have looked up before the fork.
    tempfile.tempdir = None
    sys.argv = ["python -m components", *job["argv"]]
    runpy.run_module("components", run_name="__main__", alter_sys=True)


def main(tree: str) -> None:
    """Serves on standard input and output; redirects what libraries print to standard error."""
    # What every stage imports first is imported once.
    importlib.import_module("components.__main__")
    answers = os.dup(1)
    os.dup2(2, 1)
    Server(preload.trees(stages.in_order())[tree], requests=os.dup(0), answers=answers).serve()


if __name__ == "__main__":
    main(*sys.argv[1:])
