"""A process that loads the heavy libraries once and forks every stage from there.

It reads requests from standard input, one JSON line each, and answers on standard output:

    {"job": 1, "stage": "transform", "argv": [...], "log": path, "environment": {...}}  ->  {"job": 1, "status": 0, ...}
    {"preload": ["trainer", ...]}
    {"stop": true}                                                                     ends all stages

A stage starts as soon as what it imports is there; libraries that only later stages need are loaded while it runs.
The end of standard input is the end of the runner, however it came: then all stages are killed.

The standard library's forkserver would do, but that it imports the caller's main module in every child: a notebook
or a script that calls `taxiway.run` would run again.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import json
import os
import runpy
import select
import signal
import sys
import traceback
from collections import deque
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from components.preload import PRELOAD
from taxiway.runner.launcher import Ended, ended

_PR_SET_PDEATHSIG = 1


class Server:
    """Requests in, forked stages out; one thread, so that a fork copies a quiet process."""

    def __init__(self, requests: int, answers: int) -> None:
        self._requests = requests
        self._answers = answers
        self._buffer = b""
        self._ready: set[str] = set()
        self._wanted: deque[str] = deque()
        self._waiting: deque[dict[str, Any]] = deque()
        self._running: dict[int, int] = {}
        self._ended: dict[int, Ended] = {}
        self._expected: list[str] = []
        # A handler, so that the runner hears of an end while libraries are being loaded.
        signal.signal(signal.SIGCHLD, lambda *_: self._reap())
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    def serve(self) -> None:
        """Answers requests until the runner is gone."""
        while self._read_requests(wait=not self._wanted):
            self._start_ready()
            if self._wanted:
                self._load(self._wanted.popleft())
                self._start_ready()
        self._kill(signal.SIGKILL)

    def _read_requests(self, wait: bool) -> bool:
        """Takes what has come in; False at the end of the input."""
        ready, _, _ = select.select([self._requests], [], [], None if wait else 0)
        if not ready:
            return True
        chunk = os.read(self._requests, 1 << 20)
        self._buffer += chunk
        for request in self._lines():
            self._take(request)
        return bool(chunk)

    def _lines(self) -> Iterator[dict[str, Any]]:
        *lines, self._buffer = self._buffer.split(b"\n")
        return (json.loads(line) for line in lines)

    def _take(self, request: dict[str, Any]) -> None:
        if "stop" in request:
            self._waiting.clear()
            self._kill(signal.SIGTERM)
        elif "preload" in request:
            self._expected += [module for stage in request["preload"] for module in PRELOAD.get(stage, ())]
        else:
            self._waiting.append(request)
            self._want([*PRELOAD.get(request["stage"], ()), *self._wanted])

    def _want(self, modules: list[str]) -> None:
        """Sets what to load next, in this order."""
        self._wanted = deque(module for module in dict.fromkeys(modules) if module not in self._ready)

    def _load(self, module: str) -> None:
        try:
            importlib.import_module(module)
        except Exception:
            # The stage that needs it says so in its own log.
            traceback.print_exc()
        self._ready.add(module)
        # Children share the pages of what is loaded; the collector would touch them all.
        gc.freeze()

    def _start_ready(self) -> None:
        for _ in range(len(self._waiting)):
            job = self._waiting.popleft()
            if self._ready.issuperset(PRELOAD.get(job["stage"], ())):
                self._start(job)
            else:
                self._waiting.append(job)

    def _start(self, job: dict[str, Any]) -> None:
        pid = os.fork()
        if pid == 0:
            # Only the server talks to the runner, which takes the end of the answers for the end of the server.
            os.close(self._requests)
            os.close(self._answers)
            _become_stage(job, os.getppid())
        self._running[pid] = job["job"]
        self._answer()
        # Only now: a first stage that needs little must not wait for what later ones need.
        self._want([*self._wanted, *self._expected])
        self._expected = []

    def _reap(self) -> None:
        try:
            while (end := os.wait4(-1, os.WNOHANG))[0]:
                self._ended[end[0]] = ended(*end[1:])
        except ChildProcessError:
            pass
        self._answer()

    def _answer(self) -> None:
        """Tells of the ends of known jobs: a stage may end before its fork has returned here."""
        for pid in self._ended.keys() & self._running.keys():
            job = self._running.pop(pid, None)
            # The handler may come in between; one of the two gets the job.
            if job is not None:
                answer = {"job": job, **asdict(self._ended.pop(pid))}
                os.write(self._answers, json.dumps(answer).encode() + b"\n")

    def _kill(self, how: signal.Signals) -> None:
        for pid in list(self._running):
            # Each stage leads a process group of its own, with whatever it starts; one just forked not yet.
            for kill in (os.killpg, os.kill):
                with contextlib.suppress(ProcessLookupError):
                    kill(pid, how)


def _become_stage(job: dict[str, Any], server: int) -> None:
    """Runs a stage in a forked child, and never returns."""
    status = 1
    try:
        os.setsid()
        _die_with_parent(server)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        log = os.open(job["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        null = os.open(os.devnull, os.O_RDONLY)
        for source, target in ((null, 0), (log, 1), (log, 2)):
            os.dup2(source, target)
        os.environ.update(job["environment"])
        sys.argv = ["python -m components", *job["argv"]]
        runpy.run_module("components", run_name="__main__", alter_sys=True)
        status = 0
    except SystemExit as ended:
        status = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _die_with_parent(parent: int) -> None:
    """Asks the kernel to kill this process when its parent dies (Linux; elsewhere the group is killed by stop)."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)


def main() -> None:
    """Serves on standard input and output; what libraries print goes to standard error."""
    answers = os.dup(1)
    os.dup2(2, 1)
    Server(requests=os.dup(0), answers=answers).serve()


if __name__ == "__main__":
    main()
